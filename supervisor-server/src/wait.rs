//! Waiting: for a step's condition, with a deadline.

use alloc::format;
use alloc::string::String;

use idl::dialogue::Request;
use idl::plan::{CoreNumber, SubOsIndex, When};
use idl::types::Ticks;
use serde::{Deserialize, Serialize};

use crate::activity::Sign;
use crate::member::{Life, Member};
use crate::order::Order;

/// How long to rest between looks, in milliseconds.
const NAP: u64 = 2;
/// How often to ask for progress, in looks.
const ASK_EVERY: u32 = 16;
/// In so many looks in a row a subOS must have done something on a core to be at work there.
const SIGHTS: u32 = 3;

/// A wait in hand.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Wait {
    since: Ticks,
    deadline: Option<Ticks>,
    looks: u32,
    asked: bool,
    /// The work seen at the last look, and in how many looks in a row it grew.
    seen: Option<(u64, u32)>,
    measured: bool,
}

/// What a look says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The condition holds.
    Fulfilled,
    /// Do this, then look again.
    NotYet(Order),
    /// It will never hold, or the deadline has passed.
    Hopeless(String),
}

impl Wait {
    /// A wait from now on for so many milliseconds; 0 for as long as it takes.
    pub(crate) fn since(now: Ticks, milliseconds: u64, rate: u64) -> Self {
        let deadline = (milliseconds > 0).then(|| after(now, milliseconds, rate));
        Self { since: now, deadline, looks: 0, asked: false, seen: None, measured: false }
    }

    /// Whether the deadline has passed.
    pub(crate) fn is_over(&self, now: Ticks) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// A short rest.
    pub(crate) fn rest(&mut self, now: Ticks, rate: u64) -> Order {
        self.looks = self.looks.wrapping_add(1);
        self.asked = false;
        self.measured = false;
        Order::Rest(after(now, NAP, rate))
    }

    /// Looks whether the condition holds.
    pub(crate) fn turn(&mut self, now: Ticks, rate: u64, when: When, members: &[Member]) -> Turn {
        let member = |subos: SubOsIndex| members.get(usize::from(subos.0));
        let alive = |subos| member(subos).is_some_and(|member| member.life == Life::Alive);
        let holds = match when {
            When::Now => true,
            When::After(milliseconds) => now >= after(self.since, u64::from(milliseconds), rate),
            When::Progress(subos, count) => {
                member(subos).and_then(|member| member.progress).is_some_and(|(done, _)| done >= count)
            }
            When::Ended(subos) => member(subos).is_some_and(|member| member.ended.is_some()),
            When::Working(subos, core) => member(subos).is_some_and(|member| self.sees_work(member, core)),
            When::Guests(subos, core, count) | When::Timer(subos, core, count) => {
                let sign = at_work(when).map_or(Sign::Anything, |(.., sign)| sign);
                member(subos).is_some_and(|member| member.work_on(core, sign) >= u64::from(count))
            }
        };
        if holds {
            return Turn::Fulfilled;
        }
        let about = match when {
            When::Now | When::After(_) => None,
            When::Progress(subos, _)
            | When::Ended(subos)
            | When::Working(subos, _)
            | When::Guests(subos, ..)
            | When::Timer(subos, ..) => Some(subos),
        };
        if about.is_some_and(|subos| !alive(subos)) {
            return Turn::Hopeless("what the step waits for cannot come: its subOS is gone".into());
        }
        if self.is_over(now) {
            return Turn::Hopeless(format!("waited in vain: {}", describe(when)));
        }
        Turn::NotYet(self.look_again(now, rate, when, members))
    }

    /// What brings news of the condition, then a rest.
    fn look_again(&mut self, now: Ticks, rate: u64, when: When, members: &[Member]) -> Order {
        match when {
            When::Progress(subos, _) if !self.asked && self.looks.is_multiple_of(ASK_EVERY) => {
                self.asked = true;
                Order::Tell(subos, Request::SayProgress {})
            }
            When::Working(subos, _) | When::Guests(subos, ..) | When::Timer(subos, ..) if !self.measured => {
                self.measured = true;
                let mask = members.get(usize::from(subos.0)).map_or(0, |member| member.ever);
                Order::Measure(subos, mask)
            }
            When::After(milliseconds) => {
                // The rest of the time, in pieces: a subOS that dies meanwhile is not to wait for it.
                let end = after(self.since, u64::from(milliseconds), rate);
                let Order::Rest(nap) = self.rest(now, rate) else { return Order::Rest(end) };
                Order::Rest(nap.min(end))
            }
            _ => self.rest(now, rate),
        }
    }

    /// Whether work on the core grew in several looks in a row.
    fn sees_work(&mut self, member: &Member, core: CoreNumber) -> bool {
        if !self.measured {
            return false;
        }
        let work = member.work_on(core, Sign::Anything);
        let sights = match self.seen {
            Some((before, sights)) if work > before => sights + 1,
            _ => 0,
        };
        self.seen = Some((work, sights));
        sights >= SIGHTS
    }
}

fn describe(when: When) -> String {
    match when {
        When::Now => "nothing".into(),
        When::After(milliseconds) => format!("{milliseconds} ms"),
        When::Progress(_, count) => format!("progress of {count}"),
        When::Ended(_) => "its end".into(),
        When::Working(_, core) => format!("work on core {}", core.0),
        When::Guests(_, core, count) => format!("{count} entries of guests on core {}", core.0),
        When::Timer(_, core, count) => format!("{count} interrupts of the timer of core {}", core.0),
    }
}

/// Whose work on which core a step waits for, and by what one sees it.
pub(crate) const fn at_work(when: When) -> Option<(SubOsIndex, CoreNumber, Sign)> {
    match when {
        When::Working(subos, core) => Some((subos, core, Sign::Anything)),
        When::Guests(subos, core, _) => Some((subos, core, Sign::Guests)),
        When::Timer(subos, core, _) => Some((subos, core, Sign::Timer)),
        When::Now | When::After(_) | When::Progress(..) | When::Ended(_) => None,
    }
}

/// So many milliseconds later.
pub(crate) fn after(now: Ticks, milliseconds: u64, rate: u64) -> Ticks {
    Ticks(now.0.saturating_add(milliseconds.saturating_mul(rate)))
}
