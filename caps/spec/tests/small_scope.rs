//! Every reachable state of small worlds, and every operation in each. The larger ones on request:
//! `cargo test --release -p caps-spec --test small_scope -- --ignored --nocapture`.
//!
//! Tests are begun in the order of their names: the longest is called so that it is among the first.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use std::time::Instant;

use caps::bounds::PAGE;
use caps::ledger::LotRole;
use caps::{Capability, Kind, Rights, SlotRef};
use caps_spec::game::FIRST;
use caps_spec::ledger::SmallLedger;
use caps_spec::noninterference::Pair;
use caps_spec::record::{Method, Record, grouped};
use caps_spec::small::{Extent, Symmetry, World, memory_operations};

/// Shows how much was gone through, and says it as a scope.
fn told(name: &str, extent: &Extent, began: Instant) -> String {
    let Extent { states, transitions, accepted, .. } = *extent;
    let scope = format!("{} states, {} operations", grouped(states), grouped(transitions));
    println!(
        "{name}: {scope}, {} of them accepted, {:.1} s",
        grouped(accepted),
        began.elapsed().as_secs_f64()
    );
    scope
}

fn explore(world: &World) -> (Extent, String) {
    let began = Instant::now();
    let extent = world.explore(5_000_000).unwrap_or_else(|why| panic!("{why}"));
    let scope = told(&format!("{} of {}", world.name, world.slots), &extent, began);
    (extent, scope)
}

fn explore_and_record(world: &World) {
    let (extent, scope) = explore(world);
    let kinds: Vec<_> = extent.kinds.into_iter().collect();
    let name = format!("{} of {}", world.name, world.slots);
    Record::of_forest(Method::Exhausted, &name, &scope, &kinds).write(env!("CARGO_TARGET_TMPDIR"));
}

#[test]
fn a_forest_of_six_capabilities() {
    explore_and_record(&World::tree(6));
}

#[test]
fn trees_of_three_slots_that_wear_out() {
    explore_and_record(&World::aging_tree(3));
}

#[test]
fn two_tables_that_can_hold_themselves_and_each_other() {
    explore_and_record(&World::tables(2, [1, 1]));
}

#[test]
fn a_region_and_two_spaces_in_five_slots() {
    explore_and_record(&World::bindings(5));
}

#[test]
fn memory_in_three_slots() {
    explore_and_record(&World::memory(3));
}

fn ledger(cores: u8, chunks: u32, suboses: usize) -> SmallLedger {
    let roles = &[LotRole::Home, LotRole::Extra];
    SmallLedger { cores, chunks, suboses, roles, symmetry: Symmetry::Merged }
}

fn with_windows(small: SmallLedger) -> SmallLedger {
    SmallLedger { roles: &[LotRole::Home, LotRole::Extra, LotRole::Window], ..small }
}

fn explore_ledger(small: SmallLedger) -> (Extent, String) {
    let began = Instant::now();
    let extent = small.explore().unwrap_or_else(|why| panic!("{why}"));
    let SmallLedger { cores, chunks, suboses, .. } = small;
    let name = format!("ledger of {suboses} subOSes, {cores} cores, {chunks} chunks");
    let scope = told(&name, &extent, began);
    (extent, scope)
}

#[test]
fn a_ledger_of_three_suboses_and_four_resources() {
    let (_, scope) = explore_ledger(ledger(2, 2, 3));
    let name = "a ledger of 3 subOSes with 2 cores and 2 chunks";
    Record::of_ledger(Method::Exhausted, name, &scope).write(env!("CARGO_TARGET_TMPDIR"));
}

#[test]
fn a_ledger_with_windows() {
    let (_, scope) = explore_ledger(with_windows(ledger(1, 2, 2)));
    let name = "a ledger of 2 subOSes with 1 core and 2 chunks and windows";
    Record::of_ledger(Method::Exhausted, name, &scope).write(env!("CARGO_TARGET_TMPDIR"));
}

#[test]
#[ignore = "the next sizes: minutes"]
fn the_next_sizes() {
    explore(&World::memory(4));
    explore(&World::aging_tree(4));
    explore(&World::tables(2, [2, 1]));
    explore(&World::bindings(6));
    explore(&World::tree(7));
    explore_ledger(with_windows(ledger(2, 2, 3)));
    explore_ledger(ledger(2, 3, 3));
}

/// Merging symmetric states loses none: the plain search finds exactly as many canonical forms as the merged one has
/// states.
#[test]
fn merging_loses_no_state() {
    for world in
        [World::tree(3), World::aging_tree(2), World::tables(2, [1, 1]), World::bindings(4), World::memory(2)]
    {
        let (merged, _) = explore(&world);
        let (plain, _) = explore(&World { symmetry: Symmetry::Plain, ..world });
        assert_eq!(plain.forms, merged.states);
        assert!(plain.states >= merged.states);
    }
}

/// The same of the ledger, where it is the names of cores and of subOSes that do not matter.
#[test]
fn merging_loses_no_ledger() {
    for small in [with_windows(ledger(2, 1, 3)), ledger(1, 2, 2)] {
        let (merged, _) = explore_ledger(small);
        let (plain, _) = explore_ledger(SmallLedger { symmetry: Symmetry::Plain, ..small });
        assert_eq!(plain.forms, merged.states);
        assert!(plain.states >= merged.states);
    }
}

fn slots(numbers: &[u32]) -> Vec<SlotRef> {
    numbers.iter().map(|&number| SlotRef::new(number).unwrap()).collect()
}

fn explore_pair(name: &str, pair: &Pair) {
    let extent = pair.explore().unwrap_or_else(|why| panic!("{why}"));
    let scope = format!(
        "{} states, {} operations, {} of them in states that look different",
        grouped(extent.states),
        grouped(extent.transitions),
        grouped(extent.forms)
    );
    assert!(extent.forms * 3 < extent.transitions, "hardly two states looked alike: {scope}");
    Record::new(Method::TwoRuns, name, &scope, &[24]).write(env!("CARGO_TARGET_TMPDIR"));
}

/// I24: two who share nothing do not notice each other. A table of one slot each, and a slot more of the root table.
#[test]
fn two_with_a_table_each() {
    let world = World { symmetry: Symmetry::Plain, ..World::tables(4, [1, 1]) };
    let first = FIRST.number();
    let mine = slots(&[first + 1, first + 3, 32, 33]);
    let others = slots(&[first + 2, first + 4, 40, 41]);
    explore_pair("two with a table each", &Pair { world, mine, others });
}

/// I24: two pages of memory each, and two slots more.
#[test]
fn two_with_memory_each() {
    let untyped = |address| Capability::new(Kind::Untyped, Rights::all(), address, 2 * PAGE);
    let roots = vec![untyped(1 << 20), untyped(2 << 20)];
    let world = World { symmetry: Symmetry::Plain, roots, operations: memory_operations, ..World::tree(5) };
    let first = FIRST.number();
    let mine = slots(&[first + 1, first + 3, first + 4]);
    let others = slots(&[first + 2, first + 5]);
    explore_pair("two with memory each", &Pair { world, mine, others });
}
