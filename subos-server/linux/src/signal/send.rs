//! Sending signals: to a task, a process, a group; and what sending alone already does.

use alloc::vec::Vec;
use linux_raw_sys::general as g;

use super::{Default, Detail, Disposition, Info, SigSet, Signal};
use crate::error::{Errno, Result};
use crate::linux::Linux;
use crate::outcome::{OnSignal, WaitKey};
use crate::platform::Platform;
use crate::process::{Pid, State, Stop, Tid};

impl<P: Platform> Linux<P> {
    /// Sends a signal to a process: whichever of its tasks can take it.
    pub(crate) fn send_to_process(&mut self, pid: Pid, info: Info) -> Result<()> {
        let Some(process) = self.processes.get(&pid) else { return Err(Errno::ESRCH) };
        if process.is_zombie() {
            return Ok(());
        }
        let threads = process.threads.clone();
        self.before_send(pid, info.signal);
        if self.is_dropped(&threads, info.signal) {
            return Ok(());
        }
        if let Some(process) = self.processes.get_mut(&pid) {
            process.pending.push(info)?;
        }
        let willing = threads.iter().copied().find(|tid| !self.task(*tid).blocked.contains(info.signal));
        if let Some(tid) = willing {
            self.interrupt(tid);
        }
        for tid in threads {
            self.wake_all(WaitKey::Signal(tid));
        }
        Ok(())
    }

    /// Sends a signal to one task.
    pub(crate) fn send_to_task(&mut self, tid: Tid, info: Info) -> Result<()> {
        let Some(task) = self.tasks.get(&tid) else { return Err(Errno::ESRCH) };
        let pid = task.process;
        self.before_send(pid, info.signal);
        if self.is_dropped(&[tid], info.signal) {
            return Ok(());
        }
        self.task_mut(tid).pending.push(info)?;
        if !self.task(tid).blocked.contains(info.signal) {
            self.interrupt(tid);
        }
        self.wake_all(WaitKey::Signal(tid));
        Ok(())
    }

    /// Sends a signal that a fault of the task itself causes: it cannot be held back, so if it is
    /// blocked or ignored the process ends.
    pub(crate) fn force_signal(&mut self, tid: Tid, info: Info) {
        let task = self.task(tid);
        let action = self.handlers[task.handlers].get(info.signal);
        let blocked = task.blocked.contains(info.signal);
        if blocked || action.disposition == Disposition::Ignore {
            let handlers = self.task(tid).handlers;
            self.handlers[handlers].set(info.signal, super::Action::DEFAULT);
            let task = self.task_mut(tid);
            task.blocked = task.blocked.without(SigSet(0).with(info.signal));
        }
        if self.task_mut(tid).pending.push(info).is_err() {
            self.end_process(
                self.task(tid).process,
                crate::process::ExitStatus::Killed(info.signal.number()),
            );
        }
    }

    /// What sending does at once, whether the signal is taken or not (signal(7)).
    fn before_send(&mut self, pid: Pid, signal: Signal) {
        let continues = signal == Signal::CONT || signal == Signal::KILL;
        let stops = signal.default_effect() == Default::Stop;
        let stop_signals =
            SigSet(0).with(Signal::STOP).with(Signal::TSTP).with(Signal::TTIN).with(Signal::TTOU);
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let threads = process.threads.clone();
        if stops {
            process.pending.discard(SigSet(0).with(Signal::CONT));
        }
        if continues {
            process.pending.discard(stop_signals);
            let was_stopped = process.stop != Stop::Going;
            process.stop = Stop::Going;
            if was_stopped {
                process.continued = signal == Signal::CONT;
                let parent = process.parent;
                self.wake_all(WaitKey::Child(parent));
            }
        }
        for tid in threads {
            if stops {
                self.task_mut(tid).pending.discard(SigSet(0).with(Signal::CONT));
            }
            if continues {
                self.task_mut(tid).pending.discard(stop_signals);
                self.unpark(tid);
            }
        }
    }

    /// Whether the signal vanishes here: nobody handles it and nobody waits for it.
    fn is_dropped(&self, threads: &[Tid], signal: Signal) -> bool {
        threads.iter().all(|tid| {
            let task = self.task(*tid);
            !task.blocked.contains(signal) && self.handlers[task.handlers].ignores(signal)
        })
    }

    /// Gets a waiting task going so that it looks at its signals.
    fn interrupt(&mut self, tid: Tid) {
        if let State::Waiting(wait) = &self.task(tid).state
            && wait.on_signal != OnSignal::Nothing
        {
            self.make_ready(tid);
        }
    }

    /// `kill(2)`'s choice of processes.
    pub(crate) fn kill_targets(&self, caller: Pid, target: i32) -> Result<Vec<Pid>> {
        let targets: Vec<Pid> = match target {
            1.. => alloc::vec![Pid(target.unsigned_abs())],
            0 => {
                let group = self.process(caller).group;
                self.processes.iter().filter(|(_, p)| p.group == group).map(|(&pid, _)| pid).collect()
            }
            -1 => self.processes.keys().copied().filter(|&pid| pid != caller).collect(),
            _ => {
                let group = Pid(target.unsigned_abs());
                self.processes.iter().filter(|(_, p)| p.group == group).map(|(&pid, _)| pid).collect()
            }
        };
        let any = targets.iter().any(|pid| *pid == Pid::SERVER || self.processes.contains_key(pid));
        if any { Ok(targets) } else { Err(Errno::ESRCH) }
    }

    /// The information that comes with a signal from a process.
    #[allow(clippy::cast_possible_wrap, reason = "SI_USER is zero")]
    pub(crate) fn info_from(&self, caller: Pid, signal: Signal) -> Info {
        let uid = self.process(caller).credentials.uid[0];
        Info { signal, code: g::SI_USER as i32, detail: Detail::Sender { pid: caller.0, uid } }
    }
}
