//! I24: two who share nothing do not notice each other: long random runs of which one is without the other. (Every state of
//! small worlds: `small_scope.rs`.)
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use std::collections::BTreeSet;

use caps::bounds::PAGE;
use caps::{Kind, SlotIndex, SlotRef, Table};
use caps_spec::game::Game;
use caps_spec::invariant::confinement::{is_own, reach};
use caps_spec::machine::{Act, Machine};
use caps_spec::noninterference::{to_the_end, view};
use caps_spec::operation::Operation;
use caps_spec::play::throws;
use caps_spec::record::{Method, Record, grouped};

/// A root table with memory for two processes and a table of 12 slots for each.
fn two_processes() -> (Game, [Table; 2]) {
    let mut game = Game::new();
    let root = game.fixed[0];
    let at = |index| root.at(SlotIndex(index)).unwrap();
    let retype = |untyped, kind, bytes, dest| Operation::Retype { untyped, dest, kind, bytes, align: 1 };
    for operation in
        [retype(at(1), Kind::CSpace, 12 * 64, at(5)), retype(at(2), Kind::CSpace, 12 * 64, at(6))]
    {
        game.apply(&operation).unwrap().unwrap();
    }
    let table = |game: &Game, index| {
        let says = game.subject.memory.peek(at(index)).capability().unwrap();
        says.table().unwrap()
    };
    let tables = [table(&game, 5), table(&game, 6)];
    for (memory, table) in [at(1), at(2)].into_iter().zip(tables) {
        let dest = table.at(SlotIndex(1)).unwrap();
        game.apply(&retype(memory, Kind::Untyped, 4 * PAGE, dest)).unwrap().unwrap();
    }
    (game, tables)
}

/// Both play; then the first plays the same again without the second. Each of its operations answers the same, and leaves
/// it with the same.
#[test]
fn a_run_without_the_other_looks_the_same() {
    let (mut mine, mut others) = (0, 0);
    for seed in 0..80 {
        let (mut game, tables) = two_processes();
        let (mut alone, _) = two_processes();
        for throw in throws(seed).take(1_500) {
            let slots: Vec<BTreeSet<SlotRef>> =
                tables.iter().map(|&table| reach(&game.subject, table)).collect();
            let operation = game.choose(throw);
            if matches!(operation, Operation::SweepStep { .. }) {
                continue;
            }
            if is_own(&operation, &slots[1]) {
                let _ = game.subject.perform(&operation, &mut Vec::new());
                others += 1;
            } else if is_own(&operation, &slots[0]) {
                let outcome = to_the_end(&mut game.subject, &operation);
                let again = to_the_end(&mut alone.subject, &operation);
                assert_eq!(outcome, again, "seed {seed}: {operation:?}");
                let slots: Vec<SlotRef> = slots[0].iter().copied().collect();
                let (with, without) = (view(&game.subject, &slots), view(&alone.subject, &slots));
                assert_eq!(with, without, "seed {seed}: {operation:?}");
                mine += 1;
            }
            // The choice of the next operation is made of the specification's state.
            game.model = caps_spec::model::Model::of(&game.subject);
        }
    }
    assert!(mine > 1_500 && others > 5_000, "{mine} and {others}");
    let scope = format!(
        "80 pairs of runs, {} operations of the one, {} of the other",
        grouped(mine),
        grouped(others)
    );
    Record::new(Method::TwoRuns, "two processes with and without the other", &scope, &[24])
        .write(env!("CARGO_TARGET_TMPDIR"));
}

/// A machine, and the same machine on which one subOS does nothing by itself: to another the two look the same, whatever
/// the supervisor gives and takes. (Taking a lot is gone on with to its end: how many steps that takes depends on its
/// holder, and only the supervisor sees it.)
#[test]
fn a_machine_on_which_another_does_nothing_looks_the_same() {
    let (mut compared, mut left_out) = (0, 0);
    for seed in 0..6 {
        let (mut full, mut without) = (Machine::new(4, 8, 4), Machine::new(4, 8, 4));
        for throw in throws(100 + seed).take(2_500) {
            let act = full.choose(throw);
            match &act {
                Act::Own(of, _) if of.index == 2 => {
                    full.apply(&act).unwrap();
                    left_out += 1;
                    continue;
                }
                Act::Revoke(lot, _) => {
                    for machine in [&mut full, &mut without] {
                        while machine.apply(&Act::Revoke(*lot, 40)).unwrap() {}
                    }
                }
                _ => {
                    let (one, other) = (full.apply(&act).unwrap(), without.apply(&act).unwrap());
                    assert_eq!(one, other, "seed {seed}: {act:?}");
                }
            }
            for (&subos, _) in full.suboses.iter().filter(|(subos, _)| subos.index != 2) {
                assert_eq!(full.view(subos), without.view(subos), "seed {seed}: {act:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 5_000 && left_out > 300, "{compared} and {left_out}");
    let scope =
        format!("6 pairs of runs, {} looks, {} operations left out", grouped(compared), grouped(left_out));
    Record::new(Method::TwoRuns, "machines with and without what one subOS does", &scope, &[24])
        .write(env!("CARGO_TARGET_TMPDIR"));
}
