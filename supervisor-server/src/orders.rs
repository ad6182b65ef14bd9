//! What an operator orders: taken between two steps of the plan, and when the last is done, for as long as the run is to be
//! kept up. An order goes the way of a step: it is whole or undone, and nothing in it waits without a deadline. But it fails
//! alone: the run goes on.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use idl::operator::{Change, MAX_WAITING, Outcome, fitted};
use idl::plan::{Action, Chunks, CoreNumber, Holder, Holds, LotNumber, Manner, SubOsIndex};
use idl::types::Ticks;
use serde::{Deserialize, Serialize};

use crate::beat::Beat;
use crate::director::{Director, Stage};
use crate::member::{Life, Member, bit, cores};
use crate::news::News;
use crate::order::Order;
use crate::task::{self, Task, Work};
use crate::wait::{Wait, after};

/// How many orders are remembered that came to an end.
const REMEMBERED: usize = 16;
/// The longest that a resource may be asked for before it is forced, in milliseconds.
const MOST_PATIENCE: u32 = 60_000;
/// How long to rest between looks at an operator's line, in milliseconds.
const NAP: u64 = 4;

/// The orders of an operator.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// Whether there is an operator: the run does not end of itself then.
    kept: bool,
    waiting: VecDeque<(u32, Change)>,
    at_work: Option<(u32, Change)>,
    /// What came of those before: why they failed, if they did.
    past: VecDeque<(u32, Option<String>)>,
    last: u32,
    ends: bool,
    /// Whether something comes over the line just now.
    hurried: bool,
}

impl Orders {
    fn settle(&mut self, ticket: u32, failure: Option<String>) {
        if self.past.len() == REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back((ticket, failure));
    }

    /// How many wait or are being carried out.
    pub(crate) fn open(&self) -> usize {
        self.waiting.len() + usize::from(self.at_work.is_some())
    }
}

impl Director {
    /// From now on there is an operator, and the run ends when he says so.
    pub fn keep_up(&mut self) {
        self.orders.kept = true;
    }

    /// Whether the plan is done, and the run is kept up: what becomes of a subOS now is no failure of the plan's.
    pub(crate) fn is_kept(&self) -> bool {
        self.orders.kept && self.step >= self.plan.steps.len()
    }

    /// Takes an order, which is carried out when those before it are.
    pub(crate) fn order(&mut self, change: Change) -> Result<u32, String> {
        if self.orders.ends || matches!(self.stage, Stage::End | Stage::Over) {
            return Err("the run is at its end".into());
        }
        if self.orders.waiting.len() >= MAX_WAITING {
            return Err(format!("{MAX_WAITING} orders wait already"));
        }
        // What waits may change what is right now; it is looked at again when its turn comes.
        if self.orders.open() == 0 {
            self.tasks_of(&change)?;
        }
        self.orders.last = self.orders.last.wrapping_add(1);
        let ticket = self.orders.last;
        self.orders.waiting.push_back((ticket, change));
        Ok(ticket)
    }

    /// What came of an order.
    pub(crate) fn outcome(&self, ticket: u32) -> Outcome {
        let orders = &self.orders;
        let mut open = orders.waiting.iter().chain(&orders.at_work);
        if open.any(|(open, _)| *open == ticket) {
            return Outcome::Waiting;
        }
        match orders.past.iter().rev().find(|(past, _)| *past == ticket) {
            None => Outcome::Unknown,
            Some((_, None)) => Outcome::Done,
            Some((_, Some(reason))) => Outcome::Failed(fitted(reason)),
        }
    }

    /// Ends the run when the orders before are done.
    pub(crate) fn end_when_done(&mut self) {
        self.orders.ends = true;
    }

    /// Whether something comes over the operator's line: then the rests are short.
    pub(crate) const fn hurry(&mut self, hurried: bool) {
        self.orders.hurried = hurried;
    }

    /// In the place of a wait: begins the next order, if there is one. Whether it did.
    pub(crate) fn take_order(&mut self, wait: Wait) -> bool {
        let Some((ticket, change)) = self.orders.waiting.pop_front() else { return false };
        match self.tasks_of(&change) {
            Err(reason) => {
                self.conclude(ticket, &change, Some(reason));
                self.stage = Stage::Wait(wait);
            }
            Ok(tasks) => {
                self.beat = Beat::default();
                self.work = Work::new([Task::Do(Order::Survey)].into_iter().chain(tasks));
                self.orders.at_work = Some((ticket, change));
                self.stage = Stage::Ordered(wait);
            }
        }
        true
    }

