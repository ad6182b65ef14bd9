//! Making, replacing, ending and waiting for programs; and what a task says about itself.

use alloc::vec::Vec;
use linux_raw_sys::general as g;
use linux_raw_sys::prctl as p;

use super::records::{CloneArguments, LimitRecord, Usage};
use crate::error::{Errno, Result};
use crate::limits::{MAX_ARG_BYTES, MAX_ARGS, PATH_MAX, USER_END};
use crate::linux::Linux;
use crate::memory::address::UserPtr;
use crate::outcome::{DONE, OnSignal, Outcome, Reply, Wait};
use crate::platform::Platform;
use crate::process::clone::Plan;
use crate::process::wait::{Event, Waited, Which};
use crate::process::{ExitStatus, Limit, Pid, Tid};
use crate::signal::{Detail, Info, Signal, frame::InfoRecord};

/// Requests of arch_prctl(2) (asm/prctl.h).
const ARCH_SET_GS: u32 = 0x1001;
const ARCH_SET_FS: u32 = 0x1002;
const ARCH_GET_FS: u32 = 0x1003;
const ARCH_GET_GS: u32 = 0x1004;

impl<P: Platform> Linux<P> {
    pub(super) fn call_fork(&mut self, t: Tid) -> Reply {
        self.clone_task(t, Plan { exit_signal: u64::from(g::SIGCHLD), ..Plan::default() })
    }

    pub(super) fn call_vfork(&mut self, t: Tid) -> Reply {
        let flags = u64::from(g::CLONE_VM | g::CLONE_VFORK);
        self.clone_task(t, Plan { flags, exit_signal: u64::from(g::SIGCHLD), ..Plan::default() })
    }

    pub(super) fn call_clone(
        &mut self,
        t: Tid,
        flags: u64,
        stack: UserPtr,
        parent_tid: UserPtr,
        child_tid: UserPtr,
        tls: u64,
    ) -> Reply {
        let exit_signal = flags & u64::from(g::CSIGNAL);
        let flags = flags & !u64::from(g::CSIGNAL);
        self.clone_task(t, Plan { flags, exit_signal, stack, parent_tid, child_tid, tls })
    }

    pub(super) fn call_clone3(&mut self, t: Tid, pointer: UserPtr, size: u64) -> Reply {
        const FIRST_SIZE: u64 = 64;
        let full = size_of::<CloneArguments>() as u64;
        if size < FIRST_SIZE {
            return Err(Errno::EINVAL);
        }
        if size > full {
            return Err(Errno::E2BIG);
        }
        let mut arguments = CloneArguments::default();
        let bytes = zerocopy::IntoBytes::as_mut_bytes(&mut arguments);
        self.copy_in(t, pointer, &mut bytes[..usize::try_from(size).unwrap_or(0)])?;
        if arguments.set_tid_size != 0 || arguments.flags & u64::from(g::CSIGNAL) != 0 {
            return Err(Errno::EINVAL);
        }
        if (arguments.stack == 0) != (arguments.stack_size == 0) {
            return Err(Errno::EINVAL);
        }
        let plan = Plan {
            flags: arguments.flags,
            exit_signal: arguments.exit_signal,
            stack: UserPtr(arguments.stack.checked_add(arguments.stack_size).ok_or(Errno::EINVAL)?),
            parent_tid: UserPtr(arguments.parent_tid),
            child_tid: UserPtr(arguments.child_tid),
            tls: arguments.tls,
        };
        self.clone_task(t, plan)
    }

    pub(super) fn call_exec(
        &mut self,
        t: Tid,
        path: UserPtr,
        arguments: UserPtr,
        environment: UserPtr,
    ) -> Reply {
        let path = self.string(t, path, PATH_MAX, Errno::ENAMETOOLONG)?;
        let mut room = MAX_ARG_BYTES;
        let arguments = self.strings(t, arguments, &mut room)?;
        let environment = self.strings(t, environment, &mut room)?;
        // As Linux since 5.18: a program always has its own name.
        let arguments = if arguments.is_empty() { alloc::vec![Vec::new()] } else { arguments };
        self.call_execve(t, path, arguments, environment)
    }

    /// Reads a null-terminated array of strings.
    fn strings(&mut self, t: Tid, array: UserPtr, room: &mut usize) -> Result<Vec<Vec<u8>>> {
        let mut strings = Vec::new();
        if array.is_null() {
            return Ok(strings);
        }
        for index in 0..MAX_ARGS as u64 {
            let pointer: u64 = self.get(t, array.plus(8 * index))?;
            if pointer == 0 {
                return Ok(strings);
            }
            let string = self.string(t, UserPtr(pointer), *room, Errno::E2BIG)?;
            *room = room.saturating_sub(string.len() + 1 + 8);
            strings.push(string);
        }
        Err(Errno::E2BIG)
    }

