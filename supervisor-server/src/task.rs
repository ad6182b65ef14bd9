//! What an operation consists of, and how it is undone.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use idl::dialogue::Request;
use idl::plan::{
    Chunks, CoreNumber, Holder, Holds, LotNumber, Manner, Plan, Resize, Scrub, SubOsIndex, WindowIndex,
};
use idl::types::Ticks;
use serde::{Deserialize, Serialize};

use crate::activity::Sign;
use crate::member::{Member, bit, cores};
use crate::order::{Moment, Order};

/// One part of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Carry this out.
    Do(Order),
    /// Take a core in this manner.
    TakeCore(SubOsIndex, CoreNumber, Manner),
    /// Wait until a subOS has given this core, until then at most.
    HearOfCore(SubOsIndex, CoreNumber, Ticks),
    /// Ask for all cores and lots of a resize, for so many milliseconds in all.
    AskForAll(SubOsIndex, Resize, u32),
    /// Ask for a lot and wait so many milliseconds for what its owner says of it.
    AskForLot(SubOsIndex, LotNumber, u32, Holds),
    /// Wait for what a subOS says of this lot, until then. If it says nothing, or that nothing is in it, go on; or
    /// give up if it must hold data.
    HearOfLot(SubOsIndex, LotNumber, Ticks, Holds),
    /// Wait until a subOS says of each lot that it was just granted that it holds nothing.
    HearOfNewLot(SubOsIndex),
    /// Wait until a subOS is seen to be at work.
    SeeWork(Sight),
    /// Wait until both sides have asked for a window.
    SeeAsked(WindowIndex),
    /// Rest until then.
    Pause(Ticks),
    /// Rest for so many milliseconds.
    Rest(u32),
    /// Hold the operation open, at this point of it, until everybody has been seen to go on.
    Hold(Point),
    /// See that the ledger shows this to have changed hands since it was last looked at, and nothing else.
    Account(Account),
}

/// A look at what a subOS does on a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sight {
    pub(crate) subos: SubOsIndex,
    pub(crate) core: CoreNumber,
    pub(crate) sign: Sign,
    /// Whether to tell of it.
    pub(crate) telling: Telling,
    /// What was counted at the look before; `None` before the first.
    pub(crate) before: Option<u64>,
    /// Until when to look; `None` before the first look.
    pub(crate) until: Option<Ticks>,
}

/// Whether something is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Telling {
    /// It is only waited for.
    Silent,
    /// It is a finding.
    Told,
}

/// A point of an operation at which it can be held open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Point {
    /// In the middle of this part, which takes several calls.
    Within(Order),
    /// After this part.
    After(Order),
    /// Where nothing is being changed.
    Between,
}

/// What an operation changes in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    /// Cores that change hands: bit n for core n.
    pub(crate) cores: u64,
    /// How many chunks do.
    pub(crate) chunks: u32,
    /// Which.
    pub(crate) place: Place,
}

/// Which chunks change hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// Whichever the ledger chooses.
    Any,
    /// Those that changed hands before.
    Same,
    /// Only such as this subOS had when it was killed.
    LeftBy(SubOsIndex),
}

/// An operation in hand.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Work {
    /// What is still to be done, the part in hand first.
    pub(crate) tasks: VecDeque<Task>,
    /// What undoes what was done: last in, first out.
    undo: Vec<Order>,
    /// When the part in hand was begun.
    pub(crate) since: Option<Ticks>,
    /// The chunks that changed hands last.
    #[serde(with = "crate::runs")]
    pub(crate) changed: Vec<u64>,
    /// The part in which the operation was held open last.
    pub(crate) held: Option<Order>,
    /// The lots that were granted last.
    pub(crate) granted: Vec<LotNumber>,
    /// Whether who loses a lot gets another if the operation fails.
    pub(crate) whole: bool,
    /// Whether parts that fail are skipped: when undoing and when everything ends.
    pub(crate) lenient: bool,
    /// Why it failed.
    pub(crate) failure: Option<alloc::string::String>,
}

