//! The signal calls.

use linux_raw_sys::general as g;

use super::records::{ActionRecord, TimeSpec};
use crate::error::{Errno, Result};
use crate::linux::Linux;
use crate::memory::address::UserPtr;
use crate::outcome::{DONE, OnSignal, Outcome, Reply, Wait, WaitKey};
use crate::platform::Platform;
use crate::process::{ExitStatus, Pid, Tid};
use crate::signal::frame::{InfoRecord, StackRecord};
use crate::signal::{Action, Disposition, Info, SigSet, Signal};

/// Bytes of the kernel's `sigset_t`; every call says it and there is only one answer.
const SET_SIZE: u64 = 8;
/// `SIG_DFL` and `SIG_IGN`.
const DEFAULT: u64 = 0;
const IGNORE: u64 = 1;

fn check_size(size: u64) -> Result<()> {
    if size == SET_SIZE { Ok(()) } else { Err(Errno::EINVAL) }
}

impl<P: Platform> Linux<P> {
    pub(super) fn call_sigaction(
        &mut self,
        t: Tid,
        signal: u64,
        new: UserPtr,
        old: UserPtr,
        size: u64,
    ) -> Reply {
        check_size(size)?;
        let signal = Signal::new(signal & u64::from(u32::MAX))?;
        let handlers = self.task(t).handlers;
        let wanted = match new.non_null() {
            Some(_) if signal == Signal::KILL || signal == Signal::STOP => return Err(Errno::EINVAL),
            Some(new) => {
                let record: ActionRecord = self.get(t, new)?;
                let disposition = match record.handler {
                    DEFAULT => Disposition::Default,
                    IGNORE => Disposition::Ignore,
                    handler => Disposition::Handler(UserPtr(handler)),
                };
                let mask = SigSet(record.mask).blockable();
                Some(Action { disposition, flags: record.flags, restorer: record.restorer, mask })
            }
            None => None,
        };
        if let Some(old) = old.non_null() {
            let action = self.handlers[handlers].get(signal);
            let handler = match action.disposition {
                Disposition::Default => DEFAULT,
                Disposition::Ignore => IGNORE,
                Disposition::Handler(handler) => handler.0,
            };
            let record =
                ActionRecord { handler, flags: action.flags, restorer: action.restorer, mask: action.mask.0 };
            self.put(t, old, &record)?;
        }
        if let Some(action) = wanted {
            self.handlers[handlers].set(signal, action);
            if self.handlers[handlers].ignores(signal) {
                // What is pending vanishes as well (signal(7)).
                let set = SigSet(0).with(signal);
                let pid = self.task(t).process;
                self.process_mut(pid).pending.discard(set);
                self.task_mut(t).pending.discard(set);
            }
        }
        DONE
    }

    pub(super) fn call_sigprocmask(
        &mut self,
        t: Tid,
        how: u32,
        new: UserPtr,
        old: UserPtr,
        size: u64,
    ) -> Reply {
        check_size(size)?;
        let current = self.task(t).blocked;
        let wanted = match new.non_null() {
            Some(new) => {
                let set = SigSet(self.get(t, new)?);
                Some(match how {
                    g::SIG_BLOCK => current.union(set),
                    g::SIG_UNBLOCK => current.without(set),
                    g::SIG_SETMASK => set,
                    _ => return Err(Errno::EINVAL),
                })
            }
            None => None,
        };
        if let Some(old) = old.non_null() {
            self.put(t, old, &current.0)?;
        }
        if let Some(wanted) = wanted {
            self.task_mut(t).blocked = wanted.blockable();
        }
        DONE
    }

    pub(super) fn call_sigreturn(&mut self, t: Tid) -> Reply {
        if self.pop_frame(t).is_err() {
            let pid = self.task(t).process;
            self.end_process(pid, ExitStatus::Killed(Signal::SEGV.number()));
        }
        Ok(Outcome::Settled)
    }

    pub(super) fn call_sigsuspend(&mut self, t: Tid, set: UserPtr, size: u64) -> Reply {
        check_size(size)?;
        let set = SigSet(self.get(t, set)?);
        self.borrow_mask(t, set);
        self.call_pause(t)
    }

    pub(super) fn call_pause(&self, t: Tid) -> Reply {
        let keys = alloc::vec![WaitKey::Signal(t)];
        Ok(Outcome::Wait(Wait { keys, deadline: None, on_signal: OnSignal::Interrupt }))
    }

