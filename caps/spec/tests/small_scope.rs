//! Every reachable state of small worlds, and every operation in each. The larger ones on request:
//! `cargo test --release -p caps-spec --test small_scope -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use std::fs;
use std::path::Path;
use std::time::Instant;

use caps_spec::ledger::SmallLedger;
use caps_spec::record::grouped;
use caps_spec::small::{Extent, Symmetry, World};

fn explore(world: &World) -> Extent {
    let began = Instant::now();
    let extent = world.explore(5_000_000).unwrap_or_else(|why| panic!("{why}"));
    let Extent { states, transitions, accepted, .. } = extent;
    let (name, slots, seconds) = (world.name, world.slots, began.elapsed().as_secs_f64());
    println!(
        "{name} of {slots}: {states} states, {transitions} operations, {accepted} accepted, {seconds:.1} s"
    );
    assert!(extent.complete, "{name} of {slots} has more states");
    extent
}

/// The page of invariants says how many states there are: so it says what is so.
fn documented(extent: &Extent) {
    let row = format!("| {} | {} |", grouped(extent.states), grouped(extent.transitions));
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/invariants.md");
    assert!(fs::read_to_string(page).unwrap().contains(&row), "docs/invariants.md does not say {row}");
}

#[test]
fn trees_of_six_capabilities() {
    documented(&explore(&World::tree(6)));
}

#[test]
fn trees_of_three_slots_that_wear_out() {
    documented(&explore(&World::aging_tree(3)));
}

#[test]
fn two_tables_that_can_hold_themselves_and_each_other() {
    documented(&explore(&World::tables(2, [1, 1])));
}

#[test]
fn a_region_and_two_spaces_in_five_slots() {
    documented(&explore(&World::bindings(5)));
}

#[test]
fn memory_in_three_slots() {
    documented(&explore(&World::memory(3)));
}

fn ledger(cores: u8, chunks: u32, suboses: usize) -> SmallLedger {
    SmallLedger { cores, chunks, suboses, symmetry: Symmetry::Merged }
}

#[test]
fn a_ledger_of_three_suboses_and_four_resources() {
    documented(&explore_ledger(ledger(2, 2, 3)));
}

#[test]
fn merging_loses_no_ledger() {
    for small in [ledger(2, 1, 3), ledger(1, 2, 2)] {
        let merged = explore_ledger(small);
        let plain = explore_ledger(SmallLedger { symmetry: Symmetry::Plain, ..small });
        assert_eq!(plain.forms, merged.states);
        assert!(plain.states >= merged.states);
    }
}

fn explore_ledger(small: SmallLedger) -> Extent {
    let began = Instant::now();
    let extent = small.explore().unwrap_or_else(|why| panic!("{why}"));
    let Extent { states, transitions, accepted, .. } = extent;
    let seconds = began.elapsed().as_secs_f64();
    println!("{small:?}: {states} states, {transitions} operations, {accepted} accepted, {seconds:.1} s");
    extent
}

#[test]
#[ignore = "the next sizes: minutes"]
fn the_next_sizes() {
    explore(&World::memory(4));
    explore(&World::aging_tree(4));
    explore(&World::tables(2, [2, 1]));
    explore(&World::bindings(6));
    explore(&World::tree(7));
    explore_ledger(ledger(2, 3, 3));
}

/// Merging symmetric states loses none: the plain search finds exactly as many canonical forms as the merged one has
/// states.
#[test]
fn merging_loses_no_state() {
    for world in
        [World::tree(3), World::aging_tree(2), World::tables(2, [1, 1]), World::bindings(4), World::memory(2)]
    {
        let merged = explore(&world);
        let plain = explore(&World { symmetry: Symmetry::Plain, ..world });
        assert_eq!(plain.forms, merged.states);
        assert!(plain.states >= merged.states);
    }
}
