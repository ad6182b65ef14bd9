//! The tests can fail: every bug of the museum is planted in a copy of the sources, and some test must find it.
//!
//! Building each takes a while, so that is done on request:
//! `cargo test -p caps-spec --test mutants -- --ignored --nocapture`. With `UPDATE_MUSEUM=1` the table in `docs/mutants.md`
//! is written anew by a whole run. What runs always is that each bug still can be planted, so that the museum keeps up with
//! the code, and that none is in the sources themselves, under any configuration.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

mod museum;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// No configuration of `caps` differs from another, so what is tested is what a kernel is built of; and no bug is in it.
#[test]
fn no_bug_is_in_what_a_kernel_is_built_of() {
    let manifest = fs::read_to_string(root().join("caps/Cargo.toml")).unwrap();
    assert!(!manifest.contains("[features]") && !root().join("caps/build.rs").exists());
    for entry in sources(&root().join("caps/src")) {
        let text = fs::read_to_string(&entry).unwrap();
        let (conditions, of_tests) = (text.matches("cfg").count(), text.matches("#[cfg(test)]").count());
        assert_eq!(conditions, of_tests, "{} depends on a configuration", entry.display());
    }
    for mutant in MUSEUM {
        let source = fs::read_to_string(root().join("caps/src").join(mutant.file)).unwrap();
        let planted = source.replacen(mutant.from, mutant.to, 1);
        assert_ne!(source, planted, "{} changes nothing", mutant.name);
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// Plants each bug in turn and expects that the tests of `caps` or of the specification fail. `MUTANT=text` restricts
/// it to the names that contain the text.
#[test]
#[ignore = "builds and runs the tests once per bug: minutes"]
fn every_planted_bug_is_found() {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("museum");
    copy_workspace(&place);
    let whole = run(&place, Checks::All);
    assert!(whole.built, "the copy does not compile");
    assert!(whole.failed.is_empty(), "without any bug, {:?} fails", whole.failed);
    let only = std::env::var("MUTANT").unwrap_or_default();
    let (mut survivors, mut table) = (Vec::new(), String::from(HEAD));
    for mutant in MUSEUM.iter().filter(|mutant| mutant.name.contains(&only)) {
        let file = place.join("caps/src").join(mutant.file);
        let source = fs::read_to_string(&file).unwrap();
        fs::write(&file, source.replacen(mutant.from, mutant.to, 1)).unwrap();
        let (all, compared) = (run(&place, Checks::All), run(&place, Checks::ComparisonAlone));
        fs::write(&file, source).unwrap();
        assert!(all.built, "{} does not compile", mutant.name);
        let row = row(mutant, &all, &compared);
        print!("{row}");
        table += &row;
        if all.failed.is_empty() {
            survivors.push(mutant.name);
        }
    }
    assert!(survivors.is_empty(), "not found: {survivors:?}");
    if std::env::var_os("UPDATE_MUSEUM").is_some() && only.is_empty() {
        let page = root().join("docs/mutants.md");
        let text = fs::read_to_string(&page).unwrap();
        let (before, _) = text.split_once(HEAD).unwrap();
        fs::write(page, format!("{before}{table}")).unwrap();
    }
}

const HEAD: &str = "| bug | found by | seconds | by the comparison with the specification alone |\n| --- | --- | --- | --- |\n";

/// What a run of the tests showed.
struct Run {
    /// The tests that failed, in the order in which they ended.
    failed: Vec<String>,
    /// Whether there was something to run.
    built: bool,
    /// How long the tests ran, without building them.
    seconds: f64,
}

/// What is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Checks {
    /// Everything.
    All,
    /// Whether the answers and the states are those of the specification, in random games.
    ComparisonAlone,
}

fn row(mutant: &Mutant, all: &Run, compared: &Run) -> String {
    let by = match &all.failed[..] {
        [] => "**not found**".to_owned(),
        [one] => format!("`{one}`"),
        [one, others @ ..] => format!("`{one}` and {} more", others.len()),
    };
    let alone = if compared.failed.is_empty() { "no" } else { "yes" };
    format!("| {} | {by} | {:.1} | {alone} |\n", mutant.name, all.seconds)
}

/// The two crates as a workspace of their own, without the fuzzing and what only that needs.
fn copy_workspace(place: &Path) {
    let _ = fs::remove_dir_all(place.join("caps"));
    copy(&root().join("caps"), &place.join("caps"));
    fs::remove_file(place.join("caps/spec/tests/fuzz.rs")).unwrap();
    let spec = place.join("caps/spec/Cargo.toml");
    let manifest = fs::read_to_string(&spec).unwrap();
    let needed = |line: &&str| !line.starts_with("bolero") && !line.starts_with("idl");
    fs::write(&spec, manifest.lines().filter(needed).collect::<Vec<_>>().join("\n")).unwrap();
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

/// Runs the tests that are soon done.
fn run(place: &Path, checks: Checks) -> Run {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--offline", "-p", "caps", "-p", "caps-spec", "--test", "reached"]);
    match checks {
        Checks::All => command.args(["--lib", "--test", "machine", "--test", "swift"]),
        Checks::ComparisonAlone => command.env("COMPARISON_ALONE", "1"),
    };
    let output = command
        .args(["--no-fail-fast"])
        .current_dir(place)
        .env("RUST_BACKTRACE", "0")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = text
        .lines()
        .filter_map(|line| line.strip_suffix(" ... FAILED").and_then(|line| line.strip_prefix("test ")))
        .map(str::to_owned)
        .collect();
    let times = text.lines().filter_map(|line| line.split_once("finished in ")?.1.strip_suffix('s'));
    let seconds = times.filter_map(|time| time.parse::<f64>().ok()).sum();
    Run { failed, built: text.contains("running "), seconds }
}
