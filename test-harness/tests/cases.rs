//! The two lists of target cases, the harness's and the guest's, are one.

use std::collections::BTreeSet;

use test_harness::cases::{CASES, LONG_CASES, MUSEUM, MUTANTS};

#[test]
fn every_case_is_known_on_both_sides() {
    let ordered = MUTANTS.iter().chain(MUSEUM).map(|(case, _)| case);
    let all = CASES.iter().chain(LONG_CASES).chain(ordered);
    let here: BTreeSet<&str> = all.clone().map(|case| case.name).collect();
    let there: BTreeSet<&str> = guest_tests::CASES.iter().map(|(name, _)| *name).collect();
    assert_eq!(here.len(), all.count(), "no case is listed twice");
    assert_eq!(there.len(), guest_tests::CASES.len(), "no case of the guest is listed twice");
    let only =
        |a: &BTreeSet<&str>, b: &BTreeSet<&str>| a.difference(b).map(|s| (*s).to_owned()).collect::<Vec<_>>();
    assert_eq!(only(&here, &there), Vec::<String>::new(), "these are in the harness's table only");
    assert_eq!(only(&there, &here), Vec::<String>::new(), "these are in the guest program only");
}
