//! What the director knows of one subOS.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use idl::dialogue::{CoreAnswer, Request};
use idl::plan::{Chunks, CoreNumber, LotNumber};
use idl::slots::ROOT_LOTS;
use idl::types::Ticks;
use serde::{Deserialize, Serialize};

use crate::activity::{Activity, Sign};

/// Where a subOS is between birth and death.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Life {
    /// It was not created yet, or is destroyed.
    #[default]
    Absent,
    /// It exists and does not run yet.
    Building,
    /// It runs.
    Alive,
    /// It died of itself: its kernel was condemned, or a thread of it faulted and nobody cares.
    Dead,
}

/// What a subOS says a lot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LotReport {
    pub(crate) lot: LotNumber,
    pub(crate) used: u32,
}

/// A core that a subOS was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    core: CoreNumber,
    until: Ticks,
    answer: Option<CoreAnswer>,
}

/// One subOS of the plan.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) life: Life,
    /// Its cores: bit n for core n.
    pub(crate) cores: u64,
    /// All cores that it ever had since it was created.
    pub(crate) ever: u64,
    /// The sizes of its lots, by their numbers.
    lots: [Option<Chunks>; ROOT_LOTS as usize],
    /// The progress that it last reported, and when it read that.
    pub(crate) progress: Option<(u64, Ticks)>,
    /// When the step in hand began.
    pub(crate) since: Ticks,
    /// The longest time since then between two of what it counts, as far as it reported that.
    pub(crate) longest: Ticks,
    /// What it said of its lots, until somebody takes it in: the newest of each.
    reports: Vec<LotReport>,
    /// The cores that it was asked for and still has, each with the newest request.
    asked: Vec<Asked>,
    /// Processes that it said it started.
    pub(crate) processes: u64,
    /// What it said it did on each core: processes that ran there, and calls of its programs.
    pub(crate) work: Vec<(CoreNumber, u64, u64)>,
    /// Why it does not get windows that it asked for, until it is told.
    pub(crate) refusals: VecDeque<Request>,
    /// The status with which it ended.
    pub(crate) ended: Option<u32>,
    /// Whether there is an epitaph to read.
    pub(crate) condemned: bool,
    /// How often it died of itself.
    pub(crate) deaths: u8,
    /// What it did on each core, as last measured.
    pub(crate) activity: Vec<(CoreNumber, Activity)>,
}

impl Member {
    /// Whether it exists in the machine.
    pub(crate) const fn exists(&self) -> bool {
        !matches!(self.life, Life::Absent)
    }

    /// Begins a new life with this home lot.
    pub(crate) fn born(&mut self, home: Chunks) {
        *self = Self { life: Life::Building, deaths: self.deaths, ..Self::default() };
        self.set_lot(LotNumber(0), Some(home));
    }

    /// Everything it had is gone.
    pub(crate) fn gone(&mut self) {
        self.life = Life::Absent;
        self.cores = 0;
        self.lots = [None; ROOT_LOTS as usize];
    }

    pub(crate) fn set_lot(&mut self, lot: LotNumber, size: Option<Chunks>) {
        if let Some(entry) = self.lots.get_mut(usize::from(lot.0)) {
            *entry = size;
        }
    }

    /// The size of a lot that it has.
    pub(crate) fn lot(&self, lot: LotNumber) -> Option<Chunks> {
        self.lots.get(usize::from(lot.0)).copied().flatten()
    }

