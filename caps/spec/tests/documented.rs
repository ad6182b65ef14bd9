//! docs/invariants.md says what is so: every check and test that it names exists, and every check that runs is there.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All Rust text below a folder.
fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "target" {
            all += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all += &fs::read_to_string(path).unwrap();
        }
    }
    all
}

/// The cells of the table rows that are about invariants: number, what it says, checks.
fn rows(page: &str) -> Vec<Vec<&str>> {
    page.lines()
        .filter(|line| line.starts_with("| **I"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

#[test]
fn every_property_has_a_row() {
    let page = fs::read_to_string(root().join("docs/invariants.md")).unwrap();
    let mut numbers = BTreeSet::new();
    for row in rows(&page) {
        assert_eq!(row.len(), 3, "{row:?}");
        let number = row[0].trim_start_matches("**I").split("**").next().unwrap();
        numbers.insert(number.parse::<u32>().unwrap());
    }
    assert_eq!(numbers, (1..=27).collect());
}

#[test]
fn every_named_check_and_test_exists() {
    let page = fs::read_to_string(root().join("docs/invariants.md")).unwrap();
    let sources = sources(&root().join("caps"));
    let (model, running) = page.split_once("## The running system").unwrap();
    assert!(!running.is_empty());
    for row in rows(model) {
        for name in row[2].split('`').skip(1).step_by(2) {
            let function = name.rsplit("::").next().unwrap();
            let there =
                sources.contains(&format!("fn {function}(")) || sources.contains(&format!("\"{name}\""));
            assert!(there, "{name} of {} is nowhere", row[0]);
        }
    }
}

#[test]
fn every_check_that_runs_has_a_row() {
    let page = fs::read_to_string(root().join("docs/invariants.md")).unwrap();
    for invariant in caps_spec::invariant::STATES {
        let number = invariant.name.split(' ').next().unwrap();
        assert!(page.contains(&format!("**{number}**")), "{}", invariant.name);
    }
    let folder = root().join("caps/spec/src/invariant");
    let mut found = 0;
    for module in [
        "structure",
        "authority",
        "confinement",
        "revocation",
        "ledger",
        "integrity",
        "removal",
        "hardware",
        "refusal",
    ] {
        let text = fs::read_to_string(folder.join(module).with_extension("rs")).unwrap();
        let checks =
            text.lines().filter_map(|line| line.strip_prefix("pub fn ")?.split_once('(')).collect::<Vec<_>>();
        for (name, _) in checks.into_iter().filter(|(_, rest)| rest.contains("Result<(), String>")) {
            found += 1;
            assert!(page.contains(&format!("`{module}::{name}`")), "{module}::{name} has no row");
        }
    }
    assert!(found > 20, "of the checks only {found} were looked for");
}
