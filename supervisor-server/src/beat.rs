//! Nobody misses a beat: while an operation is under way, each subOS of duty must be seen to go on with its work.
//!
//! An operation is held open after each of its parts, and once inside a part that takes several calls. A hold lasts
//! until the counts of everybody who is watched have grown since it began: what its kernel counts, read by the supervisor
//! itself, and, where the duty is progress, the calls that its client saw answered rightly, both ends of that growth
//! read after the hold began. The operation goes on only then, so whatever grew did so between its first action and its
//! last. Who has not been seen to go on at the end of a hold's patience has missed a beat; so has who was to run programs,
//! and has ended.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use idl::dialogue::Request;
use idl::plan::{Action, Duty, Plan, SubOsIndex, When};
use idl::types::Ticks;
use serde::{Deserialize, Serialize};

use crate::member::{Life, Member};
use crate::news::News;
use crate::order::Order;
use crate::wait::after;

/// How long a hold may last, in milliseconds. A laptop under load stops a virtual core for tens of milliseconds at a
/// time, and one of two that work in turn can stop both.
const PATIENCE: u64 = 60_000;
/// How long to rest between looks, in milliseconds: at first, and at most when many have been in vain.
const NAP: u64 = 2;
const LONGEST_NAP: u64 = 50;
/// In how many looks at a subOS it is asked once how far it is: a ring that it does not read must not fill up.
const ASK_EVERY: u32 = 2;

/// What is watched of one subOS over one operation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Pulse {
    subos: SubOsIndex,
    duty: Duty,
    /// What its kernel had counted, and what it had reported, when first looked at in the hold at hand.
    kernel: Option<u64>,
    own: Option<u64>,
    /// Whether it has gone on in the hold at hand, or need not.
    settled: bool,
    /// What was seen over all holds so far.
    seen: Option<Seen>,
}

/// The growth between an operation's first action and its last.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Seen {
    holds: u32,
    /// Its own count at the first look and the last.
    own: (u64, u64),
    /// Its kernel's.
    kernel: (u64, u64),
}

/// A hold at hand.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Hold {
    since: Ticks,
    deadline: Ticks,
    looks: u32,
    /// What this look still has to order.
    orders: VecDeque<Order>,
}

/// What is watched over one operation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Beat {
    pulses: Vec<Pulse>,
    hold: Option<Hold>,
}

/// What a look says.
pub(crate) enum Turn {
    /// Everybody went on.
    Kept,
    /// This one did not.
    Missed(SubOsIndex),
    /// This one cannot: its programs have ended.
    Ended(SubOsIndex),
    /// Do this, then look again.
    Again(Order),
}

impl Beat {
    /// Watches the subOSes that run and have a duty in this step, but not the one that the step itself is about.
    pub(crate) fn of(plan: &Plan, step: usize, members: &[Member], exempt: Option<SubOsIndex>) -> Self {
        let mut pulses = Vec::new();
        for ((index, planned), member) in (0u8..).zip(&plan.suboses).zip(members) {
            let (subos, duty) = (SubOsIndex(index), planned.duty);
            if has_duty(plan, step, subos) && exempt != Some(subos) && can_work(member) {
                pulses.push(Pulse { subos, duty, kernel: None, own: None, settled: false, seen: None });
            }
        }
        Self { pulses, hold: None }
    }

    /// Looks whether everybody has gone on since the hold began, which it does with the first look. `exempt` is in the
    /// middle of losing something and may stand still.
    pub(crate) fn turn(
        &mut self,
        now: Ticks,
        rate: u64,
        members: &[Member],
        exempt: Option<SubOsIndex>,
    ) -> Turn {
        let Self { pulses, hold } = self;
        let begun = hold.is_some();
        let hold = hold.get_or_insert_with(|| {
            let deadline = after(now, PATIENCE, rate);
            Hold { since: now, deadline, looks: 0, orders: VecDeque::new() }
        });
        if let Some(order) = hold.orders.pop_front() {
            return Turn::Again(order);
        }
        for pulse in pulses.iter_mut().filter(|pulse| !pulse.settled) {
            let member = members.get(usize::from(pulse.subos.0));
            let works = member.filter(|member| can_work(member) && exempt != Some(pulse.subos));
            match works {
                None => pulse.settled = true,
                Some(member) if begun => pulse.look(member, hold.since),
                // What is known is of before the hold.
                Some(_) => {}
            }
        }
        // Who ends when it has been seen in this hold is told of in the next.
        let ended = |pulse: &&Pulse| {
            pulse.duty == Duty::Programs && !pulse.settled && has_ended(members, pulse.subos)
        };
        if let Some(pulse) = pulses.iter().find(ended) {
            return Turn::Ended(pulse.subos);
        }
        let Some(late) = pulses.iter().find(|pulse| !pulse.settled) else {
            self.end_hold();
            return Turn::Kept;
        };
        if now >= hold.deadline {
            return Turn::Missed(late.subos);
        }
        if begun {
            let nap = NAP.saturating_mul(u64::from(hold.looks)).min(LONGEST_NAP);
            hold.orders.push_back(Order::Rest(after(now, nap, rate)));
        }
        for pulse in pulses.iter().filter(|pulse| !pulse.settled) {
            if pulse.duty == Duty::Progress && hold.looks.is_multiple_of(ASK_EVERY) {
                hold.orders.push_back(Order::Tell(pulse.subos, Request::SayProgress {}));
            }
            let mask = members.get(usize::from(pulse.subos.0)).map_or(0, |member| member.ever);
            hold.orders.push_back(Order::Measure(pulse.subos, mask));
        }
        hold.looks = hold.looks.wrapping_add(1);
        hold.orders.pop_front().map_or(Turn::Missed(late.subos), Turn::Again)
    }

