//! Several resources at once: all of them change hands, or none.
//!
//! Everything is looked at before anything is touched: who has what, and whether what is to be given fits. Then comes what can
//! be undone, the cores; then all is looked at again, and only then are lots taken, whose contents are gone. What the other gets
//! is given by a single call of the kernel, which gives all or nothing and says what was the reason. Whatever fails on the way,
//! who had something gets as much of it back.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use idl::dialogue::Request;
use idl::kernel::subos::SubOsInfo;
use idl::plan::{Chunks, CoreNumber, Holder, Holds, LotNumber, Manner, Part, Resize, SubOsIndex};
use idl::slots::ROOT_LOTS;
use idl::types::{SubOsState, Ticks};

use crate::director::Director;
use crate::ledger::Snapshot;
use crate::member::cores;
use crate::news::{News, Owner};
use crate::order::{Obstacle, Order};
use crate::task::{Account, Place, Task, ask_for, ask_for_core, see_work};
use crate::wait::after;

/// What stands in the way of a resize, by what the machine says of the two whom it is about, and by the ledger.
#[must_use]
pub fn obstacle(
    resize: &Resize,
    giver: Option<&SubOsInfo>,
    receiver: Option<&SubOsInfo>,
    ledger: &Snapshot,
) -> Option<Obstacle> {
    let lives = |info: &&SubOsInfo| matches!(info.state, SubOsState::Loaded | SubOsState::Running);
    for (info, part) in [(giver, Part::Giver), (receiver, Part::Receiver)] {
        if let Some(info) = info.filter(|info| !lives(info)) {
            return Some(Obstacle { part, why: format!("it is {}", info.state.name()) });
        }
    }
    let number = giver.map(|giver| giver.number);
    if let Some(core) = cores(resize.cores).find(|core| !ledger.has_core(*core, number)) {
        return Some(Obstacle { part: Part::Core(core), why: "somebody else has it".into() });
    }
    let mut free = ledger.free();
    let mut wishes = Vec::new();
    for lot in resize.lots() {
        let chunks = number.map_or_else(Vec::new, |number| ledger.chunks_of(number, lot));
        if chunks.is_empty() {
            return Some(Obstacle {
                part: Part::Lot(lot),
                why: "there is no such lot that is nobody else's".into(),
            });
        }
        for chunk in &chunks {
            free.get_mut(*chunk).into_iter().for_each(|free| *free = true);
        }
        wishes.push((Part::Lot(lot), chunks.len()));
    }
    wishes.extend(resize.memory().map(|size| (Part::Memory(size), size.0 as usize)));
    let (part, _) =
        wishes.into_iter().filter(|_| receiver.is_some()).find(|(_, size)| !fits(&mut free, *size))?;
    Some(Obstacle { part, why: "there would not be so many free chunks in a row".into() })
}

/// Takes the first run of so many free chunks, as the ledger does; says whether there is one.
fn fits(free: &mut [bool], size: usize) -> bool {
    let found = free.windows(size.max(1)).position(|run| run.iter().all(|free| *free));
    let run = found.and_then(|first| free.get_mut(first..first.saturating_add(size)));
    run.map(|run| run.fill(false)).is_some()
}

/// A part of a resize, for people.
fn describe(part: Part) -> String {
    match part {
        Part::Core(core) => format!("core {}", core.0),
        Part::Lot(lot) => format!("lot {}", lot.0),
        Part::Memory(size) => format!("memory of {} chunks", size.0),
        Part::Giver => "who gives".into(),
        Part::Receiver => "who gets".into(),
    }
}

impl Director {
    /// What a resize consists of.
    pub(crate) fn resize(&self, resize: Resize, duty: impl Fn(SubOsIndex) -> bool) -> Vec<Task> {
        let mut tasks = Vec::from([Task::Do(Order::Foresee(resize))]);
        let mut moved = Vec::new();
        if let Holder::SubOs(from) = resize.from {
            moved.extend(resize.lots().map(|lot| self.size_of(from, lot)));
            tasks.extend(taking(resize, from));
            let chunks = moved.iter().map(|size: &Chunks| size.0).sum();
            tasks.push(Task::Account(Account { cores: resize.cores, chunks, place: Place::Any }));
        }
        if let Holder::SubOs(to) = resize.to {
            let mut sizes = [Chunks(0); idl::plan::MAX_GIVEN];
            sizes
                .iter_mut()
                .zip(moved.into_iter().chain(resize.memory()))
                .for_each(|(place, size)| *place = size);
            tasks.push(Task::Do(Order::Grant(to, resize.cores, sizes)));
            if duty(to) {
                tasks.extend(cores(resize.cores).map(|core| see_work(to, core)));
                tasks.push(Task::HearOfNewLot(to));
            }
            let chunks = sizes.iter().map(|size| size.0).sum();
            tasks.push(Task::Account(Account { cores: resize.cores, chunks, place: Place::Any }));
        }
        tasks
    }

    /// The size of a lot. The machine refuses what is not there before the size matters.
    fn size_of(&self, subos: SubOsIndex, lot: LotNumber) -> Chunks {
        self.member(subos).and_then(|member| member.lot(lot)).unwrap_or(Chunks(1))
    }