    pub(super) fn call_exit(&mut self, t: Tid, code: i32) -> Reply {
        let pid = self.task(t).process;
        if self.process(pid).threads.len() == 1 {
            return self.call_exit_group(t, code);
        }
        self.doom(t);
        Ok(Outcome::Settled)
    }

    pub(super) fn call_exit_group(&mut self, t: Tid, code: i32) -> Reply {
        let [code, ..] = code.to_le_bytes();
        let pid = self.task(t).process;
        self.end_process(pid, ExitStatus::Exited(code));
        Ok(Outcome::Settled)
    }

    pub(super) fn call_wait4(
        &mut self,
        t: Tid,
        pid: i32,
        status: UserPtr,
        options: u32,
        usage: UserPtr,
    ) -> Reply {
        let known = g::WNOHANG | g::WUNTRACED | g::WCONTINUED | g::__WALL | g::__WCLONE | g::__WNOTHREAD;
        if options & !known != 0 {
            return Err(Errno::EINVAL);
        }
        let which = match pid {
            -1 => Which::Any,
            0 => Which::Group(self.process(self.task(t).process).group),
            1.. => Which::One(Pid(pid.unsigned_abs())),
            _ => Which::Group(Pid(pid.unsigned_abs())),
        };
        match self.wait_for(t, which, options | g::WEXITED)? {
            Waited::Child(child, event) => {
                if let Some(status) = status.non_null() {
                    self.put(t, status, &event.to_word())?;
                }
                if let Some(usage) = usage.non_null() {
                    self.put(t, usage, &Usage::default())?;
                }
                Ok(Outcome::Value(u64::from(child.0)))
            }
            Waited::Nothing => DONE,
            Waited::Blocked(outcome) => Ok(outcome),
        }
    }

    pub(super) fn call_waitid(&mut self, t: Tid, kind: u32, id: u32, out: UserPtr, options: u32) -> Reply {
        let asked = g::WEXITED | g::WSTOPPED | g::WCONTINUED;
        let known = asked | g::WNOHANG | g::WNOWAIT | g::__WALL | g::__WCLONE | g::__WNOTHREAD;
        if options & !known != 0 || options & asked == 0 {
            return Err(Errno::EINVAL);
        }
        let which = match kind {
            g::P_ALL => Which::Any,
            g::P_PID => Which::One(Pid(id)),
            g::P_PGID if id == 0 => Which::Group(self.process(self.task(t).process).group),
            g::P_PGID => Which::Group(Pid(id)),
            _ => return Err(Errno::EINVAL),
        };
        match self.wait_for(t, which, options)? {
            Waited::Child(child, event) => {
                let (code, status) = match event {
                    Event::Ended(ExitStatus::Exited(code)) => (g::CLD_EXITED, i32::from(code)),
                    Event::Ended(ExitStatus::Killed(signal)) => (g::CLD_KILLED, i32::from(signal)),
                    Event::Stopped(signal) => (g::CLD_STOPPED, i32::from(signal.number())),
                    Event::Continued => (g::CLD_CONTINUED, i32::from(Signal::CONT.number())),
                };
                let detail = Detail::Child { pid: child.0, uid: 0, status };
                let info = Info { signal: Signal::CHLD, code: code.cast_signed(), detail };
                if let Some(out) = out.non_null() {
                    self.put(t, out, &InfoRecord::new(&info))?;
                }
                DONE
            }
            Waited::Nothing => {
                if let Some(out) = out.non_null() {
                    self.put(t, out, &[0u64; 16])?;
                }
                DONE
            }
            Waited::Blocked(outcome) => Ok(outcome),
        }
    }

    pub(super) fn call_set_tid_address(&mut self, t: Tid, pointer: UserPtr) -> Reply {
        self.task_mut(t).clear_tid = pointer;
        Ok(Outcome::Value(u64::from(t.0)))
    }

    pub(super) fn call_set_robust_list(&mut self, t: Tid, head: UserPtr, size: u64) -> Reply {
        const HEAD_SIZE: u64 = 24;
        if size != HEAD_SIZE {
            return Err(Errno::EINVAL);
        }
        self.task_mut(t).robust_list = head;
        DONE
    }

    pub(super) fn call_get_robust_list(&mut self, t: Tid, tid: u32, head: UserPtr, size: UserPtr) -> Reply {
        let target = self.known_task(t, tid)?;
        let list = self.task(target).robust_list;
        self.put(t, head, &list.0)?;
        self.put(t, size, &24u64).and(DONE)
    }

