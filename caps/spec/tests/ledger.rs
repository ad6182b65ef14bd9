//! The ledger against its specification, at random.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use std::collections::BTreeSet;

use caps_spec::ledger::LedgerGame;
use caps_spec::play::{Throw, throws};
use caps_spec::record::{Method, Record};
use proptest::prelude::*;

fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { asked.cases } else { 96 };
    let patience = if asked.max_shrink_iters == u32::MAX { 20_000 } else { asked.max_shrink_iters };
    ProptestConfig { cases, max_shrink_iters: patience, failure_persistence: None, ..asked }
}

proptest! {
    #![proptest_config(config())]

    /// I11, I12, I23, I25, I26: after each of up to 200 operations.
    #[test]
    fn every_operation_does_what_the_specification_says(moves in prop::collection::vec(any::<Throw>(), 1..200)) {
        LedgerGame::booted().play(&moves).map_err(TestCaseError::fail)?;
    }
}

/// I25: every documented error of every operation is given, and no other.
#[test]
fn every_documented_error_is_reached() {
    let mut documented = BTreeSet::new();
    let mut reached = BTreeSet::new();
    for seed in 0..100 {
        let mut game = if seed % 4 == 0 { LedgerGame::crowded() } else { LedgerGame::booted() };
        for throw in throws(seed).take(400) {
            let operation = game.choose(throw);
            documented.insert((operation.name(), None));
            documented.extend(operation.errors().iter().map(|&error| (operation.name(), Some(error))));
            game.apply(&operation).unwrap_or_else(|why| panic!("{why}\n{}", game.story()));
        }
        reached.append(&mut game.reached);
    }
    let missing: Vec<_> = documented.difference(&reached).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
    assert_eq!(reached, documented);
    let scope = format!("100 games of 400 operations, {} outcomes", documented.len());
    Record::of_ledger(Method::Random, "games of a ledger", &scope).write(env!("CARGO_TARGET_TMPDIR"));
}
