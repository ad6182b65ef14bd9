//! Who runs, who waits, and which executor does it.
//!
//! Bookkeeping only: a queue of ready tasks, lists of waiters by what they wait for, deadlines in
//! order, and for each executor the task it is at. [`crate::linux::Linux::next`] ties them together.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use crate::limits::{MAX_EXECUTORS, SLICE_NANOS};
use crate::linux::Linux;
use crate::outcome::{Wait, WaitKey};
use crate::platform::{ExecutorId, Platform};
use crate::process::{State, Tid};

/// What one executor has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecutorCounts {
    /// Processes that ran here at some time.
    pub processes: u64,
    /// System calls.
    pub calls: u64,
    /// Page faults.
    pub faults: u64,
    /// Ends of time slices, and other interrupts of the guest.
    pub slices: u64,
    /// Times that a guest was entered.
    pub entries: u64,
}

/// One executor as the scheduler sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Executor {
    pub(crate) current: Option<Tid>,
    /// When the current task's turn is over.
    pub(crate) slice_end: u64,
    /// It was told to wait and has not asked since.
    pub(crate) idle: bool,
    /// When the guest was entered.
    pub(crate) entered: u64,
    pub(crate) counts: ExecutorCounts,
}

/// The scheduler's state.
#[derive(Default)]
pub(crate) struct Scheduler {
    queue: VecDeque<Tid>,
    waiters: BTreeMap<WaitKey, Vec<Tid>>,
    deadlines: BTreeSet<(u64, Tid)>,
    pub(crate) executors: Vec<Executor>,
}

impl Scheduler {
    /// The executor, made known if it is new.
    pub(crate) fn executor(&mut self, id: ExecutorId) -> &mut Executor {
        let index = usize::from(id.0).min(MAX_EXECUTORS - 1);
        if self.executors.len() <= index {
            self.executors.resize(index + 1, Executor::default());
        }
        &mut self.executors[index]
    }

    /// An executor that waits although there is work in the queue; it counts as told.
    pub(crate) fn take_idle(&mut self) -> Option<ExecutorId> {
        if self.queue.is_empty() {
            return None;
        }
        let index = self.executors.iter().position(|executor| executor.idle)?;
        self.executors[index].idle = false;
        u8::try_from(index).ok().map(ExecutorId)
    }

    pub(crate) fn push(&mut self, tid: Tid) {
        self.queue.push_back(tid);
    }

    pub(crate) fn pop(&mut self) -> Option<Tid> {
        self.queue.pop_front()
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The earliest deadline.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// A task whose deadline has come.
    pub(crate) fn expired(&self, now: u64) -> Option<Tid> {
        self.deadlines.first().filter(|&&(at, _)| at <= now).map(|&(_, tid)| tid)
    }

    pub(crate) fn waiters(&self, key: WaitKey) -> Vec<Tid> {
        self.waiters.get(&key).cloned().unwrap_or_default()
    }

    fn enlist(&mut self, tid: Tid, wait: &Wait) {
        for key in &wait.keys {
            let list = self.waiters.entry(*key).or_default();
            if !list.contains(&tid) {
                list.push(tid);
            }
        }
        if let Some(deadline) = wait.deadline {
            self.deadlines.insert((deadline, tid));
        }
    }

    fn delist(&mut self, tid: Tid, wait: &Wait) {
        for key in &wait.keys {
            if let Some(list) = self.waiters.get_mut(key) {
                list.retain(|other| *other != tid);
                if list.is_empty() {
                    self.waiters.remove(key);
                }
            }
        }
        if let Some(deadline) = wait.deadline {
            self.deadlines.remove(&(deadline, tid));
        }
    }

    /// Forgets a task that is gone.
    pub(crate) fn forget(&mut self, tid: Tid) {
        self.queue.retain(|other| *other != tid);
        for executor in &mut self.executors {
            if executor.current == Some(tid) {
                executor.current = None;
            }
        }
    }

    /// Gives a task that an executor is at another number.
    pub(crate) fn rename(&mut self, old: Tid, new: Tid) {
        for executor in &mut self.executors {
            if executor.current == Some(old) {
                executor.current = Some(new);
            }
        }
    }

    /// Starts a task's turn on an executor.
    pub(crate) fn begin_turn(&mut self, id: ExecutorId, tid: Tid, now: u64) {
        let executor = self.executor(id);
        executor.current = Some(tid);
        executor.slice_end = now + SLICE_NANOS;
    }
}

impl<P: Platform> Linux<P> {
    /// Lets a task wait.
    pub(crate) fn park(&mut self, tid: Tid, wait: Wait) {
        self.scheduler.enlist(tid, &wait);
        self.task_mut(tid).state = State::Waiting(wait);
    }

    /// Ends a task's wait, if it waits. Its call is made again when its turn comes.
    pub(crate) fn make_ready(&mut self, tid: Tid) {
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        if let State::Waiting(wait) = &task.state {
            let wait = wait.clone();
            task.state = State::Ready;
            self.scheduler.delist(tid, &wait);
            self.scheduler.push(tid);
        }
    }

    /// Lets a stopped task go on.
    pub(crate) fn unpark(&mut self, tid: Tid) {
        if let Some(task) = self.tasks.get_mut(&tid)
            && matches!(task.state, State::Stopped)
        {
            task.state = State::Ready;
            self.scheduler.push(tid);
        }
    }

    /// Takes a task out of the lists of what it waits for; the caller puts it into others.
    pub(crate) fn withdraw_wait(&mut self, tid: Tid, wait: &Wait) {
        self.scheduler.delist(tid, wait);
    }

    /// Takes a task out of whatever list it is in, because it ends.
    pub(crate) fn withdraw(&mut self, tid: Tid) {
        if let Some(task) = self.tasks.get(&tid)
            && let State::Waiting(wait) = &task.state
        {
            let wait = wait.clone();
            self.scheduler.delist(tid, &wait);
        }
        self.scheduler.forget(tid);
    }

    /// Ends the wait of everyone who waits for `key`.
    pub(crate) fn wake_all(&mut self, key: WaitKey) {
        for tid in self.scheduler.waiters(key) {
            self.make_ready(tid);
        }
    }

    /// Ends the waits whose deadlines have come, and rings alarms.
    pub(crate) fn expire(&mut self, now: u64) {
        while let Some(tid) = self.scheduler.expired(now) {
            self.make_ready(tid);
        }
        self.ring_alarms(now);
    }
}
