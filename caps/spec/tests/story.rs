//! What is printed of a failure is the shortest sequence, and is a test that runs: `replayed.rs` was printed.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use caps::{Capability, Change, Error, Generation, Handle, InFlight, Kind, Rights, Table};
use caps_spec::game::Game;
use caps_spec::operation::Operation;
use caps_spec::play::throws;
use caps_spec::story::{at, badge, minimal, test};

#[test]
fn only_what_is_needed_is_kept() {
    let items: Vec<u32> = (0..1000).collect();
    let fails = |items: &[u32]| items.contains(&17) && items.contains(&801) && items.len() > 2;
    assert_eq!(minimal(&items, fails).len(), 3);
    let fails = |items: &[u32]| items.iter().sum::<u32>() >= 999;
    assert_eq!(minimal(&items, fails), [999]);
}

/// The shortest sequence of a game in which memory that is being reset is not copied, something that is being revoked is
/// not found, and something lands.
fn sequence() -> Vec<Operation> {
    let mut game = Game::new();
    for throw in throws(3).take(3_000) {
        let operation = game.choose(throw);
        let _ = game.apply(&operation).unwrap();
    }
    let operations: Vec<Operation> = game.log.iter().map(|(operation, _)| *operation).collect();
    let wanted = |operations: &[Operation]| {
        let mut game = Game::new();
        game.replay(operations).unwrap();
        [("derive", Some(Error::Busy)), ("lookup", Some(Error::BeingRevoked)), ("land", None)]
            .iter()
            .all(|outcome| game.reached.contains(outcome))
    };
    assert!(wanted(&operations));
    minimal(&operations, wanted)
}

#[test]
fn a_game_is_made_short() {
    let sequence = sequence();
    assert!(sequence.len() < 60, "{} operations", sequence.len());
}

/// One of each kind.
fn one_of_each() -> Vec<Operation> {
    let table = Table { first: at(8), count: 41 };
    let ticket = InFlight { slot: at(14), generation: Generation(0) };
    let region = Capability::new(Kind::Core, Rights::READ, 3, 0);
    let part = Some((0, 4096));
    vec![
        Operation::Retype { untyped: at(9), dest: at(13), kind: Kind::Region, bytes: 8192, align: 1 },
        Operation::Derive {
            parent: at(13),
            dest: at(14),
            change: Change { rights: Rights::READ, badge: None, part },
        },
        Operation::Retype { untyped: at(9), dest: at(15), kind: Kind::AddressSpace, bytes: 4096, align: 1 },
        Operation::Retype { untyped: at(9), dest: at(16), kind: Kind::Endpoint, bytes: 64, align: 1 },
        Operation::Derive {
            parent: at(16),
            dest: at(17),
            change: Change { rights: Rights::all(), badge: badge(3), part: None },
        },
        Operation::Bind { region: at(13), space: at(15), dest: at(18), number: 1 },
        Operation::Lock { source: at(14) },
        Operation::Unlock { ticket },
        Operation::Lock { source: at(14) },
        Operation::Land { ticket, dest: at(19) },
        Operation::Move { source: at(17), dest: at(20) },
        Operation::Watch { at: at(20) },
        Operation::Replace { parent: at(16), dest: at(20) },
        Operation::Lookup { table, handle: Handle(5), kind: Kind::Region, rights: Rights::WRITE },
        Operation::Locate { table, handle: Handle(5) },
        Operation::Vacant { table, index: 30 },
        Operation::Plant { dest: at(21), capability: Capability { badge: 7, ..region } },
        Operation::MarkRevoking { root: at(16) },
        Operation::RevokeStep { root: at(16), budget: 4 },
        Operation::DeleteStep { at: at(13), budget: 4 },
        Operation::SweepStep { budget: 1 },
        Operation::ResetBegin { untyped: at(9) },
        Operation::ResetStep { untyped: at(9), budget: 9 },
        Operation::ResetCleared { untyped: at(9), bytes: 4096 },
    ]
}

#[test]
fn what_is_printed_is_a_test() {
    let mut game = Game::new();
    game.replay(&one_of_each()).unwrap();
    let refused = game.log.iter().filter(|(_, outcome)| outcome.is_err()).count();
    assert_eq!(refused, 0, "{}", game.story());
    let printed = test("Game::new()", &one_of_each());
    // As the formatter leaves it.
    let squeezed = |text: &str| {
        let text: String = text.split_whitespace().collect();
        text.replace(",}", "}").replace(",)", ")").replace(",]", "]")
    };
    if std::env::var_os("UPDATE_STORY").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/replayed.rs"), &printed).unwrap();
        return;
    }
    assert_eq!(squeezed(&printed), squeezed(include_str!("replayed.rs")), "UPDATE_STORY=1 writes it anew");
}
