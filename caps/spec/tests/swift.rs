//! A little of everything, soon done: with `reached` and `machine` this is what mutants are tried against.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use caps::ledger::LotRole;
use caps::{Kind, SlotIndex, SlotRef, Step};
use caps_spec::game::Game;
use caps_spec::invariant::removal::same_end;
use caps_spec::ledger::SmallLedger;
use caps_spec::operation::{Answer, Operation};
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

/// A step ends when its report is full, whatever its budget, so that no effect is lost; and the next goes on.
#[test]
fn a_step_ends_when_its_report_is_full() {
    let mut game = Game::new();
    let place = |game: &Game, index| game.fixed[0].at(SlotIndex(index)).unwrap();
    let (untyped, dest) = (place(&game, 1), place(&game, 5));
    let retype = |kind, bytes, dest| Operation::Retype { untyped, dest, kind, bytes, align: 1 };
    game.apply(&retype(Kind::CSpace, 64 * 64, dest)).unwrap().unwrap();
    let table = game.subject.memory.peek(dest).capability().unwrap().table().unwrap();
    for index in 1..60 {
        let dest = table.at(SlotIndex(index)).unwrap();
        game.apply(&retype(Kind::Endpoint, 64, dest)).unwrap().unwrap();
        if index.is_multiple_of(2) {
            game.apply(&Operation::Watch { at: dest }).unwrap().unwrap();
        }
    }
    let step = game.apply(&Operation::RevokeStep { root: untyped, budget: 1000 }).unwrap();
    assert_eq!(step, Ok(Answer::Step(Step::More)));
    game.finish(1000).unwrap();
    assert_eq!(game.model.caps.len(), 4);
}

/// What is reset, revoked or deleted may itself be stored in what falls with it: here an Untyped in a table whose first
/// capability is in a table that was made of that Untyped.
#[test]
fn what_is_removed_from_may_fall_with_what_is_removed() {
    for (what, budget) in [(0, 1), (0, 3), (0, 40), (1, 1), (1, 40), (2, 1), (2, 40)] {
        let mut game = Game::new();
        let place = |game: &Game, index| game.fixed[0].at(SlotIndex(index)).unwrap();
        let (root, outer, inner) = (place(&game, 1), place(&game, 5), place(&game, 6));
        let retype = |untyped, kind, bytes, dest| Operation::Retype { untyped, dest, kind, bytes, align: 1 };
        let slot_of = |game: &Game, at| {
            let table = game.subject.memory.peek(at).capability().unwrap().table().unwrap();
            table.at(SlotIndex(1)).unwrap()
        };
        game.apply(&retype(root, Kind::CSpace, 128, outer)).unwrap().unwrap();
        let untyped = slot_of(&game, outer);
        game.apply(&retype(root, Kind::Untyped, 4096, untyped)).unwrap().unwrap();
        game.apply(&retype(untyped, Kind::CSpace, 128, inner)).unwrap().unwrap();
        let dest = slot_of(&game, inner);
        game.apply(&Operation::Move { source: outer, dest }).unwrap().unwrap();
        let begin = [
            Operation::ResetBegin { untyped },
            Operation::RevokeStep { root: untyped, budget: 0 },
            Operation::DeleteStep { at: untyped, budget: 0 },
        ];
        game.apply(&begin[what]).unwrap().unwrap();
        game.finish(budget).unwrap_or_else(|why| panic!("{why}\n{}", game.story()));
        assert!(game.subject.memory.peek(untyped).is_free());
        assert_eq!(game.model.caps.len(), 4, "{}", game.story());
    }
}

/// What the kernel reads off numbers, slots and errors is what was put there.
#[test]
fn numbers_and_slots_say_what_they_are_of() {
    for (number, kind) in (0_u8..).zip(Kind::ALL) {
        assert_eq!((kind.number(), Kind::from_number(number)), (number, Some(kind)));
    }
    assert_eq!(Kind::from_number(u8::try_from(Kind::ALL.len()).unwrap()), None);
    let at = SlotRef::new(0x123).unwrap();
    assert_eq!((at.address(), SlotRef::at(0x123 * 64)), (0x123 * 64, Some(at)));
    for nowhere in [0, 0x123 * 64 + 1, 0x123 * 64 + 32, u64::MAX - 63] {
        assert_eq!(SlotRef::at(nowhere), None);
    }
    let mut game = Game::new();
    let root = game.fixed[0].at(SlotIndex(1)).unwrap();
    let dest = game.fixed[0].at(SlotIndex(5)).unwrap();
    let retype = |kind, bytes| Operation::Retype { untyped: root, dest, kind, bytes, align: 1 };
    game.apply(&retype(Kind::CSpace, 8 * 64)).unwrap().unwrap();
    let (slot, untyped) = (game.subject.memory.peek(dest), game.subject.memory.peek(root));
    let says = slot.capability().unwrap();
    assert_eq!((slot.object(), slot.cspace()), (says.object, says.table()));
    assert_eq!(slot.cspace().map(|table| (table.first.address(), table.count)), Some((says.object, 8)));
    assert_eq!((untyped.object(), untyped.cspace()), (untyped.capability().unwrap().object, None));
    assert_eq!(caps::Error::StaleHandle.to_string(), caps::Error::StaleHandle.name());
    assert!(!caps::Error::StaleHandle.name().is_empty());
}
