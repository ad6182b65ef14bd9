//! Delivery: what a task does about its signals before it runs on.

use linux_raw_sys::general as g;

use super::{Action, Default, Disposition, Info, SigSet, Signal};
use crate::error::Errno;
use crate::linux::Linux;
use crate::outcome::WaitKey;
use crate::platform::Platform;
use crate::process::{ExitStatus, Interrupted, Stop, Tid};

/// Bytes of a SYSCALL instruction: going back that far makes the call again.
const SYSCALL_LENGTH: u64 = 2;

impl<P: Platform> Linux<P> {
    /// Signals that would do something to the task now.
    pub(crate) fn deliverable(&self, tid: Tid) -> bool {
        let task = self.task(tid);
        let process = self.process(task.process);
        let pending = task.pending.set().union(process.pending.set());
        let handlers = &self.handlers[task.handlers];
        (1..=64).filter_map(|number| Signal::new(number).ok()).any(|signal| {
            pending.contains(signal) && !task.blocked.contains(signal) && !handlers.ignores(signal)
        })
    }

    /// Acts on the task's signals until none is left or one decides where it goes. Afterwards the
    /// task may be gone, stopped, or at the start of a handler.
    pub(crate) fn deliver_signals(&mut self, tid: Tid) {
        loop {
            let Some(task) = self.tasks.get_mut(&tid) else { return };
            if task.doomed {
                return;
            }
            let blocked = task.blocked;
            let pid = task.process;
            let info = task.pending.take(blocked);
            let info = info.or_else(|| self.process_mut(pid).pending.take(blocked));
            let Some(info) = info else { break };
            let handlers = self.task(tid).handlers;
            let action = self.handlers[handlers].get(info.signal);
            match action.disposition {
                Disposition::Ignore => {}
                Disposition::Handler(_) => {
                    self.enter_handler(tid, info, action);
                    return;
                }
                Disposition::Default => match info.signal.default_effect() {
                    Default::Ignore | Default::Continue => {}
                    Default::End => {
                        self.report.killed(info.signal);
                        self.end_process(pid, ExitStatus::Killed(info.signal.number()));
                        return;
                    }
                    Default::Stop => {
                        self.stop_process(tid, info.signal);
                        break;
                    }
                },
            }
        }
        // No handler runs, so a call that was cut short is made again.
        let task = self.task_mut(tid);
        if task.interrupted.take().is_some() {
            task.context.registers.rip = task.context.registers.rip.wrapping_sub(SYSCALL_LENGTH);
        }
        if let Some(mask) = task.saved_mask.take() {
            task.blocked = mask;
        }
    }

    /// Sets the task up to run a handler.
    fn enter_handler(&mut self, tid: Tid, info: Info, action: Action) {
        let task = self.task_mut(tid);
        if let Some(interrupted) = task.interrupted.take() {
            let again = interrupted == Interrupted::Restartable && action.has(g::SA_RESTART);
            let registers = &mut task.context.registers;
            if again {
                registers.rip = registers.rip.wrapping_sub(SYSCALL_LENGTH);
            } else {
                registers.rax = Errno::EINTR.to_return_value();
            }
        }
        let old_mask = task.saved_mask.take().unwrap_or(task.blocked);
        if self.push_frame(tid, info, action, old_mask).is_err() {
            // The stack cannot take the frame: as on Linux that is the end.
            let pid = self.task(tid).process;
            self.report.killed(Signal::SEGV);
            self.end_process(pid, ExitStatus::Killed(Signal::SEGV.number()));
            return;
        }
        let task = self.task_mut(tid);
        let mut blocked = task.blocked.union(action.mask);
        if !action.has(g::SA_NODEFER) {
            blocked = blocked.with(info.signal);
        }
        task.blocked = blocked.blockable();
        if action.has(g::SA_RESETHAND) {
            let handlers = task.handlers;
            self.handlers[handlers].set(info.signal, Action::DEFAULT);
        }
    }

    /// Stops the whole process; its tasks go on when SIGCONT comes.
    fn stop_process(&mut self, tid: Tid, signal: Signal) {
        let pid = self.task(tid).process;
        let process = self.process_mut(pid);
        process.stop = Stop::Stopped(signal);
        let parent = process.parent;
        self.wake_all(WaitKey::Child(parent));
        self.tell_parent_of_stop(pid, signal);
    }

    fn tell_parent_of_stop(&mut self, pid: crate::process::Pid, signal: Signal) {
        let process = self.process(pid);
        let (parent, uid) = (process.parent, process.credentials.uid[0]);
        let wanted = self.processes.get(&parent).is_some_and(|process| {
            let leader = process.threads.first().and_then(|tid| self.tasks.get(tid));
            leader.is_some_and(|task| !self.handlers[task.handlers].get(Signal::CHLD).has(g::SA_NOCLDSTOP))
        });
        if wanted {
            let detail = super::Detail::Child { pid: pid.0, uid, status: i32::from(signal.number()) };
            #[allow(clippy::cast_possible_wrap, reason = "CLD_STOPPED is small")]
            let info = Info { signal: Signal::CHLD, code: g::CLD_STOPPED as i32, detail };
            // A parent that is just gone needs no news.
            let _ = self.send_to_process(parent, info);
        }
    }

    /// Replaces the mask of the task, and remembers the old one until a handler has run.
    pub(crate) fn borrow_mask(&mut self, tid: Tid, mask: SigSet) {
        let task = self.task_mut(tid);
        if task.saved_mask.is_none() {
            task.saved_mask = Some(task.blocked);
        }
        task.blocked = mask.blockable();
    }

    /// Puts back the mask that [`Self::borrow_mask`] replaced, when no handler ran.
    pub(crate) fn return_mask(&mut self, tid: Tid) {
        let task = self.task_mut(tid);
        if let Some(mask) = task.saved_mask.take() {
            task.blocked = mask;
        }
    }
}
