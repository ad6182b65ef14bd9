//! A little of everything, soon done: with `reached` and `machine` this is what mutants are tried against.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use caps::ledger::LotRole;
use caps_spec::game::Game;
use caps_spec::invariant::removal::same_end;
use caps_spec::ledger::SmallLedger;
use caps_spec::play::throws;
use caps_spec::small::{Symmetry, World};

#[test]
fn the_smallest_worlds() {
    for world in
        [World::tree(4), World::aging_tree(2), World::tables(2, [1, 1]), World::bindings(4), World::memory(2)]
    {
        let extent = world.explore(100_000).unwrap_or_else(|why| panic!("{why}"));
        assert!(extent.complete);
    }
}

#[test]
fn the_smallest_ledger() {
    let roles = &[LotRole::Home, LotRole::Extra, LotRole::Window];
    let small = SmallLedger { cores: 1, chunks: 1, suboses: 2, roles, symmetry: Symmetry::Merged };
    small.explore().unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn a_removal_ends_the_same_in_steps_of_any_size() {
    for seed in 0..24_u8 {
        let mut game = Game::variant(seed);
        for throw in throws(seed.into()).take(60) {
            let _ = game.apply(&game.choose(throw)).unwrap();
        }
        let mut ends = [1, 3, 40].map(|budget| (budget, game.clone()));
        for (budget, end) in &mut ends {
            end.finish(*budget).unwrap_or_else(|why| panic!("{why}\n{}", end.story()));
        }
        let [(_, one), rest @ ..] = &ends;
        assert!(rest.iter().all(|(_, other)| same_end(&one.subject, &other.subject)), "{}", game.story());
    }
}
