//! Who decides: a state machine from the plan and what is observed to one order at a time.
//!
//! It performs nothing and waits for nothing; it only knows what it was told. So every run can be replayed on the
//! host, and whatever a subOS does, or does not do, the next order is never further than a deadline away.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem::take;

use idl::dialogue::{Heard, Report};
use idl::plan::{Duty, Ends, Plan, Start, SubOsIndex};
use idl::types::Ticks;
use serde::{Deserialize, Serialize};

use crate::beat::Beat;
use crate::member::{Life, Member};
use crate::news::{Names, News};
use crate::order::{Answer, Order, Verdict};
use crate::orders::Orders;
use crate::task::{self, Task, Work};
use crate::wait::Wait;
use crate::windows::Sides;

/// How long a subOS of duty may take to report its first progress, in milliseconds.
const SETTLING: u64 = 60_000;

/// Where the run is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// The ledger is remembered and the first subOSes are built.
    Start,
    /// Until every subOS of duty has reported progress.
    Settle(Wait),
    /// Until the next step may begin.
    Wait(Wait),
    /// The step is carried out, and nobody may miss a beat.
    Step,
    /// A subOS that died is built again.
    Mend,
    /// What an operator ordered is carried out, in the middle of this wait.
    Ordered(Wait),
    /// Everything is destroyed and compared.
    End,
    /// Nothing is left.
    Over,
}

/// The state machine. What is not skipped is what the supervisor notes, for one that is started after it has crashed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Director {
    #[serde(skip)]
    pub(crate) plan: Box<Plan>,
    /// Ticks of the deadline clock in a millisecond.
    #[serde(skip)]
    pub(crate) rate: u64,
    pub(crate) members: Vec<Member>,
    pub(crate) work: Work,
    pub(crate) beat: Beat,
    pub(crate) stage: Stage,
    pub(crate) step: usize,
    failure: Option<String>,
    #[serde(skip)]
    pub(crate) news: Vec<News>,
    /// The chunks that those had who were killed by a step.
    #[serde(with = "crate::runs::of_each")]
    pub(crate) left: BTreeMap<u8, Vec<u64>>,
    /// The windows of the plan.
    pub(crate) windows: Vec<Sides>,
    /// Whom a refusal was told last, and whether there was a rest since.
    pub(crate) refused: (usize, bool),
    /// What an operator ordered.
    pub(crate) orders: Orders,
}

