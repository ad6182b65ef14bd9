//! The tests can fail: every bug of the museum is planted in a copy of the sources, and some test must find it.
//!
//! Building each takes a while, so that is done on request:
//! `cargo test -p caps-spec --test mutants -- --ignored --nocapture`. With `UPDATE_MUSEUM=1` the rows of the table in
//! `docs/mutants.md` are written anew, each as soon as it is known; with `UPDATE_MUSEUM=missing` only those that are not there. What runs always is that each bug still can be planted, so that the museum keeps up with
//! the code, and that none is in the sources themselves, under any configuration.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

mod museum;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use museum::{ELSEWHERE, Killer, MUSEUM, Mutant};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All bugs, in the order of the page.
fn all() -> impl Iterator<Item = &'static Mutant> {
    MUSEUM.iter().chain(ELSEWHERE.iter().map(|(mutant, _)| mutant))
}

#[test]
fn every_bug_can_still_be_planted() {
    let files = MUSEUM.iter().map(|mutant| (mutant, root().join("caps/src").join(mutant.file)));
    for (mutant, file) in files.chain(ELSEWHERE.iter().map(|(mutant, _)| (mutant, root().join(mutant.file))))
    {
        let source = fs::read_to_string(&file).unwrap();
        assert_eq!(source.matches(mutant.from).count(), 1, "{} in {}", mutant.name, file.display());
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
#[ignore = "builds and runs the tests once per bug: half an hour"]
fn every_planted_bug_is_found() {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("museum");
    copy_workspace(&place);
    let whole = run(&place, Checks::All);
    assert!(whole.built, "the copy does not compile");
    assert!(whole.failed.is_empty(), "without any bug, {:?} fails", whole.failed);
    let (mut survivors, mut unbuilt) = (Vec::new(), Vec::new());
    for mutant in MUSEUM.iter().filter(|mutant| is_wanted(mutant)) {
        let (all, compared) = planted(&place.join("caps/src"), mutant, || {
            (run(&place, Checks::All), run(&place, Checks::ComparisonAlone))
        });
        if !all.built {
            unbuilt.push(mutant.name);
            continue;
        }
        tell(mutant, &all, if compared.failed.is_empty() { "no" } else { "yes" });
        if all.failed.is_empty() {
            survivors.push(mutant.name);
        }
    }
    assert!(unbuilt.is_empty(), "do not compile: {unbuilt:?}");
    assert!(survivors.is_empty(), "not found: {survivors:?}");
}

/// The same for the bugs that are not in `caps`: in a copy of everything, by what the museum says finds each. Each is run
/// twice: what it builds on the way does not count.
#[test]
#[ignore = "builds and boots a kernel once per bug: ten minutes"]
fn every_bug_planted_elsewhere_is_found() {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("museum-elsewhere");
    copy(&root(), &place);
    let wanted: Vec<_> = ELSEWHERE.iter().filter(|(mutant, _)| is_wanted(mutant)).collect();
    for (_, killer) in &wanted {
        let run = run_elsewhere(&place, *killer);
        assert!(run.built && run.failed.is_empty(), "without any bug, {killer:?}: {:?}", run.failed);
    }
    let mut survivors = Vec::new();
    for (mutant, killer) in wanted {
        let run = planted(&place, mutant, || {
            run_elsewhere(&place, *killer);
            run_elsewhere(&place, *killer)
        });
        assert!(run.built, "{} does not compile", mutant.name);
        tell(mutant, &run, "it is not in `caps`");
        if run.failed.is_empty() {
            survivors.push(mutant.name);
        }
    }
    assert!(survivors.is_empty(), "not found: {survivors:?}");
}

/// What comes of something while a bug is in a copy.
fn planted<T>(sources: &Path, mutant: &Mutant, run: impl FnOnce() -> T) -> T {
    let file = sources.join(mutant.file);
    let source = fs::read_to_string(&file).unwrap();
    fs::write(&file, source.replacen(mutant.from, mutant.to, 1)).unwrap();
    let came = run();
    fs::write(&file, source).unwrap();
    came
}

/// Whether the environment asks for this one: by `MUTANT`, or because the page is to have those that it has not.
fn is_wanted(mutant: &Mutant) -> bool {
    let missing = std::env::var("UPDATE_MUSEUM").as_deref() == Ok("missing");
    let known = missing && page().2.iter().any(|row| is_of(row, mutant));
    mutant.name.contains(&std::env::var("MUTANT").unwrap_or_default()) && !known
}

/// Prints the row of a bug, and writes it down if the environment asks for that.
fn tell(mutant: &Mutant, all: &Run, alone: &str) {
    let by = match &all.failed[..] {
        [] => "**not found**".to_owned(),
        [one] => format!("`{one}`"),
        [one, others @ ..] => format!("`{one}` and {} more", others.len()),
    };
    let row = format!("| {} | {by} | {:.1} | {alone} |\n", mutant.name, all.seconds);
    print!("{row}");
    if std::env::var_os("UPDATE_MUSEUM").is_some() {
        put(mutant, &row);
    }
}

const HEAD: &str = "| bug | found by | seconds | by the comparison with the specification alone |\n| --- | --- | --- | --- |\n";

/// The page, and its rows by their bugs.
fn page() -> (PathBuf, String, Vec<String>) {
    let page = root().join("docs/mutants.md");
    let text = fs::read_to_string(&page).unwrap();
    let (before, rows) = text.split_once(HEAD).unwrap();
    let rows = rows.lines().map(|row| format!("{row}\n")).collect();
    (page, before.to_owned(), rows)
}

fn is_of(row: &str, mutant: &Mutant) -> bool {
    row.starts_with(&format!("| {} |", mutant.name))
}

/// Puts a row into the page, in the museum's order, in place of what the page said of this bug.
fn put(mutant: &Mutant, row: &str) {
    let (page, before, mut rows) = page();
    rows.retain(|old| !is_of(old, mutant));
    rows.push(row.to_owned());
    let ordered = all().filter_map(|mutant| rows.iter().find(|row| is_of(row, mutant)).cloned());
    let table: String = ordered.collect();
    fs::write(page, format!("{before}{HEAD}{table}")).unwrap();
}

/// The page tells of every bug that it was found.
#[test]
fn the_page_has_every_bug_and_who_finds_it() {
    let (_, _, rows) = page();
    for mutant in all() {
        let told = rows.iter().find(|row| is_of(row, mutant));
        let told = told
            .unwrap_or_else(|| panic!("docs/mutants.md does not have {:?}: UPDATE_MUSEUM=1", mutant.name));
        assert!(!told.contains("**not found**"), "{told}");
    }
    assert_eq!(rows.len(), all().count(), "docs/mutants.md has rows of bugs that are not in the museum");
}

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
            if entry.file_name() != "target" && entry.file_name() != ".git" {
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
    command.arg("--no-fail-fast").current_dir(place).env("CARGO_PROFILE_DEV_DEBUG", "0");
    outcome(&mut command)
}

/// Runs what finds a bug that is not in `caps`.
fn run_elsewhere(place: &Path, killer: Killer) -> Run {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--offline"]).current_dir(place);
    outcome(match killer {
        Killer::Case(case) => command.args(["-p", "test-harness", "--test", "target", case]),
        Killer::Tests(package) => command.args(["-p", package, "--lib"]),
    })
}

/// What the tests that a command runs show.
fn outcome(command: &mut Command) -> Run {
    let output = command.env("RUST_BACKTRACE", "0").env_remove("CARGO_TARGET_DIR").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = text
        .lines()
        .filter_map(|line| line.strip_suffix(" ... FAILED").and_then(|line| line.strip_prefix("test ")))
        .map(|name| name.trim_end().to_owned())
        .collect();
    let times = text.lines().filter_map(|line| line.split_once("finished in ")?.1.strip_suffix('s'));
    let seconds = times.filter_map(|time| time.parse::<f64>().ok()).sum();
    Run { failed, built: text.contains("running "), seconds }
}