    /// Forgets what was seen in the hold at hand: it begins anew.
    pub(crate) fn resume(&mut self) {
        self.end_hold();
    }

    fn end_hold(&mut self) {
        self.hold = None;
        for pulse in &mut self.pulses {
            (pulse.kernel, pulse.own, pulse.settled) = (None, None, false);
        }
    }

    /// What was seen over the whole operation.
    pub(crate) fn news(&self, step: usize, members: &[Member]) -> Vec<News> {
        let line = |pulse: &Pulse| {
            let Seen { holds, own: (before, after), kernel: (first, last) } = pulse.seen?;
            let subos = pulse.subos;
            let longest = members.get(usize::from(subos.0))?.longest;
            Some(News::Beat { subos, step, before, after, during: last - first, holds, longest })
        };
        self.pulses.iter().filter_map(line).collect()
    }
}

impl Pulse {
    /// Takes in what was just read.
    fn look(&mut self, member: &Member, since: Ticks) {
        let kernel = self.kernel_count(member);
        let own = self.own_count(member, since);
        let first = *self.kernel.get_or_insert(kernel);
        self.own = self.own.or(own);
        let (Some(own), Some(begin)) = (own, self.own) else { return };
        if kernel <= first || own <= begin {
            return;
        }
        self.settled = true;
        let seen = self.seen.get_or_insert(Seen { holds: 0, own: (begin, own), kernel: (first, kernel) });
        seen.holds += 1;
        (seen.own.1, seen.kernel.1) = (own, kernel);
    }

    /// What its kernel says that it did.
    fn kernel_count(&self, member: &Member) -> u64 {
        match self.duty {
            Duty::Programs => member.guests(),
            Duty::Progress | Duty::None => member.messages(),
        }
    }

    /// What it says itself, as it read it after the hold began; the kernel's word where nothing else is asked for.
    fn own_count(&self, member: &Member, since: Ticks) -> Option<u64> {
        match self.duty {
            Duty::Programs => Some(member.guests()),
            Duty::Progress | Duty::None => {
                member.progress.filter(|(_, at)| *at >= since).map(|(count, _)| count)
            }
        }
    }
}

/// Whether a subOS runs and has something to run on.
fn can_work(member: &Member) -> bool {
    member.life == Life::Alive && member.cores != 0
}

/// Whether a subOS must be at work in a step: for its programs, in all those before the plan waits for their end, or
/// makes it.
fn has_duty(plan: &Plan, step: usize, subos: SubOsIndex) -> bool {
    match plan.subos(subos).map_or(Duty::None, |planned| planned.duty) {
        Duty::None => false,
        Duty::Progress => true,
        Duty::Programs => plan
            .steps
            .iter()
            .take(step.saturating_add(1))
            .all(|step| step.when != When::Ended(subos) && step.action != Action::Kill(subos)),
    }
}

fn has_ended(members: &[Member], subos: SubOsIndex) -> bool {
    members.get(usize::from(subos.0)).is_some_and(|member| member.ended.is_some())
}

/// Who must run programs in this step, and has ended.
pub(crate) fn ended_too_early(plan: &Plan, step: usize, members: &[Member]) -> Option<SubOsIndex> {
    let programs = |subos: &SubOsIndex| plan.subos(*subos).is_some_and(|one| one.duty == Duty::Programs);
    let early =
        |subos: &SubOsIndex| programs(subos) && has_ended(members, *subos) && has_duty(plan, step, *subos);
    (0u8..).map(SubOsIndex).take(members.len()).find(early)
}