impl Director {
    /// A run of this plan on a machine whose deadline clock has so many ticks a second.
    #[must_use]
    pub fn new(plan: Box<Plan>, ticks_per_second: u64) -> Self {
        let members = plan.suboses.iter().map(|_| Member::default()).collect();
        let windows = plan.windows.iter().map(|_| Sides::default()).collect();
        let mut director = Self {
            plan,
            rate: (ticks_per_second / 1000).max(1),
            members,
            work: Work::default(),
            beat: Beat::default(),
            stage: Stage::Start,
            step: 0,
            failure: None,
            news: Vec::new(),
            left: BTreeMap::new(),
            windows,
            refused: (0, true),
            orders: Orders::default(),
        };
        let mut tasks = Vec::from([Task::Do(Order::Snapshot)]);
        for (index, subos) in director.indexed() {
            if director.plan.subos(index).is_some_and(|planned| planned.start == Start::AtBoot) {
                tasks.extend(task::birth(&director.plan, index, subos.0, &subos.1));
            }
        }
        director.work = Work::new(tasks);
        director
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Why the run has failed, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// What there is to tell since this was last asked.
    pub fn news(&mut self) -> Vec<News> {
        take(&mut self.news)
    }

    /// The subOSes that exist: those to listen to.
    pub fn existing(&self) -> impl Iterator<Item = SubOsIndex> + use<> {
        let exists: Vec<bool> = self.members.iter().map(Member::exists).collect();
        (0u8..).map(SubOsIndex).zip(exists).filter(|(_, exists)| *exists).map(|(index, _)| index)
    }

    /// What to do next.
    pub fn next(&mut self, now: Ticks) -> Order {
        loop {
            if let Some(order) = self.part(now) {
                return order;
            }
            match take_stage(&mut self.stage) {
                Stage::Start => self.after_work(Stage::Settle(Wait::since(now, SETTLING, self.rate))),
                Stage::Settle(wait) => {
                    if let Some(order) = self.settle(now, wait) {
                        return self.refuse_or(order);
                    }
                }
                Stage::Wait(wait) => {
                    if let Some(order) = self.wait(now, wait) {
                        return self.refuse_or(order);
                    }
                }
                Stage::Step => self.after_step(now),
                Stage::Mend => self.after_work(self.waiting(now)),
                Stage::Ordered(wait) => self.after_order(wait),
                Stage::End => {
                    self.note_failure();
                    self.stage = Stage::Over;
                }
                Stage::Over => {
                    self.stage = Stage::Over;
                    return Order::Finish(match self.failure {
                        None => Verdict::Success,
                        Some(_) => Verdict::Failure,
                    });
                }
            }
        }
    }

    /// What came of the order that was given last.
    pub fn answered(&mut self, now: Ticks, order: Order, answer: Answer) {
        if let (Order::Measure(subos, _), Answer::Activity(activity)) = (order, &answer)
            && let Some(member) = self.member_mut(subos)
        {
            member.activity.clone_from(activity);
        }
        if self.work.tasks.front().is_some() {
            self.work_answered(now, order, answer);
        }
    }

    /// What was heard from a subOS.
    pub fn heard(&mut self, subos: SubOsIndex, heard: Heard) {
        if let Heard::Program(Report::WantWindow { peer_0, peer_1 }) = heard {
            return self.wants_window(subos, [peer_0, peer_1]);
        }
        let Some(member) = self.members.get_mut(usize::from(subos.0)) else { return };
        let anyhow = self.plan.subos(subos).is_some_and(|planned| planned.ends == Ends::Anyhow);
        if let Some(reason) = crate::hear::take_in(member, subos, heard, &mut self.news)
            && !anyhow
            && !self.is_kept()
        {
            let reason = alloc::format!("{} {reason}", self.plan.name(subos));
            self.fail(reason);
        }
    }

    /// After the work in hand: on to this stage, or to the end if the work failed.
    fn after_work(&mut self, stage: Stage) {
        self.note_failure();
        self.stage = stage;
        self.end_if_failed();
    }

    fn settle(&mut self, now: Ticks, mut wait: Wait) -> Option<Order> {
        if self.interrupted(now) {
            return None;
        }
        let silent = |(index, member): (usize, &Member)| {
            let duty = self.plan.suboses.get(index).is_some_and(|planned| planned.duty == Duty::Progress);
            let said = member.progress.is_some_and(|(count, _)| count > 0);
            (duty && member.exists() && !said).then_some(index)
        };
        let Some(index) = self.members.iter().enumerate().find_map(silent) else {
            self.stage = self.waiting(now);
            return None;
        };
        if wait.is_over(now) {
            let name = self.plan.suboses.get(index).map_or("", |planned| planned.name.as_str());
            self.fail(alloc::format!("{name} did not report any progress"));
            self.end_if_failed();
            return None;
        }
        let order = wait.rest(now, self.rate);
        self.stage = Stage::Settle(wait);
        Some(order)
    }

    /// A failure outside steps ends the run; a death does too, or leads to another life. Whether the stage changed.
    pub(crate) fn interrupted(&mut self, now: Ticks) -> bool {
        self.end_if_failed() || self.mend_if_dead(now)
    }

    fn mend_if_dead(&mut self, now: Ticks) -> bool {
        let Some(index) = self.members.iter().position(|member| member.life == Life::Dead) else {
            return false;
        };
        let subos = SubOsIndex(u8::try_from(index).unwrap_or(u8::MAX));
        let allowed = self.plan.subos(subos).map_or(0, |planned| planned.restarts);
        let Some(member) = self.members.get_mut(index) else { return false };
        member.deaths = member.deaths.saturating_add(1);
        let times = member.deaths;
        if times > allowed && self.is_kept() {
            self.bury(subos);
            return true;
        }
        let Some(member) = self.members.get_mut(index) else { return false };
        if times > allowed {
            member.deaths -= 1;
            self.fail(alloc::format!("{} died", self.plan.name(subos)));
            return self.end_if_failed();
        }
        let mut tasks = task::death(subos, member);
        let (cores, lots) = (member.cores, member.lots().collect::<Vec<_>>());
        tasks.extend(task::birth(&self.plan, subos, cores, &lots));
        self.news.push(News::Restart { subos, times });
        self.work = Work::new(tasks);
        self.stage = Stage::Mend;
        let _ = now;
        true
    }

    /// The stage that waits for the next step.
    pub(crate) fn waiting(&self, now: Ticks) -> Stage {
        let patience = self.plan.steps.get(self.step).map_or(0, |step| u64::from(step.patience_ms));
        Stage::Wait(Wait::since(now, patience, self.rate))
    }

    pub(crate) fn fail(&mut self, reason: String) {
        self.failure.get_or_insert(reason);
    }

    fn note_failure(&mut self) {
        if let Some(reason) = self.work.failure.take() {
            self.fail(reason);
        }
    }

    pub(crate) fn end_if_failed(&mut self) -> bool {
        let failed = self.failure.is_some();
        if failed {
            self.end();
        }
        failed
    }

    /// Destroys what is left, then compares and audits, whatever happened before.
    pub(crate) fn end(&mut self) {
        let mut tasks = Vec::new();
        for subos in self.existing() {
            tasks.extend(self.member(subos).map_or_else(Vec::new, |member| task::death(subos, member)));
        }
        tasks.extend([Task::Do(Order::Compare), Task::Do(Order::Audit)]);
        self.work = Work::lenient(tasks);
        self.stage = Stage::End;
    }

    /// The cores of a subOS: bit n for core n.
    pub(crate) fn cores_of(&self, subos: SubOsIndex) -> u64 {
        self.member(subos).map_or(0, |member| member.cores)
    }

    pub(crate) fn member(&self, subos: SubOsIndex) -> Option<&Member> {
        self.members.get(usize::from(subos.0))
    }

    pub(crate) fn member_mut(&mut self, subos: SubOsIndex) -> Option<&mut Member> {
        self.members.get_mut(usize::from(subos.0))
    }

    /// Each subOS's number with the cores and lots that the plan gives it.
    fn indexed(&self) -> Vec<(SubOsIndex, (u64, Vec<idl::plan::Chunks>))> {
        let parts = self.plan.suboses.iter().map(|planned| (planned.cores, planned.lots.to_vec()));
        (0u8..).map(SubOsIndex).zip(parts).collect()
    }
}

impl Names for Plan {
    fn name(&self, subos: SubOsIndex) -> &str {
        self.subos(subos).map_or("?", |planned| planned.name.as_str())
    }

    fn program(&self, subos: SubOsIndex) -> &str {
        self.subos(subos).map_or("?", |planned| planned.program.as_str())
    }
}

/// Takes the stage out; whoever handles it puts the next one in.
fn take_stage(stage: &mut Stage) -> Stage {
    core::mem::replace(stage, Stage::Over)
}
