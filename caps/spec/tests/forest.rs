//! Random play, shrunk to the shortest story when something is wrong.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use caps::{Kind, SlotIndex, Step};
use caps_spec::invariant::revocation::same_end;
use caps_spec::operation::{Answer, Operation};
use caps_spec::play::{Throw, throws};
use caps_spec::session::Session;
use proptest::prelude::*;

/// As many cases as are done in a second or two, unless the environment asks for more, and shrinking that has time.
fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { asked.cases } else { 96 };
    let patience = if asked.max_shrink_iters == u32::MAX { 20_000 } else { asked.max_shrink_iters };
    ProptestConfig { cases, max_shrink_iters: patience, failure_persistence: None, ..asked }
}

proptest! {
    #![proptest_config(config())]

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

/// A step ends when its report is full, whatever its budget, so that no effect is lost; and the next goes on.
#[test]
fn a_step_ends_when_its_report_is_full() {
    let mut session = Session::new();
    let place = |session: &Session, index| session.fixed[0].at(SlotIndex(index)).unwrap();
    let (untyped, dest) = (place(&session, 1), place(&session, 5));
    let retype = |kind, bytes, dest| Operation::Retype { untyped, dest, kind, bytes, align: 1 };
    session.apply(&retype(Kind::CSpace, 64 * 64, dest)).unwrap().unwrap();
    let table = session.subject.memory.peek(dest).capability().unwrap().table().unwrap();
    for index in 1..60 {
        let dest = table.at(SlotIndex(index)).unwrap();
        session.apply(&retype(Kind::Endpoint, 64, dest)).unwrap().unwrap();
        if index.is_multiple_of(2) {
            session.apply(&Operation::Watch { at: dest }).unwrap().unwrap();
        }
    }
    let step = session.apply(&Operation::RevokeStep { root: untyped, budget: 1000 }).unwrap();
    assert_eq!(step, Ok(Answer::Step(Step::More)));
    session.finish(1000).unwrap();
    assert_eq!(session.model.caps.len(), 4);
}
