//! The bugs of the museum that are in the kernel are found, and no kernel that ships has any bug of it.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

use museum::trial::{NOT_IN_CAPS, Row, is_to_be_measured, put, row};
use museum::{EXHIBITS, Exhibit, Home, VARIABLE};
use test_harness::cases::{CASES, Case, MUSEUM, Stage, check};
use test_harness::image::{Class, kernel, programs};
use test_harness::machine::Accel;
use test_harness::place;
use test_harness::tools::{self, Install};

/// The name of a case without its group.
fn bare(name: &str) -> &str {
    name.rsplit("::").next().unwrap()
}

/// A case of this list, on the kernel that has the bugs.
fn case_of<'a>(list: impl IntoIterator<Item = &'a Case>, name: &str) -> Case {
    let found = list.into_iter().find(|case| case.name == name);
    Case { kernel: Class::KernelJournal, ..*found.unwrap_or_else(|| panic!("there is no case {name}")) }
}

#[test]
fn the_kernels_bugs_are_found() {
    let stage = Stage::prepare(Install::from_environment(), Accel::Auto).unwrap();
    let mut ordered = 0;
    for exhibit in EXHIBITS {
        let Home::Kernel { case: name } = exhibit.home else { continue };
        ordered += 1;
        // With no bug ordered, the same kernel passes.
        stage.pass(&case_of(CASES, name)).unwrap();
        let wrong = format!("museum::{}", bare(name));
        let case = case_of(MUSEUM.iter().map(|(case, _)| case), &wrong);
        let (_, says) = MUSEUM.iter().find(|(case, _)| case.name == wrong).unwrap();
        let begin = Instant::now();
        let outcome = stage.play(&case).unwrap();
        let seconds = begin.elapsed().as_secs_f64();
        let found = check(&case, &outcome).expect_err(exhibit.name);
        assert!(found.what().contains(says), "{}: {found}", exhibit.name);
        hold_to_the_page(exhibit, name, seconds);
    }
    assert_eq!(ordered, MUSEUM.len(), "each case of the museum is of one bug");
}

fn hold_to_the_page(exhibit: &Exhibit, killer: &str, seconds: f64) {
    if !is_to_be_measured(exhibit) {
        assert_eq!(row(exhibit).unwrap().killer, killer);
        return;
    }
    let row = Row {
        name: exhibit.name.into(),
        killer: killer.into(),
        others: 0,
        seconds: format!("{seconds:.2}"),
        alone: NOT_IN_CAPS.into(),
    };
    put(vec![row]).unwrap();
}

/// Which of these are somewhere in a file.
fn found_in<'a>(bytes: &[u8], marks: &[&'a str]) -> Vec<&'a str> {
    let is_there = |mark: &&str| bytes.windows(mark.len()).any(|part| part == mark.as_bytes());
    marks.iter().copied().filter(is_there).collect()
}

/// Nothing of the museum is in the image: neither a name of a bug, nor how one is asked for, nor the name of a crate, a
/// function or a file of it. All of that is found where it is: in this program, which has the copy of `caps` with bugs in it,
/// and in the kernel that can be told to do something wrong.
#[test]
fn no_kernel_that_ships_has_a_bug() {
    let told = museum_caps::Generation(0).next();
    assert_eq!(told, museum_caps::Generation(1), "the copy is really in this program");
    let mut of_copies: Vec<&str> = EXHIBITS.iter().map(|exhibit| exhibit.name).collect();
    of_copies.extend([VARIABLE, "museum_caps", "museum/src/"]);
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert_eq!(found_in(&own, &of_copies), of_copies);

    let of_kernels = ["journal::mutant", "mutant.rs"];
    let wrong = std::fs::read(kernel(Class::KernelJournal).unwrap()).unwrap();
    assert_eq!(found_in(&wrong, &of_kernels), of_kernels);

    let ships = std::fs::read(kernel(Class::Kernel).unwrap()).unwrap();
    let all = [&of_copies[..], &of_kernels].concat();
    assert_eq!(found_in(&ships, &all), Vec::<&str>::new());
    assert_eq!(found_in(&ships, &["microkernel"]), ["microkernel"], "names can be found in it");
}

/// The packages that a package is built of.
fn built_of(package: &str) -> BTreeSet<String> {
    let mut command = Command::new(tools::cargo().unwrap());
    command.args([
        "tree",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--all-features",
        "--package",
        package,
    ]);
    let output = command.current_dir(place::root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect()
}

/// Nothing that runs on the target is built of the museum, whatever it is built with.
#[test]
fn nothing_on_the_target_is_built_of_the_museum() {
    let of_it = |name: &String| name.starts_with("museum");
    assert!(built_of("museum-caps").iter().any(of_it), "it can be found");
    let programs: BTreeSet<&str> = programs().iter().map(|program| program.package.as_str()).collect();
    for package in programs.into_iter().chain(["microkernel"]) {
        let parts = built_of(package);
        assert!(parts.contains(package) && parts.contains("caps"), "{package}: {parts:?}");
        assert!(!parts.iter().any(of_it), "{package}: {parts:?}");
    }
}
