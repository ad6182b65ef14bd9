//! Several subOSes at once, at random: each plays on its own forest while the supervisor moves lots and cores about. The
//! product of forests and ledger at a small scope on request:
//! `cargo test --release -p caps-spec --test machine -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use std::collections::BTreeMap;

use caps_spec::machine::{Act, Machine, SmallMachine};
use caps_spec::play::throws;
use caps_spec::record::{Method, Record, grouped};

const SEEDS: u64 = 3;

/// I7, I11, I12, I22 across subOSes, and all that is checked of a forest and of a ledger, after each of 10,000 acts.
#[test]
fn ten_thousand_acts_of_several_suboses() {
    let mut accepted: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..SEEDS {
        let mut machine = Machine::new(4, 8, 4);
        let mut acts = Vec::new();
        for throw in throws(seed).take(10_000) {
            let act = machine.choose(throw);
            acts.push(act.clone());
            match machine.apply(&act) {
                Ok(true) => *accepted.entry(kind(&act)).or_default() += 1,
                Ok(false) => {}
                Err(why) => {
                    let begin = || Machine::new(4, 8, 4);
                    panic!("{}", Machine::failure(&why, &acts, "Machine::new(4, 8, 4)", begin))
                }
            }
        }
    }
    println!("{accepted:?}");
    for kind in ["own", "decide", "revoke", "quiet", "scrub"] {
        assert!(accepted.get(kind).is_some_and(|&count| count > 60), "{accepted:?}");
    }
    let scope = format!("{SEEDS} cases of 10,000 acts");
    let mut record = Record::of_forest(Method::Random, "machines of 4 subOSes", &scope, &caps::Kind::ALL);
    record.properties.extend([7, 11, 12, 26]);
    record.write(env!("CARGO_TARGET_TMPDIR"));
}

fn kind(act: &Act) -> &'static str {
    match act {
        Act::Own(..) => "own",
        Act::Decide(..) => "decide",
        Act::Revoke(..) => "revoke",
        Act::Quiet(..) => "quiet",
        Act::Scrub(..) => "scrub",
    }
}

fn explore(product: SmallMachine) -> String {
    let extent = product.explore(1_000_000).unwrap_or_else(|why| panic!("{why}"));
    let (states, acts) = (grouped(extent.states), grouped(extent.transitions));
    println!("{product:?}: {states} states, {acts} acts");
    assert!(extent.complete, "there are more states");
    format!("{states} states, {acts} acts")
}

/// The product of two forests and the ledger, to its end: two subOSes take turns at one chunk, of which each makes a table,
/// with a slot besides.
#[test]
fn every_state_of_the_smallest_product() {
    let scope = explore(SmallMachine { chunks: 1, suboses: 2, slots: 1, tables: 1 });
    let name = "2 subOSes that take turns at a chunk and make a table of it";
    let kinds = [caps::Kind::Untyped, caps::Kind::CSpace];
    let mut record = Record::of_forest(Method::Exhausted, name, &scope, &kinds);
    record.properties.extend([7, 11, 12, 26]);
    record.write(env!("CARGO_TARGET_TMPDIR"));
}

/// One more of each in turn: of slots, of chunks, of subOSes.
#[test]
#[ignore = "the next sizes: a minute"]
fn every_state_of_the_next_products() {
    explore(SmallMachine { chunks: 1, suboses: 2, slots: 2, tables: 1 });
    explore(SmallMachine { chunks: 2, suboses: 1, slots: 1, tables: 1 });
    explore(SmallMachine { chunks: 1, suboses: 3, slots: 1, tables: 1 });
}