    pub(super) fn call_sigpending(&mut self, t: Tid, out: UserPtr, size: u64) -> Reply {
        check_size(size)?;
        let task = self.task(t);
        let pending = task.pending.set().union(self.process(task.process).pending.set());
        let shown = SigSet(pending.0 & task.blocked.0);
        self.put(t, out, &shown.0).and(DONE)
    }

    pub(super) fn call_sigtimedwait(
        &mut self,
        t: Tid,
        set: UserPtr,
        info: UserPtr,
        timeout: UserPtr,
        size: u64,
    ) -> Reply {
        check_size(size)?;
        let set = SigSet(self.get(t, set)?).blockable();
        let timeout = match timeout.non_null() {
            Some(timeout) => Some(self.get::<TimeSpec>(t, timeout)?.to_nanos().ok_or(Errno::EINVAL)?),
            None => None,
        };
        let others = SigSet(!set.0);
        let pid = self.task(t).process;
        let found = self.task_mut(t).pending.take(others);
        let found = found.or_else(|| self.process_mut(pid).pending.take(others));
        if let Some(found) = found {
            if let Some(out) = info.non_null() {
                self.put(t, out, &InfoRecord::new(&found))?;
            }
            return Ok(Outcome::Value(u64::from(found.signal.number())));
        }
        let deadline = self.deadline(t, timeout);
        if self.is_past(deadline) {
            return Err(Errno::EAGAIN);
        }
        let keys = alloc::vec![WaitKey::Signal(t)];
        Ok(Outcome::Wait(Wait { keys, deadline, on_signal: OnSignal::Interrupt }))
    }

    pub(super) fn call_sigaltstack(&mut self, t: Tid, new: UserPtr, old: UserPtr) -> Reply {
        const SMALLEST: u64 = g::MINSIGSTKSZ as u64;
        let task = self.task(t);
        let rsp = task.context.registers.rsp;
        let current = task.alt_stack;
        let wanted = match new.non_null() {
            Some(new) => Some(self.get::<StackRecord>(t, new)?),
            None => None,
        };
        if let Some(old) = old.non_null() {
            self.put(t, old, &current.record(rsp))?;
        }
        if let Some(record) = wanted {
            if current.holds(rsp) {
                return Err(Errno::EPERM);
            }
            let disable = record.flags & g::SS_DISABLE != 0;
            if record.flags & !(g::SS_DISABLE | g::SS_ONSTACK | g::SS_AUTODISARM) != 0 {
                return Err(Errno::EINVAL);
            }
            if !disable && record.size < SMALLEST {
                return Err(Errno::ENOMEM);
            }
            let alt = &mut self.task_mut(t).alt_stack;
            alt.base = if disable { 0 } else { record.base };
            alt.size = if disable { 0 } else { record.size };
            alt.flags = record.flags & g::SS_AUTODISARM;
        }
        DONE
    }

    pub(super) fn call_kill(&mut self, t: Tid, target: i32, signal: u64) -> Reply {
        let caller = self.task(t).process;
        let targets = self.kill_targets(caller, target)?;
        let Some(signal) = signal_or_probe(signal)? else { return DONE };
        let info = self.info_from(caller, signal);
        for pid in targets {
            // The server adopts orphans and cannot be ended from inside.
            if pid != Pid::SERVER {
                self.send_to_process(pid, info)?;
            }
        }
        DONE
    }

    pub(super) fn call_tgkill(&mut self, t: Tid, group: Option<u32>, tid: u32, signal: u64) -> Reply {
        if tid == 0 || tid > i32::MAX.unsigned_abs() || group == Some(0) {
            return Err(Errno::EINVAL);
        }
        let target = self.known_task(t, tid)?;
        if group.is_some_and(|group| self.task(target).process != Pid(group)) {
            return Err(Errno::ESRCH);
        }
        let Some(signal) = signal_or_probe(signal)? else { return DONE };
        let caller = self.task(t).process;
        let info = Info { code: g::SI_TKILL, ..self.info_from(caller, signal) };
        self.send_to_task(target, info).and(DONE)
    }
}

/// The signal to send; zero only asks whether it could be sent.
fn signal_or_probe(number: u64) -> Result<Option<Signal>> {
    match number & u64::from(u32::MAX) {
        0 => Ok(None),
        number => Signal::new(number).map(Some),
    }
}
