//! From every well-formed state of up to four capabilities, every operation leads to a well-formed state; from samples of
//! larger ones too.
//!
//! Tests are begun in the order of their names: the longest is called so that it is the first.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use caps::Kind;
use caps_spec::inductive::FAMILIES;
use caps_spec::record::{Method, Record, grouped};
use caps_spec::small::Extent;

fn search(name: &str) {
    let family = FAMILIES.iter().find(|family| family.name == name).unwrap();
    let extent = family.search(4).unwrap_or_else(|why| panic!("{why}"));
    let scope = format!("{} states, {} operations", grouped(extent.states), grouped(extent.transitions));
    let kinds: Vec<Kind> = extent.kinds.into_iter().collect();
    let name = format!("{name} of up to 4");
    Record::of_forest(Method::Inductive, &name, &scope, &kinds).write(env!("CARGO_TARGET_TMPDIR"));
}

#[test]
fn every_state_of_marks() {
    search("marks");
}

#[test]
fn every_state_of_authority() {
    search("authority");
}

#[test]
fn every_state_of_ages() {
    search("ages");
}

#[test]
fn all_states_of_tables() {
    search("tables");
}

#[test]
fn every_state_of_memory() {
    search("memory");
}

#[test]
fn every_state_of_bindings() {
    search("bindings");
}

#[test]
fn samples_of_larger_states() {
    let mut all = Extent::default();
    for family in FAMILIES {
        for count in [5, 6, 7] {
            let extent = family.sample(count, count as u64, 3_000).unwrap_or_else(|why| panic!("{why}"));
            assert!(extent.states > 10, "{} of {count}: {}", family.name, extent.states);
            all.states += extent.states;
            all.transitions += extent.transitions;
            all.kinds.extend(extent.kinds);
        }
    }
    let scope = format!("{} states, {} operations", grouped(all.states), grouped(all.transitions));
    let kinds: Vec<Kind> = all.kinds.into_iter().collect();
    Record::of_forest(Method::Inductive, "samples of 5 to 7", &scope, &kinds)
        .write(env!("CARGO_TARGET_TMPDIR"));
}