    /// Asks for all cores and lots, until the same moment, and waits until all are given or that moment comes.
    pub(crate) fn ask_for_all(&mut self, now: Ticks, subos: SubOsIndex, resize: Resize, patience: u32) {
        let until = after(now, u64::from(patience), self.rate);
        let (mut asks, mut waits) = (Vec::new(), Vec::new());
        for core in cores(resize.cores) {
            asks.push(Task::Do(ask_for_core(subos, core, until)));
            waits.push(Task::HearOfCore(subos, core, until));
        }
        for lot in resize.lots() {
            asks.push(Task::Do(ask_for(subos, lot, until)));
            waits.push(Task::HearOfLot(subos, lot, until, Holds::Anything));
        }
        if let Some(member) = self.member_mut(subos) {
            cores(resize.cores).for_each(|core| member.ask_for_core(core, until));
            resize.lots().for_each(|lot| member.forget_report(lot));
        }
        asks.append(&mut waits);
        self.work.replace(&asks);
    }

    /// All was looked at: whether something is in the way, and whether that is what the plan expects.
    pub(crate) fn foreseen(&mut self, resize: Resize, obstacle: Option<Obstacle>) {
        let obstacle = obstacle.or_else(|| self.lacks_seats(resize));
        if let Some(Obstacle { part, why }) = &obstacle {
            let (part, why) = (describe(*part), why.clone());
            self.news.push(News::Refused { step: self.step, part, why });
        }
        match (resize.refused, obstacle) {
            (None, None) => self.work.pass(),
            (None, Some(Obstacle { part, why })) => self.fail_part(&format!("{}: {why}", describe(part))),
            (Some(expected), Some(Obstacle { part, .. })) if part == expected => {
                // Nothing was touched, which the ledger is to show.
                let untouched = Account { cores: 0, chunks: 0, place: Place::Any };
                self.work.tasks.clear();
                self.work.replace(&[Task::Account(untouched), Task::Hold(crate::task::Point::Between)]);
            }
            (Some(expected), other) => {
                let because = other.map_or_else(|| "not refused".into(), |other| describe(other.part));
                self.fail_part(&format!("it is to be refused for {}, and is {because}", describe(expected)));
            }
        }
    }

    /// Whether who gets lots has numbers left for them.
    fn lacks_seats(&self, resize: Resize) -> Option<Obstacle> {
        let Holder::SubOs(to) = resize.to else { return None };
        let own = self.member(to).map_or(0, |member| member.lots().count());
        let wanted = resize.lots().count() + resize.memory().count();
        let sides = self.count_sides(to);
        let most = usize::try_from(ROOT_LOTS).unwrap_or(usize::MAX);
        let why = || format!("it has {} lots already", own + sides);
        (own + sides + wanted > most).then(|| Obstacle { part: Part::Receiver, why: why() })
    }

    /// All was given: there is nothing to undo from here on.
    pub(crate) fn all_given(&mut self, to: SubOsIndex, mask: u64, sizes: [Chunks; 3], lots: &[LotNumber]) {
        self.work.settle();
        let wanted = sizes.into_iter().filter(|size| size.0 > 0);
        if let Some(member) = self.member_mut(to) {
            cores(mask).for_each(|core| member.add_core(core));
            for (lot, size) in lots.iter().zip(wanted) {
                member.set_lot(*lot, Some(size));
                member.forget_report(*lot);
            }
        }
        self.work.granted = lots.to_vec();
        self.news.extend(cores(mask).map(|core| News::Own { core, owner: Owner::SubOs(to) }));
        self.tell_memory(to);
    }

    /// Nothing was given, because of one: its position among the cores, by their numbers, and then the lots.
    pub(crate) fn none_given(&mut self, mask: u64, sizes: [Chunks; 3], position: usize, error: caps::Error) {
        let all = cores(mask).map(Part::Core);
        let mut all = all.chain(sizes.into_iter().filter(|size| size.0 > 0).map(Part::Memory));
        let part = all.nth(position).map_or_else(|| "nothing that was asked for".into(), describe);
        self.news.push(News::Refused { step: self.step, part: part.clone(), why: error.name().into() });
        self.fail_part(&format!("granting {part}: {}", error.name()));
    }
}

/// How everything is taken: what can be undone first, and then, if all is still as it should be, the rest.
fn taking(resize: Resize, from: SubOsIndex) -> Vec<Task> {
    let mut tasks = Vec::new();
    if let Manner::Ask(patience) = resize.manner {
        tasks.push(Task::AskForAll(from, resize, patience));
    }
    tasks.extend(cores(resize.cores).map(|core: CoreNumber| Task::TakeCore(from, core, Manner::Force)));
    if resize.lots != 0 {
        tasks.push(Task::Do(Order::Foresee(Resize { cores: 0, refused: None, ..resize })));
    }
    // The last first: undone, they come back in rising order, and get the numbers that they had.
    tasks.extend(resize.lots().rev().map(|lot| Task::Do(Order::ReclaimLot(from, lot))));
    tasks
}

/// The words that say that what was asked for stays.
pub(crate) const fn keep(request: Request) -> Option<Request> {
    match request {
        Request::GiveCore { core, .. } => Some(Request::KeepCore { core }),
        Request::GiveLot { lot, .. } => Some(Request::KeepLot { lot }),
        _ => None,
    }
}
