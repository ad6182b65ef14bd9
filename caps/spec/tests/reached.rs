//! The tests reach what they claim to test: every operation with every error that it documents.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use std::collections::BTreeSet;

use caps::{Error, Kind};
use caps_spec::game::{Game, Reached};
use caps_spec::ledger::LedgerGame;
use caps_spec::operation::Operation;
use caps_spec::play::throws;
use caps_spec::record::{Method, Record};

/// I25, the other direction: every documented error of every operation is really given, and every operation succeeds.
#[test]
fn every_documented_error_is_reached() {
    let mut documented = BTreeSet::new();
    let mut reached = BTreeSet::new();
    for seed in 0..80_u8 {
        let mut game = Game::variant(seed);
        for throw in throws(seed.into()).take(400) {
            let operation = game.choose(throw);
            documented.insert((operation.name(), None));
            documented.extend(operation.errors().iter().map(|&error| (operation.name(), Some(error))));
            let _outcome = game.apply(&operation).unwrap_or_else(|why| panic!("{why}\n{}", game.story()));
        }
        reached.append(&mut game.reached);
    }
    reached.append(&mut at_the_bound());
    every_name_is_there(include_str!("../src/operation.rs"), &reached);
    let missing: Vec<_> = documented.difference(&reached).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
    assert_eq!(reached, documented);
    let scope = format!("{} outcomes", documented.len());
    let record = Record::new(Method::Random, "each error of each operation", &scope, &[25]);
    record.write(env!("CARGO_TARGET_TMPDIR"));
}

/// I25: every documented error of every operation is given, and no other.
#[test]
fn every_documented_error_of_the_ledger_is_reached() {
    let mut documented = BTreeSet::new();
    let mut reached = BTreeSet::new();
    for seed in 0..100 {
        let mut game = if seed % 4 == 0 { LedgerGame::crowded() } else { LedgerGame::booted() };
        for throw in throws(seed).take(400) {
            let operation = game.choose(throw);
            documented.insert((operation.name(), None));
            documented.extend(operation.errors().iter().map(|&error| (operation.name(), Some(error))));
            game.apply(&operation).unwrap_or_else(|why| panic!("{why}\n{}", game.story()));
        }
        reached.append(&mut game.reached);
    }
    every_name_is_there(include_str!("../src/ledger/mod.rs"), &reached);
    let missing: Vec<_> = documented.difference(&reached).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
    assert_eq!(reached, documented);
    let scope = format!("100 games of 400 operations, {} outcomes", documented.len());
    Record::of_ledger(Method::Random, "games of a ledger", &scope).write(env!("CARGO_TARGET_TMPDIR"));
}

/// Every operation to which its source gives a name was played: one that no throw becomes would be missed by nobody.
fn every_name_is_there(source: &'static str, reached: &BTreeSet<(&str, Option<Error>)>) {
    let name =
        |line: &'static str| line.trim().strip_prefix("Self::")?.split_once("=> \"")?.1.strip_suffix("\",");
    let names: Vec<&str> = source.lines().filter_map(name).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(reached.contains(&(name, None)), "no throw becomes a {name} that is not refused");
    }
}

/// Chance seldom leaves a chain of full depth alone for long.
fn at_the_bound() -> Reached {
    let mut all = Reached::new();
    for kind in [Kind::Untyped, Kind::Region] {
        let mut game = Game::tall(kind);
        let place = |game: &Game, deepest: bool| {
            let depth = |id: &u64| game.model.ancestors(*id).len();
            let caps = game.model.caps.iter().filter(|(_, cap)| cap.says.kind == kind);
            let deep = caps.clone().max_by_key(|(id, _)| depth(id));
            if deepest { deep } else { caps.min_by_key(|(id, _)| depth(id)) }.unwrap().1.place
        };
        let root = game.model.caps[&0].place;
        let (deepest, free) = (place(&game, true), root.offset(30).unwrap());
        let retype = |untyped, kind, dest| Operation::Retype { untyped, dest, kind, bytes: 4096, align: 1 };
        let space = root.offset(31).unwrap();
        game.apply(&retype(root, Kind::AddressSpace, space)).unwrap().unwrap();
        let too_deep = match kind {
            Kind::Untyped => retype(deepest, Kind::Region, free),
            _ => Operation::Bind { region: deepest, space, dest: free, number: 1 },
        };
        assert_eq!(game.apply(&too_deep), Ok(Err(Error::DepthExceeded)));
        all.append(&mut game.reached);
    }
    all
}
