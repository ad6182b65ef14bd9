//! Zeros where there should be work: what each subOS must have done, by what it is and by what the plan does with it.

use std::collections::BTreeSet;

use idl::plan::Duty;

use super::implied::{Implied, Moves};
use super::{FREE, Stat, Story};
use crate::manifest::Manifest;

/// Whose row is the supervisor's own.
const SUPERVISOR: &str = "supervisor";
/// What the supervisor must have done on its core, besides what the plan says.
const BY_THE_SUPERVISOR: &[&str] = &["switches", "interrupts"];
/// What every subOS must have done on every core that it had.
const BY_ALL: &[&str] = &["calls", "switches", "owned", "busy"];
/// The counts of interrupts: whoever ran on a core was interrupted there, by whatever it was.
const INTERRUPTS: &[&str] = &["timers", "doorbells", "others"];

/// What is expected of a program.
struct Expected {
    program: &'static str,
    /// On every core that its subOS had.
    everywhere: &'static [&'static str],
    /// On one of them at least.
    somewhere: &'static [&'static str],
}

/// What the programs that a subOS can start with are for. Who has no duty is expected less of.
const PROGRAMS: &[Expected] = &[
    Expected {
        program: "linux-server",
        everywhere: &["guests", "processes"],
        somewhere: &["linux_calls", "faults", "signals", "timers", "objects"],
    },
    Expected { program: "init", everywhere: &["messages"], somewhere: &["signals", "timers", "objects"] },
    Expected { program: "neighbour", everywhere: &[], somewhere: &["timers", "objects"] },
    Expected { program: "spinner", everywhere: &[], somewhere: &["timers", "objects"] },
];

/// Everything that should have been done and was not.
pub(super) fn missing(story: &Story, manifest: &Manifest, implied: &Implied) -> Vec<String> {
    let mut wrong = unknown(story);
    for stat in &story.stats {
        let zero = |name: &&&str| stat.count(name) == 0;
        let all = if stat.subos == SUPERVISOR { BY_THE_SUPERVISOR } else { BY_ALL };
        wrong.extend(all.iter().filter(zero).map(|name| counts_no(stat, name)));
        if stat.subos != SUPERVISOR && INTERRUPTS.iter().all(|name| stat.count(name) == 0) {
            wrong.push(counts_no(stat, "interrupts"));
        }
    }
    for (subos, planned) in manifest.suboses.iter().zip(&manifest.plan.suboses) {
        let Some(expected) = PROGRAMS.iter().find(|one| one.program == planned.program.as_str()) else {
            continue;
        };
        if expected.program == "init" && planned.duty == Duty::None {
            continue;
        }
        let rows: Vec<&Stat> = story.stats.iter().filter(|stat| stat.subos == subos.name).collect();
        for stat in &rows {
            let zero = |name: &&&str| stat.count(name) == 0;
            wrong.extend(expected.everywhere.iter().filter(zero).map(|name| counts_no(stat, name)));
        }
        let rings = implied.told.contains(&subos.name).then_some(&"doorbells");
        for name in expected.somewhere.iter().chain(rings) {
            if !rows.is_empty() && rows.iter().all(|stat| stat.count(name) == 0) {
                wrong.push(format!("{} counts no {} on any core", subos.name, shown(name)));
            }
        }
    }
    wrong.extend(moves(story, implied));
    wrong
}

/// Cores that somebody had, and of which nothing is known.
fn unknown(story: &Story) -> Vec<String> {
    let mut had: BTreeSet<(String, u64)> = BTreeSet::new();
    for (core, spans) in story.timeline.cores() {
        had.extend(spans.into_iter().filter(|span| span.value != FREE).map(|span| (span.value, core)));
    }
    let known = |subos: &str, core| story.stats.iter().any(|stat| stat.subos == subos && stat.core == core);
    had.iter()
        .filter(|(subos, core)| !known(subos, *core))
        .map(|(subos, core)| format!("nothing is known of what {subos} did on core {core}, which it had"))
        .collect()
}

/// Moves that the kernels did not count as the plan implies. Who was built again by the way has had more of them.
fn moves(story: &Story, implied: &Implied) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut differs = |stat: &Stat, name: &str, expected: u64, may_be_more: bool| {
        let count = stat.count(name);
        if count < expected || (count > expected && !may_be_more) {
            wrong.push(format!(
                "{} counts {count} {} on core {}, and the plan implies {expected}",
                stat.subos,
                shown(name),
                stat.core
            ));
        }
    };
    for stat in &story.stats {
        if let Some(stays) = implied.stays.get(&(stat.subos.clone(), stat.core)) {
            let again = story.restarted.contains(&stat.subos);
            differs(stat, "arrivals", stays.arrivals, again);
            differs(stat, "departures", stays.departures, again);
        }
        if stat.subos == SUPERVISOR {
            let Moves { cores, lots, audits } = implied.moves;
            differs(stat, "core_moves", cores, !story.restarted.is_empty());
            differs(stat, "lot_moves", lots, false);
            differs(stat, "audits", audits, false);
        }
    }
    wrong
}

fn counts_no(stat: &Stat, name: &str) -> String {
    format!("{} counts no {} on core {}", stat.subos, shown(name), stat.core)
}

fn shown(name: &str) -> String {
    name.replace('_', " ")
}