impl Work {
    /// An operation of these parts.
    pub(crate) fn new(tasks: impl IntoIterator<Item = Task>) -> Self {
        Self { tasks: tasks.into_iter().collect(), ..Self::default() }
    }

    /// An operation of these parts, each of which is done whatever becomes of the others.
    pub(crate) fn lenient(tasks: impl IntoIterator<Item = Task>) -> Self {
        Self { lenient: true, ..Self::new(tasks) }
    }

    /// Goes on to the next part.
    pub(crate) fn pass(&mut self) {
        self.tasks.pop_front();
        self.since = None;
    }

    /// Puts this in the place of the part in hand.
    pub(crate) fn replace(&mut self, tasks: &[Task]) {
        self.pass();
        for task in tasks.iter().rev() {
            self.tasks.push_front(*task);
        }
    }

    /// Puts this before the part in hand, which is not done yet.
    pub(crate) fn interpose(&mut self, task: Task) {
        self.tasks.push_front(task);
        self.since = None;
    }

    /// Whether it may be held open: everything but an undoing and an end.
    pub(crate) const fn is_open(&self) -> bool {
        !self.lenient
    }

    /// Remembers how to undo what was just done.
    pub(crate) fn undo_with(&mut self, order: Order) {
        if !self.lenient {
            self.undo.push(order);
        }
    }

    /// From here on there is nothing to undo: what was to be done is done.
    pub(crate) fn settle(&mut self) {
        self.undo.clear();
    }

    /// Gives the rest up and undoes what was done; or only skips a part if it is to be lenient.
    pub(crate) fn fail(&mut self, reason: alloc::string::String) {
        self.failure.get_or_insert(reason);
        if self.lenient {
            self.pass();
        } else {
            self.lenient = true;
            self.since = None;
            self.tasks = self.undo.drain(..).rev().map(Task::Do).collect();
        }
    }
}

/// How a subOS is built with these cores and lots, the home lot first.
pub(crate) fn birth(plan: &Plan, subos: SubOsIndex, mask: u64, lots: &[Chunks]) -> Vec<Task> {
    let mut tasks = Vec::new();
    let mut order = |order| tasks.push(Task::Do(order));
    let (Some(planned), Some((home, others))) = (plan.subos(subos), lots.split_first()) else {
        return tasks;
    };
    order(Order::Create(subos, *home));
    if planned.scrub != Scrub::AtOnce {
        order(Order::Scrub(subos, planned.scrub));
    }
    others.iter().for_each(|lot| order(Order::GrantLot(subos, *lot)));
    cores(mask).for_each(|core| order(Order::GrantCore(subos, core)));
    if !planned.files.is_empty() {
        order(Order::Attach(subos));
    }
    order(Order::Load(subos));
    order(Order::Start(subos));
    tasks
}

/// How a subOS is ended: what it did is read first.
pub(crate) fn death(subos: SubOsIndex, member: &Member) -> Vec<Task> {
    let mut tasks = Vec::new();
    if member.condemned {
        tasks.push(Task::Do(Order::Epitaph(subos)));
    }
    tasks.push(Task::Do(Order::Measure(subos, member.ever)));
    tasks.push(Task::Do(Order::Destroy(subos)));
    tasks
}

/// An operation with its holds: after each part that changes something, before the next.
pub(crate) fn held(tasks: impl IntoIterator<Item = Task>) -> Vec<Task> {
    let mut open = Vec::new();
    for task in tasks {
        open.push(task);
        let part = match task {
            Task::Do(order) if changes(order) => order,
            Task::TakeCore(subos, core, _) => Order::ReclaimCore(subos, core),
            _ => continue,
        };
        open.push(Task::Hold(Point::After(part)));
    }
    open
}

/// Whether an order changes who has what, or what somebody is.
pub(crate) const fn changes(order: Order) -> bool {
    match order {
        Order::Create(..)
        | Order::GrantLot(..)
        | Order::Attach(_)
        | Order::Load(_)
        | Order::Start(_)
        | Order::GrantCore(..)
        | Order::ReclaimCore(..)
        | Order::ReclaimLot(..)
        | Order::Grant(..)
        | Order::Share(_)
        | Order::Destroy(_) => true,
        Order::Tell(..)
        | Order::Foresee(_)
        | Order::Scrub(..)
        | Order::Measure(..)
        | Order::Epitaph(_)
        | Order::Survey
        | Order::Snapshot
        | Order::Compare
        | Order::Audit
        | Order::Holdings
        | Order::Mark(_)
        | Order::Rest(_)
        | Order::Finish(_) => false,
    }
}