    /// After an order's work: back to the wait from which it was taken.
    pub(crate) fn after_order(&mut self, wait: Wait) {
        let failure = self.work.failure.take();
        if let Some((ticket, change)) = self.orders.at_work.take() {
            self.conclude(ticket, &change, failure);
        }
        self.stage = Stage::Wait(wait);
    }

    fn conclude(&mut self, ticket: u32, change: &Change, failure: Option<String>) {
        self.news.push(News::Order { what: describe(change), failure: failure.clone() });
        self.orders.settle(ticket, failure);
    }

    /// After the last step: a rest, if the run is kept up and does not end now.
    pub(crate) fn stay(&mut self, now: Ticks, wait: Wait) -> Option<Order> {
        if !self.orders.kept || self.orders.ends {
            return None;
        }
        self.stage = Stage::Wait(wait);
        // A line of which something was just heard has more soon.
        let nap = if self.orders.hurried {
            Ticks(now.0.saturating_add(self.rate / 8))
        } else {
            after(now, NAP, self.rate)
        };
        Some(Order::Rest(nap))
    }

    /// Takes away a subOS that died when nothing was expected of it any more.
    pub(crate) fn bury(&mut self, subos: SubOsIndex) {
        let tasks = self.member(subos).map_or_else(Vec::new, |member| task::death(subos, member));
        self.work = Work::lenient(tasks);
        self.stage = Stage::Mend;
    }

    /// What an order consists of.
    ///
    /// # Errors
    /// Why it cannot be carried out: which resource, and what is the matter with it.
    fn tasks_of(&self, change: &Change) -> Result<Vec<Task>, String> {
        match change {
            Change::Create { name } => self.birth(self.named(name)?),
            Change::Destroy { name } => Ok(self.action(Action::Kill(self.there(name)?))),
            Change::Restart { name } => {
                let subos = self.named(name)?;
                let Some(member) = self.member(subos).filter(|member| member.exists()) else {
                    return self.birth(subos);
                };
                let mut tasks = task::death(subos, member);
                let lots: Vec<Chunks> = member.lots().collect();
                tasks.extend(task::birth(&self.plan, subos, member.cores, &lots));
                Ok(tasks)
            }
            Change::MoveCore { core, from, to, ask } => {
                let core = CoreNumber(*core);
                let (from, to) = (self.holder(from.as_ref())?, self.holder(to.as_ref())?);
                self.check_core(core, from, to)?;
                Ok(self.action(Action::MoveCore { core, from, to, manner: manner(*ask)? }))
            }
            Change::GrantLot { chunks: 0, to } => Err(format!("{to} is to get no memory at all")),
            Change::GrantLot { chunks, to } => {
                let (to, size) = (self.alive(to)?, Chunks(*chunks));
                Ok(self.action(Action::GrantLot { size, to, reuses: None }))
            }
            Change::MoveLot { lot, from, to, ask } => {
                let (lot, owner) = (LotNumber(*lot), from);
                let (from, to) = (self.there(from)?, self.holder(to.as_ref())?);
                self.check_lot(lot, from, owner)?;
                if to == Holder::SubOs(from) {
                    return Err(format!("{owner} has lot {} already", lot.0));
                }
                let (manner, holds) = (manner(*ask)?, Holds::Anything);
                Ok(self.action(Action::MoveLot { lot, from, to, manner, holds }))
            }
        }
    }

    /// Creates a subOS as the plan has it.
    fn birth(&self, subos: SubOsIndex) -> Result<Vec<Task>, String> {
        let planned = self.plan.subos(subos).ok_or("the plan has no such subOS")?;
        if self.member(subos).is_some_and(Member::exists) {
            return Err(format!("{} exists already", planned.name));
        }
        match cores(planned.cores).find_map(|core| Some((core, self.owner_of(core)?))) {
            Some((core, owner)) => {
                Err(format!("core {} is {owner}'s, and {} needs it", core.0, planned.name))
            }
            None => Ok(self.action(Action::Create(subos))),
        }
    }