    /// The sizes of the lots that it has, the home lot first.
    pub(crate) fn lots(&self) -> impl Iterator<Item = Chunks> + use<'_> {
        self.lots.iter().copied().flatten()
    }

    /// The same with their numbers.
    pub(crate) fn numbered_lots(&self) -> impl Iterator<Item = (LotNumber, Chunks)> + use<'_> {
        (0u8..).map(LotNumber).zip(self.lots).filter_map(|(lot, size)| Some((lot, size?)))
    }

    /// How many chunks it has.
    pub(crate) fn chunks(&self) -> Chunks {
        Chunks(self.lots().fold(0, |sum, lot| sum.saturating_add(lot.0)))
    }

    /// It says what a lot holds.
    pub(crate) fn reports(&mut self, report: LotReport) {
        self.forget_report(report.lot);
        if u32::from(report.lot.0) < ROOT_LOTS {
            self.reports.push(report);
        }
    }

    /// What it said of a lot does not count any more.
    pub(crate) fn forget_report(&mut self, lot: LotNumber) {
        self.reports.retain(|report| report.lot != lot);
    }

    /// What it said of this lot: how many pages are in use.
    pub(crate) fn report(&self, lot: LotNumber) -> Option<u32> {
        self.reports.iter().find(|report| report.lot == lot).map(|report| report.used)
    }

    /// Gives it a core.
    pub(crate) const fn add_core(&mut self, core: CoreNumber) {
        self.cores |= bit(core);
        self.ever |= bit(core);
    }

    /// Takes a core from it.
    pub(crate) fn remove_core(&mut self, core: CoreNumber) {
        self.cores &= !bit(core);
        self.asked.retain(|asked| asked.core != core);
    }

    /// It is asked for a core until then. What it said to an earlier request for the same does not count any more.
    pub(crate) fn ask_for_core(&mut self, core: CoreNumber, until: Ticks) {
        self.asked.retain(|asked| asked.core != core);
        self.asked.push(Asked { core, until, answer: None });
    }

    /// It answers a request. Says whether that is news: it has such a request, and has not given the core already.
    pub(crate) fn answers(&mut self, core: CoreNumber, until: Ticks, answer: CoreAnswer) -> bool {
        let asked = self.asked.iter_mut().find(|asked| (asked.core, asked.until) == (core, until));
        let Some(asked) = asked else { return false };
        let news = asked.answer != Some(CoreAnswer::Given) && asked.answer != Some(answer);
        if news {
            asked.answer = Some(answer);
        }
        news
    }

    /// Whether it has given a core that it was asked for.
    pub(crate) fn has_given(&self, core: CoreNumber) -> bool {
        self.asked.iter().any(|asked| asked.core == core && asked.answer == Some(CoreAnswer::Given))
    }

    /// Messages that its kernel has passed on, on all cores it ever had, as last measured.
    pub(crate) fn messages(&self) -> u64 {
        self.activity.iter().fold(0, |sum, (_, did)| sum.saturating_add(did.messages))
    }

    /// Times that foreign programs were entered, on all cores it ever had, as last measured.
    pub(crate) fn guests(&self) -> u64 {
        self.activity.iter().fold(0, |sum, (_, did)| sum.saturating_add(did.guests))
    }

    /// Takes in what it says it did on a core that it ever had; of anything else there is nothing to say.
    pub(crate) fn worked(&mut self, core: CoreNumber, processes: u64, calls: u64) {
        if self.ever & bit(core) == 0 {
            return;
        }
        match self.work.iter_mut().find(|(known, ..)| *known == core) {
            Some(entry) => *entry = (core, processes, calls),
            None => self.work.push((core, processes, calls)),
        }
    }

    /// How much of such work was done on one core, as last measured.
    pub(crate) fn work_on(&self, core: CoreNumber, sign: Sign) -> u64 {
        self.activity.iter().find(|(c, _)| *c == core).map_or(0, |(_, did)| sign.count(did))
    }
}

/// The bit of a core in a mask.
pub(crate) const fn bit(core: CoreNumber) -> u64 {
    match 1u64.checked_shl(core.0 as u32) {
        Some(bit) => bit,
        None => 0,
    }
}

/// The cores of a mask, in rising order.
pub(crate) fn cores(mask: u64) -> impl Iterator<Item = CoreNumber> {
    (0..64u8).map(CoreNumber).filter(move |core| mask & bit(*core) != 0)
}
