//! All kernels of a machine, and its ledger.

use std::collections::{BTreeMap, BTreeSet};

use caps::Kind;
use caps::ledger::SubOsId;
use caps_spec::layout::Fields;
use caps_spec::ledger::LedgerModel;
use idl::abi::OpWord;
use idl::journal::{Answer, Head, SLOT_WORDS};

use super::entry::Entry;
use super::forest::Forest;
use super::journal::Journal;
use super::ledger::Ledger;
use super::show;
use crate::failure::{Failure, Result};
use crate::machine::{Exit, Outcome};

/// What was replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Kernels.
    pub kernels: usize,
    /// Operations on their forests.
    pub operations: u64,
    /// Of those, how many were lookups and the like, which change nothing.
    pub questions: u64,
    /// Operations on the ledger.
    pub ledger: u64,
}

/// The kernels and the ledger so far.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// The kernels, by the order in which they began.
    pub kernels: BTreeMap<u16, Kernel>,
    /// The ledger.
    pub ledger: Ledger,
    /// How much there was.
    pub tally: Tally,
}

/// When what is compared last differs.
const END: &str = "at the end";

/// A kernel.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    /// Whose it is, by the ledger.
    pub subos: Option<SubOsId>,
    /// Its forest.
    pub forest: Forest,
    /// What each thread that plays was answered so far.
    playing: BTreeMap<u32, u64>,
    /// What threads were answered in whole games.
    pub sums: Vec<u64>,
}

impl Kernel {
    /// Takes note of an answer. A refused call of a method that does not exist begins a thread's game, and ends it.
    fn answer(&mut self, answer: &Answer) {
        if OpWord(answer.op) == MARK {
            match self.playing.remove(&answer.thread) {
                Some(sum) => self.sums.push(sum),
                None => drop(self.playing.insert(answer.thread, 0)),
            }
        } else if let Some(sum) = self.playing.get_mut(&answer.thread) {
            *sum = answer.add_to(*sum);
        }
    }
}

/// The method of DebugConsole that nobody has, by which players say where their games begin and end.
const MARK: OpWord = OpWord::new(Kind::DebugConsole, 250);

impl Tally {
    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.kernels += other.kernels;
        self.operations += other.operations;
        self.questions += other.questions;
        self.ledger += other.ledger;
    }
}

impl Replay {
    /// Takes the next record.
    ///
    /// # Errors
    /// The first difference, with both states.
    pub fn apply(&mut self, head: Head, words: &[u64]) -> Result<()> {
        let number = self.tally.operations + self.tally.ledger;
        let entry = Entry::read(head, words).ok_or_else(|| {
            Failure::new(format!("record {number} of the journal makes no sense: {head:?}"))
        })?;
        match entry {
            Entry::Ledger(entry) => {
                self.tally.ledger += 1;
                self.ledger.apply(&entry).map_err(|why| {
                    let what = format!(
                        "operation {number}, {:?} of the ledger, is not as specified",
                        entry.operation
                    );
                    let specified = self.ledger.model.as_ref().map(show::ledger).unwrap_or_default();
                    let real = show::ledger(&LedgerModel::of(&entry.after));
                    Failure::new(what).detail(format!("{why}\nspecified:\n{specified}in memory:\n{real}"))
                })
            }
            Entry::Answer(kernel, answer) => {
                self.kernels.entry(kernel).or_default().answer(&answer);
                Ok(())
            }
            Entry::Forest(number_of_kernel, entry) => {
                self.tally.operations += 1;
                self.tally.questions += u64::from(entry.written.is_empty());
                let kernel = self.kernels.entry(number_of_kernel).or_default();
                let result = kernel.forest.apply(&entry);
                if kernel.subos.is_none() {
                    kernel.subos = kernel.forest.first.and_then(|at| self.ledger.owner(at.address()));
                }
                self.tally.kernels = self.kernels.len();
                result.map_err(|why| {
                    self.difference(&format!("after operation {number}"), number_of_kernel, &why)
                })
            }
        }
    }

    /// Takes all records of a journal.
    ///
    /// # Errors
    /// The first difference.
    pub fn take(&mut self, journal: &Journal) -> Result<()> {
        for record in journal.records() {
            let (head, words) = record?;
            self.apply(head, words)?;
        }
        Ok(())
    }

    fn difference(&self, when: &str, kernel: u16, why: &str) -> Failure {
        let subos = self.kernels.get(&kernel).and_then(|kernel| kernel.subos);
        let whose = subos.map_or("nobody".to_owned(), |subos| format!("subOS {}", subos.index));
        Failure::new(format!("{when}, kernel {kernel} (of {whose}) is not as specified")).detail(why)
    }

    /// Compares everything once more.
    ///
    /// # Errors
    /// The first difference.
    pub fn check_all(&self) -> Result<()> {
        self.kernels.iter().try_for_each(|(&number, kernel)| {
            kernel.forest.check_all().map_err(|why| {
                let both = kernel.forest.both(&BTreeSet::new());
                self.difference(END, number, &format!("{why}\n{both}"))
            })
        })
    }

    /// The same; and compares the first kernel's slots with those that lie in memory at the end, when that kernel itself
    /// ended the machine.
    ///
    /// # Errors
    /// The first difference.
    pub fn finish(&self, outcome: &Outcome) -> Result<()> {
        self.check_all()?;
        let ended_itself = matches!(outcome.exit, Exit::Success | Exit::Failed);
        let (Some(first), Some(ram), true) = (self.kernels.get(&1), &outcome.ram, ended_itself) else {
            return Ok(());
        };
        for (at, view) in &first.forest.slots {
            let words = ram.words(at.address(), SLOT_WORDS)?;
            let there = words.as_slice().try_into().ok().and_then(Fields::read);
            if there != Some(*view) {
                let why = format!("{at:?} was last {view:?}; at the end there is {there:?}");
                return Err(self.difference(END, 1, &why));
            }
        }
        Ok(())
    }
}

/// Replays what a machine did.
///
/// # Errors
/// The first difference; or when there is no whole journal.
pub fn replay(outcome: &Outcome) -> Result<Tally> {
    let mut replay = Replay::default();
    replay.take(&Journal::of(outcome)?)?;
    replay.finish(outcome)?;
    Ok(replay.tally)
}
