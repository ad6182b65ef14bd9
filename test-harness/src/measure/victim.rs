//! Whether a subOS that works steadily notices what is done to others beside it.

use super::bench::{Following, Subject};
use super::log::{Log, What};
use crate::failure::{Failure, Result};
use crate::image::Class;
use crate::tools::Install;
use crate::view::{aligned, grouped};

/// Cores of the machine: the supervisor's, the victim's, and two that its neighbours get.
const CORES: u32 = 4;
/// The markers of the guest: each round of the victim's, and from where to where it is alone and has company.
const ROUND: What = What::Marker(70);
const ALONE: [What; 2] = [What::Marker(71), What::Marker(72)];
const BESIDE: [What; 2] = [What::Marker(73), What::Marker(74)];
/// Fewer rounds say nothing.
const ENOUGH: usize = 200;

/// What each round of the victim's took on its core, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rounds(Vec<u64>);

/// The victim's rounds, without and with others beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    /// While it was alone.
    pub alone: Rounds,
    /// While others were made, resized, flooded and ended.
    pub beside: Rounds,
}

/// Counts the victim's rounds on the deterministic machine.
///
/// # Errors
/// When something does not build, the run ends badly, or there were too few rounds.
pub fn measure(install: Install, class: Class) -> Result<Latency> {
    let log = Subject::build(install, class)?.run("victim", CORES, Following::Nothing)?.log;
    Ok(Latency { alone: rounds(&log, ALONE)?, beside: rounds(&log, BESIDE)? })
}

fn rounds(log: &Log, [from, to]: [What; 2]) -> Result<Rounds> {
    let pieces = log.pieces(from, to);
    let intervals = pieces.first().map(|piece| piece.intervals(ROUND, ROUND)).unwrap_or_default();
    let own = intervals.iter().filter_map(|round| round.counts.get(round.from));
    let mut rounds: Vec<u64> = own.map(|counts| counts.instructions).collect();
    if rounds.len() < ENOUGH {
        return Err(Failure::new(format!("the victim made {} rounds, and not {ENOUGH}", rounds.len())));
    }
    rounds.sort_unstable();
    Ok(Rounds(rounds))
}

impl Rounds {
    /// Of so many in a hundred rounds none took longer.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> u64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * percent / 100).copied().unwrap_or(0)
    }

    /// What rounds took, each count once.
    fn distinct(&self) -> Vec<u64> {
        let mut counts = self.0.clone();
        counts.dedup();
        counts
    }
}

/// A round in which the messages go the short way takes no more, however long the two have been at it.
const SHORT: u64 = 1_800;

impl Latency {
    /// A row for each: how many rounds, the least, the median, of 99 in 100, the most.
    #[must_use]
    pub fn table(&self) -> String {
        let head = ["instructions of a round", "rounds", "least", "median", "99 %", "most"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for (name, rounds) in [("alone", &self.alone), ("with others beside it", &self.beside)] {
            let counts = [0, 50, 99, 100].map(|percent| grouped(rounds.percentile(percent)));
            let count = grouped(rounds.0.len() as u64);
            rows.push([name.to_owned(), count].into_iter().chain(counts).collect());
        }
        aligned(&rows)
    }

    /// Fails unless every round with others beside it took as many instructions as some round without, and the messages of
    /// each went the short way.
    ///
    /// # Errors
    /// The counts that are only seen with others, or what a round took that is too long.
    pub fn check(&self) -> Result<()> {
        let most = self.alone.percentile(100);
        if most > SHORT {
            let what = format!(
                "a round took {most} instructions: its messages went the long way, by which it is twice as long"
            );
            return Err(Failure::new(what).detail(self.table()));
        }
        let alone = self.alone.distinct();
        let strange: Vec<u64> =
            self.beside.distinct().into_iter().filter(|count| !alone.contains(count)).collect();
        let same = [50, 99, 100]
            .iter()
            .all(|percent| self.alone.percentile(*percent) == self.beside.percentile(*percent));
        if strange.is_empty() && same {
            return Ok(());
        }
        Err(Failure::new(format!(
            "a subOS notices what is done to others: rounds of {strange:?} instructions"
        ))
        .detail(self.table()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_instruction_in_a_single_round_is_told() {
        let latency = |most| Latency {
            alone: Rounds(vec![500; 300]),
            beside: Rounds([vec![500; 299], vec![most]].concat()),
        };
        assert_eq!(latency(500).check(), Ok(()));
        let failure = latency(501).check().expect_err("one round is longer").to_string();
        assert!(failure.contains("rounds of [501] instructions"), "{failure}");
        let rounds = |count| Rounds(vec![count; 300]);
        let failure =
            Latency { alone: rounds(2_476), beside: rounds(2_476) }.check().expect_err("long").to_string();
        assert!(failure.contains("the long way"), "{failure}");
    }

    #[test]
    fn rounds_count_what_the_victims_core_did() {
        let mut text = "cores 2\npoint 71 core 0 instructions 0,0 waits 0,0 apart 0,0\n".to_owned();
        for round in 0..=ENOUGH {
            text.push_str(&format!("point 70 core 1 instructions 9,{} waits 0,0 apart 0,0\n", round * 7));
        }
        text.push_str("point 72 core 0 instructions 0,0 waits 0,0 apart 0,0\nend\n");
        let log = Log::parse(&text).expect("it is well formed");
        assert_eq!(rounds(&log, ALONE), Ok(Rounds(vec![7; ENOUGH])));
        assert!(rounds(&log, BESIDE).is_err(), "there were none");
    }
}
