//! The tests can fail: every bug of the museum is planted in a copy of the sources, and some test must find it.
//!
//! Building each takes a while, so that is done on request:
//! `cargo test -p caps-spec --test mutants -- --ignored --nocapture`. What runs always is that each bug still can be
//! planted, so that the museum keeps up with the code. No bug is in the sources themselves, under any configuration.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

mod museum;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use museum::{MUSEUM, Mutant};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_bug_can_still_be_planted() {
    for mutant in MUSEUM {
        let source = fs::read_to_string(root().join("caps/src").join(mutant.file)).unwrap();
        assert_eq!(source.matches(mutant.from).count(), 1, "{} in {}", mutant.name, mutant.file);
    }
}

/// Plants each bug in turn and expects that the tests of `caps` or of the specification fail. `MUTANT=text` restricts
/// it to the names that contain the text.
#[test]
#[ignore = "builds and runs the tests once per bug: minutes"]
fn every_planted_bug_is_found() {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("museum");
    copy_workspace(&place);
    let (found, _) = run(&place);
    assert!(found.is_none(), "without any bug, {} fails", found.unwrap());
    let only = std::env::var("MUTANT").unwrap_or_default();
    let mut survivors = Vec::new();
    for mutant in MUSEUM.iter().filter(|mutant| mutant.name.contains(&only)) {
        let began = Instant::now();
        let file = place.join("caps/src").join(mutant.file);
        let source = fs::read_to_string(&file).unwrap();
        fs::write(&file, source.replacen(mutant.from, mutant.to, 1)).unwrap();
        let (found, built) = run(&place);
        fs::write(&file, source).unwrap();
        assert!(built, "{} does not compile", mutant.name);
        report(mutant, found.as_deref(), began);
        if found.is_none() {
            survivors.push(mutant.name);
        }
    }
    assert!(survivors.is_empty(), "not found: {survivors:?}");
}

fn report(mutant: &Mutant, found: Option<&str>, began: Instant) {
    let by = found.unwrap_or("NOT FOUND");
    println!("{:4.0} s  {:<62} {by}", began.elapsed().as_secs_f64(), mutant.name);
}

/// The two crates as a workspace of their own.
fn copy_workspace(place: &Path) {
    let _ = fs::remove_dir_all(place.join("caps"));
    copy(&root().join("caps"), &place.join("caps"));
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (before, rest) = manifest.split_once("members = [").unwrap();
    let (_, after) = rest.split_once("[workspace.package]").unwrap();
    let members = "members = [\"caps\", \"caps/spec\"]\n\n[workspace.package]";
    fs::write(place.join("Cargo.toml"), format!("{before}{members}{after}")).unwrap();
    fs::copy(root().join("Cargo.lock"), place.join("Cargo.lock")).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (source, dest) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            if entry.file_name() != "target" {
                copy(&source, &dest);
            }
        } else {
            fs::copy(source, dest).unwrap();
        }
    }
}

/// Runs the tests, but for those of this file. Says which failed first, if one did, and whether all was built.
fn run(place: &Path) -> (Option<String>, bool) {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--offline", "-p", "caps", "-p", "caps-spec", "--lib"]);
    for test in ["forest", "ledger", "reached"] {
        command.args(["--test", test]);
    }
    let output = command
        .args(["--no-fail-fast"])
        .current_dir(place)
        .env("PROPTEST_MAX_SHRINK_ITERS", "0")
        .env("RUST_BACKTRACE", "0")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let failed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_suffix(" ... FAILED").and_then(|line| line.strip_prefix("test ")))
        .collect();
    let found = (!output.status.success()).then(|| failed.join(", "));
    (found, text.contains("running "))
}
