//! docs/assurance.md claims no more than the tests of this tree have reached, which each of them wrote down.
//!
//! `cargo test` runs them before this. `UPDATE_ASSURANCE=1 cargo test -p test-harness --test assurance` writes the page
//! anew, from what they wrote down last; it is never typed.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::BTreeSet;
use std::fs;

use caps_spec::record::{records, tables, unreached};
use test_harness::place;

const HEAD: &str = "# Assurance

What was checked, how, and how far. Made by the tests that ran, from what each wrote down, and held by a test to what they
reach on every run; see [invariants.md](invariants.md) for what each property says and which function checks it.

- **exhausted**: every reachable state of a small world, and every operation in each
- **inductive**: every well-formed state up to a size, reachable or not, and every operation in each
- **two runs**: pairs of runs, or of states that look alike to somebody, compared
- **random**: random operations, all checks after each, failures shrunk
- **interleaved**: every order in which cores can take the steps of a protocol of the kernel's, and every value that the
  memory model lets them read, with three turns of each waiting loop; where it says so, with few preemptions
- **fuzzed**: arbitrary bytes; **chosen cases**: by hand

A property is named with what was gone through only if there was something there that it is about. Nothing here is proved.
What is assumed is checked by nothing that these tables count.

";

#[test]
fn the_page_claims_no_more_than_was_reached() {
    let place = place::root().join("docs/assurance.md");
    let records = records(env!("CARGO_TARGET_TMPDIR"));
    if std::env::var_os("UPDATE_ASSURANCE").is_some() {
        fs::write(&place, format!("{HEAD}{}", tables(&records))).unwrap();
        return;
    }
    if records.is_empty() {
        println!("no test of these sources has written anything down: run cargo test -p caps-spec first");
        return;
    }
    let page = fs::read_to_string(&place).unwrap();
    assert!(page.starts_with(HEAD), "the page does not begin as it should: UPDATE_ASSURANCE=1");
    let missing = unreached(&page, &records);
    assert!(
        missing.is_empty(),
        "docs/assurance.md claims what the tests of these sources did not reach:\n{}\n\nRun all of cargo test -p \
         caps-spec; if the claim is to go, then UPDATE_ASSURANCE=1 cargo test -p test-harness --test assurance",
        missing.join("\n")
    );
    let properties: BTreeSet<&str> =
        page.lines().filter(|line| line.starts_with("| **I")).map(|line| &line[..8]).collect();
    assert_eq!(properties.len(), 27);
}
