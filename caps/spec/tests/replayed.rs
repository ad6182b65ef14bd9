//! A failure, as it was printed: the shortest sequence of operations that leads to it.
#![allow(unused_imports, reason = "not every sequence needs all of them")]

use caps::{Capability, Change, Generation, Handle, InFlight, Kind, Rights, Table};
use caps_spec::game::Game;
use caps_spec::operation::Operation;
use caps_spec::story::{at, badge};

#[test]
fn what_was_found() -> Result<(), String> {
    let mut game = Game::new();
    game.replay(&[
        Operation::Retype { untyped: at(9), dest: at(13), kind: Kind::Region, bytes: 8192, align: 1 },
        Operation::Derive {
            parent: at(13),
            dest: at(14),
            change: Change { rights: Rights::from_bits_retain(1), badge: badge(0), part: Some((0, 4096)) },
        },
        Operation::Retype { untyped: at(9), dest: at(15), kind: Kind::AddressSpace, bytes: 4096, align: 1 },
        Operation::Retype { untyped: at(9), dest: at(16), kind: Kind::Endpoint, bytes: 64, align: 1 },
        Operation::Derive {
            parent: at(16),
            dest: at(17),
            change: Change { rights: Rights::from_bits_retain(127), badge: badge(3), part: None },
        },
        Operation::Bind { region: at(13), space: at(15), dest: at(18), number: 1 },
        Operation::Lock { source: at(14) },
        Operation::Unlock { ticket: InFlight { slot: at(14), generation: Generation(0) } },
        Operation::Lock { source: at(14) },
        Operation::Land { ticket: InFlight { slot: at(14), generation: Generation(0) }, dest: at(19) },
        Operation::Move { source: at(17), dest: at(20) },
        Operation::Watch { at: at(20) },
        Operation::Replace { parent: at(16), dest: at(20) },
        Operation::Lookup {
            table: Table { first: at(8), count: 41 },
            handle: Handle(5),
            kind: Kind::Region,
            rights: Rights::from_bits_retain(2),
        },
        Operation::Locate { table: Table { first: at(8), count: 41 }, handle: Handle(5) },
        Operation::Vacant { table: Table { first: at(8), count: 41 }, index: 30 },
        Operation::Plant {
            dest: at(21),
            capability: Capability {
                badge: 7,
                ..Capability::new(Kind::Core, Rights::from_bits_retain(1), 3, 0)
            },
        },
        Operation::MarkRevoking { root: at(16) },
        Operation::RevokeStep { root: at(16), budget: 4 },
        Operation::DeleteStep { at: at(13), budget: 4 },
        Operation::SweepStep { budget: 1 },
        Operation::ResetBegin { untyped: at(9) },
        Operation::ResetStep { untyped: at(9), budget: 9 },
        Operation::ResetCleared { untyped: at(9), bytes: 4096 },
    ])
}
