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
        Operation::Retype { untyped: at(9), dest: at(41), kind: Kind::CSpace, bytes: 320, align: 1 },
        Operation::Retype { untyped: at(9), dest: at(21), kind: Kind::Region, bytes: 4096, align: 1 },
        Operation::Lock { source: at(21) },
        Operation::Retype { untyped: at(9), dest: at(66), kind: Kind::Region, bytes: 4096, align: 8192 },
        Operation::Land { ticket: InFlight { slot: at(21), generation: Generation(0) }, dest: at(45) },
        Operation::DeleteStep { at: at(41), budget: 4 },
        Operation::RevokeStep { root: at(41), budget: 2 },
        Operation::Retype { untyped: at(9), dest: at(15), kind: Kind::Endpoint, bytes: 64, align: 1 },
        Operation::RevokeStep { root: at(9), budget: 3 },
        Operation::Move { source: at(9), dest: at(42) },
        Operation::Plant {
            dest: at(43),
            capability: Capability::new(Kind::Core, Rights::from_bits_retain(9), 3, 0),
        },
        Operation::Retype { untyped: at(42), dest: at(28), kind: Kind::AddressSpace, bytes: 8192, align: 1 },
        Operation::Retype { untyped: at(42), dest: at(26), kind: Kind::AddressSpace, bytes: 8192, align: 1 },
        Operation::Retype { untyped: at(42), dest: at(24), kind: Kind::Notification, bytes: 64, align: 1 },
        Operation::ResetBegin { untyped: at(42) },
        Operation::ResetStep { untyped: at(42), budget: 6 },
        Operation::RevokeStep { root: at(42), budget: 2 },
        Operation::DeleteStep { at: at(43), budget: 4 },
        Operation::Derive {
            parent: at(42),
            dest: at(46),
            change: Change { rights: Rights::from_bits_retain(42), badge: badge(0), part: None },
        },
        Operation::ResetBegin { untyped: at(42) },
        Operation::ResetCleared { untyped: at(42), bytes: 36928 },
        Operation::Retype { untyped: at(42), dest: at(43), kind: Kind::Thread, bytes: 1024, align: 1 },
        Operation::Retype { untyped: at(42), dest: at(33), kind: Kind::CSpace, bytes: 192, align: 8192 },
        Operation::Retype { untyped: at(42), dest: at(13), kind: Kind::Thread, bytes: 1024, align: 1 },
        Operation::Derive {
            parent: at(42),
            dest: at(35),
            change: Change { rights: Rights::from_bits_retain(127), badge: badge(0), part: None },
        },
        Operation::RevokeStep { root: at(42), budget: 3 },
        Operation::Lookup {
            table: Table { first: at(8), count: 40 },
            handle: Handle(4294967331),
            kind: Kind::Core,
            rights: Rights::from_bits_retain(1),
        },
    ])
}
