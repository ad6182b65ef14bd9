//! What an operation consists of, and how it is undone.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use idl::dialogue::Request;
use idl::plan::{Chunks, CoreNumber, Holder, Holds, LotNumber, Manner, Plan, SubOsIndex};
use idl::types::Ticks;

use crate::member::{Member, cores};
use crate::order::Order;

/// One part of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Carry this out.
    Do(Order),
    /// Take a core in this manner.
    TakeCore(SubOsIndex, CoreNumber, Manner),
    /// Ask for a lot and wait so many milliseconds for what its owner says of it.
    AskForLot(SubOsIndex, LotNumber, u32, Holds),
    /// Wait for what a subOS says of this lot, until then. If it says nothing, or that nothing is in it, go on; or
    /// give up if it must hold data.
    HearOfLot(SubOsIndex, LotNumber, Ticks, Holds),
    /// Wait until a subOS says that the lot it was just granted holds nothing.
    HearOfNewLot(SubOsIndex),
    /// Wait until a subOS does work on a core beyond this count, `None` until it is first measured; until then,
    /// `None` until it is first looked at.
    SeeWork(SubOsIndex, CoreNumber, Option<u64>, Option<Ticks>),
    /// Rest until then.
    Pause(Ticks),
    /// Note what the subOSes of duty have done so far.
    Mark,
    /// Note what they did since.
    Note,
}

/// An operation in hand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work {
    /// What is still to be done, the part in hand first.
    pub(crate) tasks: VecDeque<Task>,
    /// What undoes what was done: last in, first out.
    undo: Vec<Order>,
    /// When the part in hand was begun.
    pub(crate) since: Option<Ticks>,
    /// The chunks that changed hands, by survey.
    pub(crate) surveys: Vec<Vec<u64>>,
    /// The lot that was granted last.
    pub(crate) granted: Option<LotNumber>,
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

    /// Remembers how to undo what was just done.
    pub(crate) fn undo_with(&mut self, order: Order) {
        if !self.lenient {
            self.undo.push(order);
        }
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
            tasks.push(Task::SeeWork(subos, core, None, None));
        }
    }
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
    let survey = (holds == Holds::Data).then_some(Task::Do(Order::Survey));
    let mut tasks = Vec::new();
    match manner {
        Manner::Ask(patience) => tasks.push(Task::AskForLot(from, lot, patience, holds)),
        // Nobody says what it holds.
        Manner::Force => tasks.push(Task::HearOfLot(from, lot, Ticks(0), holds)),
    }
    tasks.extend(survey);
    tasks.push(Task::Do(Order::ReclaimLot(from, lot)));
    tasks.extend(survey);
    if let Holder::SubOs(to) = to {
        let mut grant = grant_lot(size, to, duty).into_iter();
        tasks.extend(grant.next());
        tasks.extend(survey);
        tasks.extend(grant);
    }
    tasks
}

/// How a new lot is granted. Who has a duty must say that it is empty.
pub(crate) fn grant_lot(size: Chunks, to: SubOsIndex, duty: impl Fn(SubOsIndex) -> bool) -> Vec<Task> {
    let mut tasks = Vec::from([Task::Do(Order::GrantLot(to, size))]);
    if duty(to) {
        tasks.push(Task::HearOfNewLot(to));
    }
    tasks
}

/// The words with which a lot is asked for.
pub(crate) const fn ask_for(subos: SubOsIndex, lot: LotNumber, deadline: Ticks) -> Order {
    let lot = idl::types::LotNumber(lot.0 as u32);
    Order::Tell(subos, Request::GiveLot { lot, deadline })
}
