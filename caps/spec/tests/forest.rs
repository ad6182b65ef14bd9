//! Random play, shrunk to the shortest story when something is wrong.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use caps::Kind;
use caps_spec::game::Game;
use caps_spec::invariant::removal::same_end;
use caps_spec::play::{Throw, throws};
use caps_spec::record::{Method, Record};
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
        let mut game = Game::variant(start);
        game.play(&moves).map_err(|why| TestCaseError::fail(shown(&game, &why, start)))?;
    }

    /// I19: wherever it is interrupted, and in steps of whatever size it goes on, a removal ends in the same state.
    #[test]
    fn a_removal_ends_the_same_in_steps_of_any_size(
        start in any::<u8>(),
        moves in prop::collection::vec(any::<Throw>(), 1..80),
    ) {
        let mut game = Game::variant(start);
        game.play(&moves).map_err(|why| TestCaseError::fail(shown(&game, &why, start)))?;
        let mut ends = [1, 3, 40].map(|budget| (budget, game.clone()));
        for (budget, end) in &mut ends {
            end.finish(*budget).map_err(|why| TestCaseError::fail(format!("{why}\n{}", end.story())))?;
        }
        let [(_, one), rest @ ..] = &ends;
        for (_, other) in rest {
            let same = same_end(&one.subject, &other.subject);
            prop_assert!(same, "I19 restartable\n{}", game.story());
        }
    }
}

/// The failure of a game as a test to run.
fn shown(game: &Game, why: &str, start: u8) -> String {
    game.failure(why, &format!("Game::variant({start})"), || Game::variant(start))
}

/// One long game from a fixed seed.
#[test]
fn ten_thousand_operations_in_one_world() {
    let mut game = Game::new();
    for (count, throw) in throws(1).take(10_000).enumerate() {
        let operation = game.choose(throw);
        if let Err(why) = game.apply(&operation) {
            panic!("operation {count}: {}", game.failure(&why, "Game::new()", Game::new));
        }
        if count % 500 == 499 {
            game.finish(7).unwrap();
        }
    }
    let scope =
        "96 cases of up to 160 operations, 96 removals in steps of 3 sizes, a game of 10,000 operations";
    let mut record = Record::of_forest(Method::Random, "games of a forest", scope, &Kind::ALL);
    record.properties.push(19);
    record.write(env!("CARGO_TARGET_TMPDIR"));
}
