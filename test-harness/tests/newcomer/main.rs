//! The newcomer's path: `new-service` writes a service that builds, passes its tests and runs; or nothing.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod guide;
mod tree;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use test_harness::service::create;

use tree::{Tree, said};

/// Every file below a folder, what is linked left out, with what is in it.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            found.push((path, Vec::new()));
        } else if path.is_dir() {
            found.push((path.clone(), Vec::new()));
            found.extend(contents(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

/// Asks for a service that there cannot be: it is told why, and nothing is written.
#[track_caller]
fn refused(tree: &Tree, name: &str, reason: &str) {
    let before = contents(tree.root());
    let told = create(tree.root(), name).expect_err("it must be refused").to_string();
    assert!(told.contains(reason), "{name}: {reason:?} expected in: {told}");
    assert_eq!(contents(tree.root()), before, "{name} leaves something");
}

#[test]
fn names_that_will_not_do_are_refused() {
    let tree = Tree::new();
    for name in ["", "a-name-of-seventeen"] {
        refused(&tree, name, "a server's name has 1 to 16 characters");
    }
    for name in ["Counter", "block_cache", "a b", "../up", "-x", "x-", "x--y", "7up", "x/y", "é", "a\n"] {
        refused(&tree, name, "its words have the characters a to z and 0 to 9");
    }
    for name in ["type", "match", "self", "gen", "macro"] {
        refused(&tree, name, "it is a keyword of Rust");
    }
    for (name, used) in [
        ("keeper", "every service uses Keeper already"),
        ("caller", "every service uses Caller already"),
        ("tally", "every service uses tally already"),
        ("call-error", "every service uses CallError already"),
        ("round", "every service uses round already"),
        ("tests", "every service uses tests already"),
    ] {
        refused(&tree, name, used);
    }
}

#[test]
fn what_is_there_stays_as_it_is() {
    let tree = Tree::new();
    refused(&tree, "store", "subos-server/store exists already");
    refused(&tree, "sample", "subos-server/sample exists already");
    // A manifest of that name, without a crate.
    refused(&tree, "demo", "test-harness/manifests/demo.toml exists already");
}

#[test]
fn what_cannot_be_finished_is_not_begun() {
    let tree = Tree::new();
    // A link to nowhere does not exist for who looks, and nothing can be moved there.
    symlink("/nowhere", tree.root().join("subos-server/counter")).unwrap();
    refused(&tree, "counter", "cannot write");
    fs::remove_file(tree.root().join("subos-server/counter")).unwrap();
    symlink("/nowhere", tree.root().join("test-harness/manifests/counter.toml")).unwrap();
    refused(&tree, "counter", "cannot write");
    // A template that somebody works at: a file of it is not there, or not Rust.
    let source = tree.root().join("subos-server/sample");
    fs::remove_file(&source).unwrap();
    refused(&tree, "other", "cannot read");
    fs::create_dir_all(source.join("src")).unwrap();
    for file in ["Cargo.toml", "sample.schema", "src/lib.rs", "src/server.rs", "src/client.rs"] {
        fs::write(source.join(file), "fn half(").unwrap();
    }
    refused(&tree, "other", "rustfmt does not take the new source");
}

#[test]
fn a_new_service_passes_its_tests_and_runs() {
    let tree = Tree::new();
    // Two words, so that no two ways of writing the name are alike.
    let made = tree.run("cargo run -- new-service night-watch");
    assert!(made.status.success(), "{}", said(&made));
    let shown = String::from_utf8(made.stdout).unwrap();
    let commands: Vec<&str> = shown.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    let [test, run, _] = commands.as_slice() else { panic!("it says what to do next: {shown}") };
    let tested = tree.run(test);
    assert!(tested.status.success(), "{}", said(&tested));
    assert!(said(&tested).contains("6 passed"), "{}", said(&tested));
    let played = tree.run(run);
    assert!(played.status.success(), "{}", said(&played));
    assert!(said(&played).contains("all is well"), "{}", said(&played));
    let again = tree.run("cargo run -- new-service night-watch");
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
}