    fn check_core(&self, core: CoreNumber, from: Holder, to: Holder) -> Result<(), String> {
        if from == to {
            return Err(format!("core {} is to go to where it is", core.0));
        }
        match (from, self.owner_of(core)) {
            _ if core.0 == 0 => Err("core 0 is the supervisor's".to_string()),
            (Holder::Free, Some(owner)) => Err(format!("core {} is {owner}'s", core.0)),
            (Holder::SubOs(from), _) if self.cores_of(from) & bit(core) == 0 => {
                let list = listed(cores(self.cores_of(from)).map(|core| core.0));
                let name = self.name_of(from);
                Err(format!("{name} does not have core {}; it has {list}", core.0))
            }
            _ => Ok(()),
        }
    }

    fn check_lot(&self, lot: LotNumber, from: SubOsIndex, name: &str) -> Result<(), String> {
        if lot.0 == 0 {
            return Err(format!("lot 0 is {name}'s home lot, which goes only with {name}"));
        }
        let member = self.member(from).ok_or("there is no such subOS")?;
        if member.lot(lot).is_none() {
            let list = listed(member.numbered_lots().map(|(lot, _)| lot.0));
            return Err(format!("{name} has no lot {} that can be moved; it has {list}", lot.0));
        }
        Ok(())
    }

    /// Whose a core is, as far as the director knows.
    fn owner_of(&self, core: CoreNumber) -> Option<&str> {
        let index = self.members.iter().position(|member| member.cores & bit(core) != 0)?;
        self.plan.suboses.get(index).map(|planned| planned.name.as_str())
    }

    fn name_of(&self, subos: SubOsIndex) -> &str {
        self.plan.subos(subos).map_or("?", |planned| planned.name.as_str())
    }

    fn holder(&self, name: Option<&idl::plan::Name>) -> Result<Holder, String> {
        name.map_or(Ok(Holder::Free), |name| self.alive(name).map(Holder::SubOs))
    }

    fn named(&self, name: &str) -> Result<SubOsIndex, String> {
        let place = self.plan.suboses.iter().position(|planned| planned.name.as_str() == name);
        let number = place.and_then(|place| u8::try_from(place).ok());
        number.map(SubOsIndex).ok_or_else(|| {
            let names: Vec<&str> = self.plan.suboses.iter().map(|planned| planned.name.as_str()).collect();
            format!("there is no subOS {name}; there are {}", names.join(", "))
        })
    }

    fn there(&self, name: &str) -> Result<SubOsIndex, String> {
        let subos = self.named(name)?;
        let exists = self.member(subos).is_some_and(Member::exists);
        if exists { Ok(subos) } else { Err(format!("{name} does not exist now")) }
    }

    fn alive(&self, name: &str) -> Result<SubOsIndex, String> {
        let subos = self.there(name)?;
        let alive = self.member(subos).is_some_and(|member| member.life == Life::Alive);
        if alive { Ok(subos) } else { Err(format!("{name} does not run")) }
    }
}

fn manner(ask: u32) -> Result<Manner, String> {
    match ask {
        0 => Ok(Manner::Force),
        1..=MOST_PATIENCE => Ok(Manner::Ask(ask)),
        _ => Err(format!("asking for {ask} ms is too long: {MOST_PATIENCE} ms at most")),
    }
}

fn listed(numbers: impl Iterator<Item = u8>) -> String {
    let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
    if numbers.is_empty() { "none".into() } else { numbers.join(", ") }
}

/// An order, for people.
fn describe(change: &Change) -> String {
    let of = |name: &Option<idl::plan::Name>| name.as_ref().map_or("nobody".to_string(), ToString::to_string);
    match change {
        Change::Create { name } => format!("create {name}"),
        Change::Destroy { name } => format!("destroy {name}"),
        Change::Restart { name } => format!("restart {name}"),
        Change::MoveCore { core, from, to, .. } => {
            format!("move core {core} from {} to {}", of(from), of(to))
        }
        Change::GrantLot { chunks, to } => format!("grant {} MiB to {to}", u64::from(*chunks) * 2),
        Change::MoveLot { lot, from, to, .. } => format!("move lot {lot} from {from} to {}", of(to)),
    }
}
