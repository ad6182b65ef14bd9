//! Long runs of the code against the specification, as long as asked:
//! `SOAK_OPERATIONS=100000000 SOAK_SEED=1 cargo test --release -p caps-spec --test soak -- --ignored --nocapture`.
//!
//! Each answer and each state is compared; every invariant is looked at after every 64 operations. Half of the operations
//! are on forests, half on ledgers, in cases of 10,000 that begin anew.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use std::time::Instant;

use caps_spec::game::Game;
use caps_spec::invariant;
use caps_spec::ledger::LedgerGame;
use caps_spec::play::throws;
use caps_spec::record::grouped;
use caps_spec::transition::Scrutiny;

const CASE: u64 = 10_000;

fn asked(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

/// A few cases always, so that the long run can be relied on to begin.
#[test]
fn a_few_cases() {
    soak(7, 40_000);
}

#[test]
#[ignore = "as long as asked"]
fn as_long_as_asked() {
    soak(asked("SOAK_SEED", 1), asked("SOAK_OPERATIONS", 1_000_000));
}

fn soak(seed: u64, operations: u64) {
    let began = Instant::now();
    let cases = operations.div_ceil(2 * CASE);
    std::thread::scope(|scope| {
        scope.spawn(|| (0..cases).for_each(|case| forest(seed, case)));
        scope.spawn(|| (0..cases).for_each(|case| ledger(seed, case)));
    });
    let done = grouped(usize::try_from(2 * cases * CASE).unwrap());
    println!("{done} operations from seed {seed}, {:.0} s, no difference", began.elapsed().as_secs_f64());
}

/// The seed of a case, so that each can be run alone.
fn of_case(seed: u64, case: u64) -> u64 {
    seed.wrapping_mul(1 << 32).wrapping_add(case)
}

fn forest(seed: u64, case: u64) {
    let variant = u8::try_from(case % 4).unwrap();
    let mut game = Game::variant(variant);
    game.scrutiny = Scrutiny::Refinement;
    for (count, throw) in (1..).zip(throws(of_case(seed, case)).take(usize::try_from(CASE).unwrap())) {
        let operation = game.choose(throw);
        let mut wrong = game.apply(&operation).map(|_| ());
        if count % 64 == 0 {
            wrong = wrong.and_then(|()| invariant::check_state(&game.subject, &game.fixed));
        }
        if let Err(why) = wrong {
            let beginning = format!("Game::variant({variant})");
            panic!("case {case}: {}", game.failure(&why, &beginning, || Game::variant(variant)));
        }
        if count % 512 == 0 {
            game.finish(7).unwrap();
        }
    }
}

fn ledger(seed: u64, case: u64) {
    let mut game = if case.is_multiple_of(4) { LedgerGame::crowded() } else { LedgerGame::booted() };
    game.scrutiny = Scrutiny::Refinement;
    for (count, throw) in (1..).zip(throws(of_case(seed, case)).take(usize::try_from(CASE).unwrap())) {
        let operation = game.choose(throw);
        game.scrutiny = if count % 64 == 0 { Scrutiny::Everything } else { Scrutiny::Refinement };
        game.apply(&operation).unwrap_or_else(|why| panic!("case {case}: {why}\n{}", game.story()));
    }
}
