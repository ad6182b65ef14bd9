//! Random play, shrunk to the shortest story when something is wrong.

use caps_spec::invariant::revocation::same_end;
use caps_spec::play::{Throw, throws};
use caps_spec::session::Session;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// I1 to I6, I13, I15 to I18, I23, I25: after each of up to 160 operations.
    #[test]
    fn every_operation_does_what_the_specification_says(
        start in any::<u8>(),
        moves in prop::collection::vec(any::<Throw>(), 1..160),
    ) {
        let mut session = Session::variant(start);
        session.play(&moves).map_err(TestCaseError::fail)?;
    }

    /// I19: wherever it is interrupted, and in steps of whatever size it goes on, a removal ends in the same state.
    #[test]
    fn a_removal_ends_the_same_in_steps_of_any_size(
        start in any::<u8>(),
        moves in prop::collection::vec(any::<Throw>(), 1..80),
    ) {
        let mut session = Session::variant(start);
        session.play(&moves).map_err(TestCaseError::fail)?;
        let mut ends = [1, 3, 40].map(|budget| (budget, session.clone()));
        for (budget, end) in &mut ends {
            end.finish(*budget).map_err(|why| TestCaseError::fail(format!("{why}\n{}", end.story())))?;
        }
        let [(_, one), rest @ ..] = &ends;
        for (_, other) in rest {
            let same = same_end(&one.subject, &other.subject);
            prop_assert!(same, "I19 restartable\n{}", session.story());
        }
    }
}

/// One long game from a fixed seed.
#[test]
fn ten_thousand_operations_in_one_world() {
    let mut session = Session::new();
    for (count, throw) in throws(1).take(10_000).enumerate() {
        let operation = session.choose(throw);
        if let Err(why) = session.apply(&operation) {
            panic!("operation {count}: {why}\n{}", session.story());
        }
        if count % 500 == 499 {
            session.log.clear();
            session.finish(7).unwrap();
        }
    }
}
