//! How the director takes the steps of a plan: waits for one's condition, has it carried out, and looks whether
//! anybody missed a beat.

use alloc::vec::Vec;

use idl::plan::{Action, Duty, Step};
use idl::types::Ticks;

use crate::beat::Beat;
use crate::director::{Director, Stage};
use crate::member::Member;
use crate::news::{Names, News, StepResult};
use crate::order::Order;
use crate::task::{self, Task, Work};
use crate::wait::Wait;

impl Director {
    pub(crate) fn wait(&mut self, now: Ticks, mut wait: Wait) -> Option<Order> {
        if self.interrupted(now) {
            return None;
        }
        let Some(step) = self.plan.steps.get(self.step).copied() else {
            self.end();
            return None;
        };
        match wait.turn(now, self.rate, step.when, &self.members) {
            crate::wait::Turn::Fulfilled => {
                let exists = |subos| self.member(subos).is_some_and(Member::exists);
                match step.action {
                    Action::Create(subos) if exists(subos) => self.refuse_step(step, "it exists already"),
                    _ => self.begin_step(step),
                }
                None
            }
            crate::wait::Turn::Hopeless(reason) => {
                self.refuse_step(step, &reason);
                None
            }
            crate::wait::Turn::NotYet(order) => {
                self.stage = Stage::Wait(wait);
                Some(order)
            }
        }
    }

    fn begin_step(&mut self, step: Step) {
        self.news.push(News::Step { step: self.step, result: StepResult::Begin });
        let exempt = match step.action {
            Action::Create(subos) | Action::Kill(subos) => Some(subos),
            _ => None,
        };
        self.beat = Beat::of(&self.plan, &self.members, exempt);
        let mut tasks = self.beat.measure(&self.members);
        tasks.push(Task::Mark);
        tasks.extend(self.action(step.action));
        tasks.extend(self.beat.measure(&self.members));
        tasks.push(Task::Note);
        self.work = Work::new(tasks);
        self.stage = Stage::Step;
    }

    /// A step that cannot be begun has failed.
    fn refuse_step(&mut self, step: Step, reason: &str) {
        self.begin_step(Step { action: Action::Wait, ..step });
        self.work = Work::default();
        self.step_failed(reason);
    }

    fn action(&self, action: Action) -> Vec<Task> {
        let duty = |subos| self.plan.subos(subos).is_some_and(|planned| planned.duty == Duty::Progress);
        match action {
            Action::Create(subos) => self.plan.subos(subos).map_or_else(Vec::new, |planned| {
                task::birth(&self.plan, subos, planned.cores, &planned.lots)
            }),
            Action::Kill(subos) => self.member(subos).map_or_else(Vec::new, |m| task::death(subos, m)),
            Action::MoveCore { core, from, to, manner } => task::move_core(core, from, to, manner, duty),
            Action::MoveLot { lot, from, to, manner, holds } => {
                let size = self.member(from).and_then(|member| member.lot(lot));
                // The machine refuses to take what is not there; the size does not matter then.
                let size = size.unwrap_or(idl::plan::Chunks(1));
                task::move_lot(lot, size, (from, to), (manner, holds), duty)
            }
            Action::GrantLot { size, to } => task::grant_lot(size, to, duty),
            Action::CompareLedger => Vec::from([Task::Do(Order::Compare)]),
            Action::Audit => Vec::from([Task::Do(Order::Audit)]),
            Action::Wait => Vec::new(),
        }
    }

    /// After a step's own work: did anybody miss a beat?
    pub(crate) fn after_step(&mut self, beat: Beat) {
        match self.work.failure.clone() {
            None => self.stage = Stage::Beat(beat),
            Some(reason) => self.step_failed(&reason),
        }
    }

    pub(crate) fn watch_beat(&mut self, now: Ticks, mut beat: Beat) -> Option<Order> {
        match beat.turn(now, self.rate, self.step, &mut self.members) {
            crate::beat::Turn::Kept(news) => {
                self.news.extend(news);
                self.news.push(News::Step { step: self.step, result: StepResult::Ok });
                self.step += 1;
                self.stage = self.waiting(now);
                None
            }
            crate::beat::Turn::Missed(subos, news) => {
                self.news.extend(news);
                let reason = alloc::format!("{} missed a beat: no progress", self.plan.name(subos));
                self.step_failed(&reason);
                None
            }
            crate::beat::Turn::Again(order) => {
                self.stage = Stage::Beat(beat);
                Some(order)
            }
        }
    }

    fn step_failed(&mut self, reason: &str) {
        let result = StepResult::Failed(reason.into());
        self.news.push(News::Step { step: self.step, result });
        self.fail(alloc::format!("step {}: {reason}", self.step));
        self.end();
    }
}
