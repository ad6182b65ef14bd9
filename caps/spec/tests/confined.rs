//! I7: two processes with a little memory each and something in common; each plays by itself, and comes to hold nothing
//! beyond what it could reach at its beginning, whatever it does.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use caps::bounds::PAGE;
use caps::{Capability, Change, Kind, Rights, SlotIndex, SlotRef, Table};
use caps_spec::game::Game;
use caps_spec::invariant::confinement::{authority, confined, is_own, reach};
use caps_spec::operation::Operation;
use caps_spec::play::throws;
use caps_spec::record::{Method, Record, grouped};

/// What the two have.
struct Pair {
    game: Game,
    tables: [Table; 2],
}

fn retype(untyped: SlotRef, kind: Kind, bytes: u64, dest: SlotRef) -> Operation {
    Operation::Retype { untyped, dest, kind, bytes, align: 1 }
}

impl Pair {
    /// Each has a table of eight slots in slot 5 or 6 of the root table, memory of two pages, a read-only half of a region
    /// and a badge of an endpoint; the first can look into a third table, in which the second has a capability to its own.
    fn new() -> Self {
        let mut game = Game::new();
        let root = game.fixed[0];
        let at = |table: Table, index| table.at(SlotIndex(index)).unwrap();
        let mut apply = |operation| game.apply(&operation).unwrap().unwrap();
        let memory = at(root, 1);
        for index in [5, 6, 7] {
            apply(retype(memory, Kind::CSpace, 8 * 64, at(root, index)));
        }
        apply(retype(memory, Kind::Region, 2 * PAGE, at(root, 8)));
        apply(retype(memory, Kind::Endpoint, 64, at(root, 9)));
        let table = |game: &Game, index| {
            game.subject.memory.peek(at(root, index)).capability().unwrap().table().unwrap()
        };
        let [first, second, shared] = [5, 6, 7].map(|index| table(&game, index));
        let mut apply = |operation| game.apply(&operation).unwrap().unwrap();
        for (number, own) in (0..).zip([first, second]) {
            let half =
                Change { part: Some((number * PAGE, PAGE)), ..Change::rights(Rights::READ | Rights::DERIVE) };
            let badge = core::num::NonZeroU64::new(number + 1);
            let caller = Change { badge, ..Change::rights(Rights::CALL | Rights::DERIVE) };
            apply(retype(memory, Kind::Untyped, 2 * PAGE, at(own, 1)));
            apply(Operation::Derive { parent: at(root, 8), dest: at(own, 2), change: half });
            apply(Operation::Derive { parent: at(root, 9), dest: at(own, 3), change: caller });
        }
        let look = Change::rights(Rights::READ | Rights::DERIVE);
        apply(Operation::Derive { parent: at(root, 7), dest: at(first, 4), change: look });
        apply(Operation::Derive { parent: at(root, 5), dest: at(shared, 1), change: look });
        Self { game, tables: [first, second] }
    }
}

#[test]
fn nobody_comes_to_hold_what_it_could_not_reach() {
    let mut played = 0;
    for seed in 0..30 {
        let Pair { mut game, tables } = Pair::new();
        let table = tables[usize::from(seed % 2 == 1)];
        let begin = authority(&game.subject, &reach(&game.subject, table));
        for throw in throws(1000 + seed).take(1500) {
            let own = reach(&game.subject, table);
            let operation = game.choose(throw);
            if !is_own(&operation, &own) {
                continue;
            }
            let _ = game.apply(&operation).unwrap_or_else(|why| panic!("{why}\n{}", game.story()));
            played += 1;
            let now = authority(&game.subject, &reach(&game.subject, table));
            confined(&begin, &now).unwrap_or_else(|why| panic!("{why}\n{}", game.story()));
        }
    }
    let scope = format!("30 games, {} operations", grouped(played));
    let record = Record::new(Method::Random, "two processes of which one plays", &scope, &[7]);
    record.write(env!("CARGO_TARGET_TMPDIR"));
    assert!(played > 4_000, "{played}");
}

/// The check itself can fail: with more rights, a wider range, another badge, another kind, or a space out of reach.
#[test]
fn more_than_was_reached_is_found() {
    let region = Capability::new(Kind::Region, Rights::READ, PAGE, 2 * PAGE);
    let endpoint = Capability { badge: 3, ..Capability::new(Kind::Endpoint, Rights::all(), 64, 64) };
    let had = [region, endpoint];
    let binding = Capability { kind: Kind::Binding, space: 1 << 20, number: 1, ..region };
    for new in [
        Capability { rights: Rights::READ | Rights::WRITE, ..region },
        Capability { size: 3 * PAGE, ..region },
        Capability { badge: 4, ..endpoint },
        Capability { kind: Kind::Notification, ..endpoint },
        binding,
    ] {
        assert!(confined(&had, &[new]).is_err(), "{new:?}");
    }
    let space = Capability::new(Kind::AddressSpace, Rights::READ, 1 << 20, 1);
    assert_eq!(confined(&[region, space], &[Capability { size: PAGE, ..region }, binding]), Ok(()));
}
