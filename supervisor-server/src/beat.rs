//! Nobody misses a beat: over every step, each subOS of duty must get on with its work.
//!
//! Two counts must grow: the messages that its kernel has passed on, which the supervisor reads itself immediately
//! before and after the step's work, and the progress that the subOS reports of its own accord, read after it.

use alloc::vec::Vec;

use idl::dialogue::Request;
use idl::plan::{Duty, Plan, SubOsIndex};
use idl::types::Ticks;

use crate::member::{Life, Member};
use crate::news::News;
use crate::order::Order;
use crate::task::Task;
use crate::wait::after;

/// How long a subOS may take to show that it goes on, in milliseconds. A laptop under load stops a virtual core for
/// tens of milliseconds at a time, and one of two that work in turn can stop both.
const PATIENCE: u64 = 30_000;
/// How long to rest between looks, in milliseconds.
const NAP: u64 = 2;

/// The state of one subOS of duty.
#[derive(Clone, Copy, Debug)]
struct Pulse {
    subos: SubOsIndex,
    /// What it had reported before the step.
    before: u64,
    /// Messages before the step's work.
    messages: u64,
    /// Messages during the step's work.
    during: u64,
    asked: bool,
    measured: bool,
}

/// What is watched over one step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beat {
    pulses: Vec<Pulse>,
    done: Ticks,
    deadline: Ticks,
}

/// What a look says.
pub(crate) enum Turn {
    /// Everybody went on.
    Kept(Vec<News>),
    /// This one did not.
    Missed(SubOsIndex, Vec<News>),
    /// Do this, then look again.
    Again(Order),
}

impl Beat {
    /// Watches the subOSes that run and have a duty, but not the one that the step itself is about.
    pub(crate) fn of(plan: &Plan, members: &[Member], exempt: Option<SubOsIndex>) -> Self {
        let mut pulses = Vec::new();
        for ((index, planned), member) in (0u8..).zip(&plan.suboses).zip(members) {
            let subos = SubOsIndex(index);
            let runs = member.life == Life::Alive && member.cores != 0;
            if runs && planned.duty == Duty::Progress && exempt != Some(subos) {
                let pulse = Pulse { subos, before: 0, messages: 0, during: 0, asked: false, measured: false };
                pulses.push(pulse);
            }
        }
        Self { pulses, ..Self::default() }
    }

    /// Reads what everybody did.
    pub(crate) fn measure(&self, members: &[Member]) -> Vec<Task> {
        let mask = |subos: SubOsIndex| members.get(usize::from(subos.0)).map_or(0, |member| member.ever);
        self.pulses.iter().map(|p| Task::Do(Order::Measure(p.subos, mask(p.subos)))).collect()
    }

    /// Just before the step's work.
    pub(crate) fn mark(&mut self, members: &[Member]) {
        for pulse in &mut self.pulses {
            if let Some(member) = members.get(usize::from(pulse.subos.0)) {
                pulse.before = member.progress.map_or(0, |(count, _)| count);
                pulse.messages = member.messages();
            }
        }
    }

    /// Just after it.
    pub(crate) fn note(&mut self, members: &[Member]) {
        for pulse in &mut self.pulses {
            if let Some(member) = members.get(usize::from(pulse.subos.0)) {
                pulse.during = member.messages().saturating_sub(pulse.messages);
            }
        }
    }

    /// Begins to look.
    pub(crate) fn begin(self, now: Ticks, rate: u64) -> Self {
        Self { done: now, deadline: after(now, PATIENCE, rate), ..self }
    }

    /// Looks whether everybody has gone on since the step began.
    pub(crate) fn turn(&mut self, now: Ticks, rate: u64, step: usize, members: &mut [Member]) -> Turn {
        let done = self.done;
        let late = |pulse: &&mut Pulse| {
            let member = members.get(usize::from(pulse.subos.0));
            !member.is_some_and(|member| member.life != Life::Alive || went_on(pulse, member, done))
        };
        let Some(pulse) = self.pulses.iter_mut().find(late) else {
            return Turn::Kept(self.news(step, members));
        };
        let subos = pulse.subos;
        if now >= self.deadline {
            return Turn::Missed(subos, self.news(step, members));
        }
        if !pulse.asked {
            pulse.asked = true;
            return Turn::Again(Order::Tell(subos, Request::SayProgress {}));
        }
        if !pulse.measured {
            pulse.measured = true;
            let mask = members.get(usize::from(subos.0)).map_or(0, |member| member.ever);
            return Turn::Again(Order::Measure(subos, mask));
        }
        (pulse.asked, pulse.measured) = (false, false);
        Turn::Again(Order::Rest(after(now, NAP, rate)))
    }

    fn news(&self, step: usize, members: &[Member]) -> Vec<News> {
        let line = |pulse: &Pulse| {
            let member = members.get(usize::from(pulse.subos.0));
            let after = member.and_then(|member| member.progress).map_or(0, |(count, _)| count);
            let Pulse { subos, before, during, .. } = *pulse;
            News::Beat { subos, step, before, after, during }
        };
        self.pulses.iter().map(line).collect()
    }
}

/// Whether both counts have grown, the subOS's own as it read it after the step's work.
fn went_on(pulse: &Pulse, member: &Member, done: Ticks) -> bool {
    let reported = member.progress.is_some_and(|(count, at)| count > pulse.before && at >= done);
    reported && member.messages() > pulse.messages
}