    pub(super) fn call_arch_prctl(&mut self, t: Tid, request: u32, value: u64) -> Reply {
        let registers = &mut self.task_mut(t).context.registers;
        match request {
            ARCH_SET_FS | ARCH_SET_GS if value >= USER_END => Err(Errno::EPERM),
            ARCH_SET_FS => {
                registers.fs_base = value;
                DONE
            }
            ARCH_SET_GS => {
                registers.gs_base = value;
                DONE
            }
            ARCH_GET_FS => {
                let base = registers.fs_base;
                self.put(t, UserPtr(value), &base).and(DONE)
            }
            ARCH_GET_GS => {
                let base = registers.gs_base;
                self.put(t, UserPtr(value), &base).and(DONE)
            }
            // The shadow-stack and CPUID requests: not on this machine.
            _ => Err(Errno::EINVAL),
        }
    }

    pub(super) fn call_prctl(&mut self, t: Tid, request: u32, argument: UserPtr) -> Reply {
        match request {
            p::PR_SET_NAME => {
                let name = match self.string(t, argument, 16, Errno::ERANGE) {
                    Ok(name) => name,
                    // Longer names are cut.
                    Err(Errno::ERANGE) => {
                        let mut name = alloc::vec![0; 15];
                        self.copy_in(t, argument, &mut name)?;
                        name
                    }
                    Err(error) => return Err(error),
                };
                let task = self.task_mut(t);
                task.name = [0; 16];
                let length = name.len().min(15);
                task.name[..length].copy_from_slice(&name[..length]);
                DONE
            }
            p::PR_GET_NAME => {
                let name = self.task(t).name;
                self.copy_out(t, argument, &name).and(DONE)
            }
            p::PR_SET_DUMPABLE
            | p::PR_SET_PDEATHSIG
            | p::PR_SET_NO_NEW_PRIVS
            | p::PR_SET_TIMERSLACK
            | p::PR_SET_KEEPCAPS
            | p::PR_SET_VMA
            | p::PR_SET_CHILD_SUBREAPER => DONE,
            p::PR_GET_DUMPABLE => Ok(Outcome::Value(1)),
            p::PR_GET_KEEPCAPS | p::PR_GET_NO_NEW_PRIVS => DONE,
            p::PR_GET_PDEATHSIG => self.put(t, argument, &0u32).and(DONE),
            p::PR_CAPBSET_READ => Ok(Outcome::Value(1)),
            _ => Err(Errno::EINVAL),
        }
    }

    /// A task by number; zero is the caller.
    pub(super) fn known_task(&self, t: Tid, number: u32) -> Result<Tid> {
        let tid = if number == 0 { t } else { Tid(number) };
        if self.tasks.contains_key(&tid) { Ok(tid) } else { Err(Errno::ESRCH) }
    }

    /// Lets others go first: the call ends when its turn comes round again.
    pub(super) fn call_sched_yield(&mut self, t: Tid) -> Reply {
        if let Some(call) = &mut self.task_mut(t).call {
            if call.deadline.is_some() {
                return DONE;
            }
            call.deadline = Some(0);
        }
        let now = self.machine.platform.now();
        Ok(Outcome::Wait(Wait { keys: Vec::new(), deadline: Some(now), on_signal: OnSignal::Nothing }))
    }

    pub(super) fn call_sched_getaffinity(&mut self, t: Tid, tid: u32, size: u64, out: UserPtr) -> Reply {
        self.known_task(t, tid)?;
        if size < 8 || !size.is_multiple_of(8) {
            return Err(Errno::EINVAL);
        }
        let mask: u64 = if self.cores >= 64 { u64::MAX } else { (1 << self.cores) - 1 };
        self.put(t, out, &mask)?;
        Ok(Outcome::Value(8))
    }

    pub(super) fn call_sched_getparam(&mut self, t: Tid, out: UserPtr) -> Reply {
        self.put(t, out, &0u32).and(DONE)
    }

    pub(super) fn call_prlimit(
        &mut self,
        t: Tid,
        pid: u32,
        resource: u32,
        new: UserPtr,
        old: UserPtr,
    ) -> Reply {
        let pid = if pid == 0 { self.task(t).process } else { Pid(pid) };
        let index = usize::try_from(resource).unwrap_or(usize::MAX);
        let process = self.processes.get(&pid).ok_or(Errno::ESRCH)?;
        let current = *process.limits.get(index).ok_or(Errno::EINVAL)?;
        let wanted = match new.non_null() {
            Some(new) => {
                let LimitRecord { soft, hard } = self.get(t, new)?;
                if soft > hard {
                    return Err(Errno::EINVAL);
                }
                if resource == g::RLIMIT_NOFILE && hard > crate::limits::MAX_FDS as u64 {
                    return Err(Errno::EPERM);
                }
                Some(Limit { soft, hard })
            }
            None => None,
        };
        if let Some(old) = old.non_null() {
            self.put(t, old, &LimitRecord { soft: current.soft, hard: current.hard })?;
        }
        if let Some(wanted) = wanted
            && let Some(limit) = self.process_mut(pid).limits.get_mut(index)
        {
            *limit = wanted;
        }
        DONE
    }
}