/// A wait for work of any kind.
pub(crate) const fn see_work(subos: SubOsIndex, core: CoreNumber) -> Task {
    let (sign, telling) = (Sign::Anything, Telling::Silent);
    Task::SeeWork(Sight { subos, core, sign, telling, before: None, until: None })
}

/// How a core goes from one to another. `duty` says of whom work is expected.
pub(crate) fn move_core(
    core: CoreNumber,
    from: Holder,
    to: Holder,
    manner: Manner,
    duty: impl Fn(SubOsIndex) -> bool,
) -> Vec<Task> {
    let mut tasks = Vec::new();
    if let Holder::SubOs(subos) = from {
        tasks.push(Task::TakeCore(subos, core, manner));
    }
    if let Holder::SubOs(subos) = to {
        tasks.push(Task::Do(Order::GrantCore(subos, core)));
        if duty(subos) {
            tasks.push(see_work(subos, core));
        }
    }
    tasks.push(Task::Account(Account { cores: bit(core), chunks: 0, place: Place::Any }));
    tasks
}

/// How a lot of this size goes from one to another.
pub(crate) fn move_lot(
    lot: LotNumber,
    size: Chunks,
    (from, to): (SubOsIndex, Holder),
    (manner, holds): (Manner, Holds),
    duty: impl Fn(SubOsIndex) -> bool,
) -> Vec<Task> {
    let mut tasks = Vec::new();
    match manner {
        Manner::Ask(patience) => tasks.push(Task::AskForLot(from, lot, patience, holds)),
        // Nobody says what it holds.
        Manner::Force => tasks.push(Task::HearOfLot(from, lot, Ticks(0), holds)),
    }
    tasks.push(Task::Do(Order::ReclaimLot(from, lot)));
    tasks.push(Task::Account(Account { cores: 0, chunks: size.0, place: Place::Any }));
    if let Holder::SubOs(to) = to {
        let place = if holds == Holds::Data { Place::Same } else { Place::Any };
        tasks.extend(grant_lot(size, to, place, duty));
    }
    tasks
}

/// How a new lot is granted. Who has a duty to make progress must say that it is empty.
pub(crate) fn grant_lot(
    size: Chunks,
    to: SubOsIndex,
    place: Place,
    duty: impl Fn(SubOsIndex) -> bool,
) -> Vec<Task> {
    let mut tasks = Vec::from([Task::Do(Order::GrantLot(to, size))]);
    if duty(to) {
        tasks.push(Task::HearOfNewLot(to));
    }
    tasks.push(Task::Account(Account { cores: 0, chunks: size.0, place }));
    tasks
}

/// How the machine is left alone for so many milliseconds, between two markers, with the ledger said around them.
pub(crate) fn watch(milliseconds: u32) -> Vec<Task> {
    let before = [Task::Do(Order::Holdings), Task::Do(Order::Mark(Moment::Begin))];
    let after = [Task::Do(Order::Mark(Moment::End)), Task::Do(Order::Holdings)];
    before.into_iter().chain([Task::Rest(milliseconds)]).chain(after).collect()
}

/// The words with which a core is asked for.
pub(crate) const fn ask_for_core(subos: SubOsIndex, core: CoreNumber, deadline: Ticks) -> Order {
    Order::Tell(subos, Request::GiveCore { core: idl::types::CoreNumber(core.0 as u32), deadline })
}

/// The words with which a lot is asked for.
pub(crate) const fn ask_for(subos: SubOsIndex, lot: LotNumber, deadline: Ticks) -> Order {
    let lot = idl::types::LotNumber(lot.0 as u32);
    Order::Tell(subos, Request::GiveLot { lot, deadline })
}
