//! How the director takes the steps of a plan: waits for one's condition, and has it carried out while it looks whether
//! anybody misses a beat.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem::take;

use idl::plan::{Action, Duty, Holder, Step};
use idl::types::Ticks;

use crate::beat::{Beat, ended_too_early};
use crate::director::{Director, Stage};
use crate::member::{Member, bit};
use crate::news::{Names, News, StepResult};
use crate::order::Order;
use crate::task::{self, Account, Place, Point, Sight, Task, Telling, Work};
use crate::wait::{Wait, at_work};

impl Director {
    pub(crate) fn wait(&mut self, now: Ticks, mut wait: Wait) -> Option<Order> {
        if self.interrupted(now) {
            return None;
        }
        if self.take_order(wait) {
            return None;
        }
        let Some(step) = self.plan.steps.get(self.step).copied() else {
            let rest = self.stay(now, wait);
            if rest.is_none() {
                self.end();
            }
            return rest;
        };
        match wait.turn(now, self.rate, step.when, &self.members) {
            crate::wait::Turn::Fulfilled => {
                let exists = |subos| self.member(subos).is_some_and(Member::exists);
                match (step.action, self.lacks_programs("had ended already")) {
                    (Action::Create(subos), _) if exists(subos) => {
                        self.refuse_step(now, step, "it exists already");
                    }
                    (_, Some(reason)) => self.refuse_step(now, step, &reason),
                    _ => self.begin_step(now, step),
                }
                None
            }
            crate::wait::Turn::Hopeless(reason) => {
                self.refuse_step(now, step, &reason);
                None
            }
            crate::wait::Turn::NotYet(order) => {
                self.stage = Stage::Wait(wait);
                Some(order)
            }
        }
    }

    fn begin_step(&mut self, now: Ticks, step: Step) {
        self.news.push(News::Step { step: self.step, result: StepResult::Begin });
        for member in &mut self.members {
            (member.since, member.longest) = (now, Ticks(0));
        }
        let exempt = match step.action {
            Action::Create(subos) | Action::Kill(subos) => Some(subos),
            _ => None,
        };
        self.beat = Beat::of(&self.plan, self.step, &self.members, exempt);
        let mut tasks = Vec::from([Task::Do(Order::Survey)]);
        tasks.extend(at_work_until(step));
        tasks.extend(task::held(self.action(step.action)));
        if !tasks.iter().any(|task| matches!(task, Task::Hold(_))) {
            tasks.push(Task::Hold(Point::Between));
        }
        self.work = Work::new(tasks);
        self.work.whole = matches!(step.action, Action::Resize(_));
        self.stage = Stage::Step;
    }

    /// Whether somebody has ended whose programs must be at work during the step in hand, in words.
    fn lacks_programs(&self, how: &str) -> Option<String> {
        let subos = ended_too_early(&self.plan, self.step, &self.members)?;
        let name = self.plan.name(subos);
        Some(format!("{name}, whose programs must be at work throughout the step, {how}"))
    }

    /// A step that cannot be begun has failed.
    fn refuse_step(&mut self, now: Ticks, step: Step, reason: &str) {
        self.begin_step(now, Step { action: Action::Wait, ..step });
        self.work = Work::default();
        self.step_failed(reason);
    }

    pub(crate) fn action(&self, action: Action) -> Vec<Task> {
        let duty = |subos| self.plan.subos(subos).is_some_and(|planned| planned.duty == Duty::Progress);
        match action {
            Action::Create(subos) => self.plan.subos(subos).map_or_else(Vec::new, |planned| {
                let mut tasks = task::birth(&self.plan, subos, planned.cores, &planned.lots);
                let chunks = planned.lots.iter().fold(0u32, |sum, lot| sum.saturating_add(lot.0));
                tasks.push(Task::Account(Account { cores: planned.cores, chunks, place: Place::Any }));
                tasks
            }),
            Action::Kill(subos) => self.member(subos).map_or_else(Vec::new, |member| {
                let mut tasks = task::death(subos, member);
                let (cores, own) = (member.cores, member.chunks().0);
                let chunks = own.saturating_add(self.chunks_of_windows(subos));
                tasks.push(Task::Account(Account { cores, chunks, place: Place::Any }));
                tasks
            }),
            Action::MoveCore { core, from, to, manner } => task::move_core(core, from, to, manner, duty),
            Action::MoveLot { lot, from, to, manner, holds } => {
                let size = self.member(from).and_then(|member| member.lot(lot));
                // The machine refuses to take what is not there; the size does not matter then.
                let size = size.unwrap_or(idl::plan::Chunks(1));
                task::move_lot(lot, size, (from, to), (manner, holds), duty)
            }
            Action::Resize(resize) => self.resize(resize, duty),
            Action::GrantLot { size, to, reuses } => {
                task::grant_lot(size, to, reuses.map_or(Place::Any, Place::LeftBy), duty)
            }
            Action::OpenWindow(window) => self.opening(window),
            Action::CloseWindow(window, manner) => self.closing(window, manner),
            Action::CompareLedger => Vec::from([Task::Do(Order::Compare)]),
            Action::Audit => Vec::from([Task::Do(Order::Audit)]),
            Action::Watch(milliseconds) => task::watch(milliseconds),
            Action::Wait => Vec::new(),
        }
    }

    /// After a step's work: everybody has kept the beat, or the work has failed.
    pub(crate) fn after_step(&mut self, now: Ticks) {
        self.news.extend(self.beat.news(self.step, &self.members));
        if let Some(reason) = self.work.failure.clone() {
            return self.step_failed(&reason);
        }
        if let Some(reason) = self.lacks_programs("ended before it was over") {
            return self.step_failed(&reason);
        }
        if let Some(Step { action: Action::Kill(killed), .. }) = self.plan.steps.get(self.step) {
            self.left.insert(killed.0, take(&mut self.work.changed));
        }
        self.news.push(News::Step { step: self.step, result: StepResult::Ok });
        self.step += 1;
        self.stage = self.waiting(now);
    }

    fn step_failed(&mut self, reason: &str) {
        let result = StepResult::Failed(reason.into());
        self.news.push(News::Step { step: self.step, result });
        self.fail(alloc::format!("step {}: {reason}", self.step));
        self.end();
    }
}

/// A step that waits for work and then ends it sees that work immediately before: what was waited for may have been
/// over for long.
fn at_work_until(step: Step) -> Option<Task> {
    let (subos, core, sign) = at_work(step.when)?;
    let ends_it = match step.action {
        Action::MoveCore { core: taken, from, .. } => taken == core && from == Holder::SubOs(subos),
        Action::Resize(resize) => {
            resize.from == Holder::SubOs(subos) && resize.cores & bit(core) != 0 && resize.refused.is_none()
        }
        Action::Kill(killed) => killed == subos,
        _ => false,
    };
    let sight = Sight { subos, core, sign, telling: Telling::Told, before: None, until: None };
    ends_it.then_some(Task::SeeWork(sight))
}
