//! The ledger against its specification, at random.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use caps_spec::ledger::LedgerGame;
use caps_spec::play::Throw;
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
