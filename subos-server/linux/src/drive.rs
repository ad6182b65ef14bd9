//! Driving the system: what executors report, what they are to run, and what lies between.
//!
//! 1. [`Linux::trapped`] takes in what a guest did: a call is noted, a fault is mended or becomes a signal.
//! 2. [`Linux::next`] wakes whose time has come, chooses a task, and makes it ready: its call is made, its
//!    signals are delivered. A task that waits or ends in between makes room for the next.

use crate::limits::PAGE_U64;
use crate::linux::Linux;
use crate::memory::Denied;
use crate::outcome::{OnSignal, Outcome};
use crate::platform::{ExecutorId, Platform, Space};
use crate::process::{Call, ExitStatus, Interrupted, State, Stop, Tid};
use crate::registers::{Access, Context, Trap};
use crate::signal::{Detail, Info, Signal};

/// What an executor is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Run a guest with the context that was filled in.
    Run {
        /// The address space it runs in.
        space: Space,
        /// Interrupt it at this moment on the platform's clock: its turn is over, or there is
        /// something else to do.
        until: u64,
    },
    /// Nothing to run. Ask again when kicked, or at this moment on the platform's clock.
    Idle(Option<u64>),
    /// No process is left. The status is the first program's.
    Finished(ExitStatus),
}

impl<P: Platform> Linux<P> {
    /// Takes an executor out of service, for instance because its core is gone: what it was at goes
    /// to the others. It comes back by asking for work.
    pub fn retire(&mut self, executor: ExecutorId) {
        let slot = self.scheduler.executor(executor);
        slot.idle = false;
        if let Some(tid) = slot.current.take() {
            self.scheduler.push(tid);
        }
    }

    /// Notes what `executor`'s guest did. `context` is the guest's state at that point.
    pub fn trapped(&mut self, executor: ExecutorId, trap: Trap, context: &Context) {
        let now = self.machine.platform.now();
        let slot = self.scheduler.executor(executor);
        let Some(tid) = slot.current else { return };
        let ran = now.saturating_sub(slot.entered);
        match trap {
            Trap::Syscall => slot.counts.calls += 1,
            Trap::PageFault { .. } => slot.counts.faults += 1,
            Trap::Slice => slot.counts.slices += 1,
            Trap::Exception { .. } => {}
        }
        if trap == Trap::Slice {
            slot.slice_end = slot.slice_end.min(now);
        }
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        *task.context = *context;
        task.state = State::Ready;
        let pid = task.process;
        self.process_mut(pid).times.user += ran;
        if self.task(tid).doomed {
            return;
        }
        match trap {
            Trap::Syscall => {
                let registers = &context.registers;
                let arguments =
                    [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9];
                // The processor passes RAX whole; numbers above 32 bits are no calls.
                let number = u32::try_from(registers.rax).unwrap_or(u32::MAX);
                let call = Call { number, arguments, deadline: None, progress: 0, opened: None };
                self.task_mut(tid).call = Some(call);
            }
            Trap::PageFault { address, access } => self.page_fault(tid, address, access),
            Trap::Exception { vector } => self.exception(tid, vector),
            Trap::Slice => {}
        }
    }

    /// What `executor` is to do now. With [`Work::Run`], `context` is what to load.
    pub fn next(&mut self, executor: ExecutorId, context: &mut Context) -> Work {
        loop {
            let now = self.machine.platform.now();
            self.expire(now);
            let Some(tid) = self.choose(executor, now) else {
                return match self.first {
                    Some((_, Some(status))) if self.tasks.is_empty() => Work::Finished(status),
                    _ => {
                        self.scheduler.executor(executor).idle = true;
                        Work::Idle(self.next_moment())
                    }
                };
            };
            if !self.prepare(tid) {
                let slot = self.scheduler.executor(executor);
                if slot.current == Some(tid) {
                    slot.current = None;
                }
                continue;
            }
            let Some(task) = self.tasks.get_mut(&tid) else { continue };
            task.state = State::Running;
            *context = *task.context;
            let pid = task.process;
            let space = self.memories[task.memory].space;
            let slot = self.scheduler.executor(executor);
            slot.entered = now;
            slot.idle = false;
            slot.counts.entries += 1;
            let bit = 1u64 << (executor.0 % 64);
            if let Some(process) = self.processes.get_mut(&pid)
                && process.ran_on & bit == 0
            {
                process.ran_on |= bit;
                slot.counts.processes += 1;
            }
            let turn = slot.slice_end.max(now + 1);
            let until = self.next_moment().map_or(turn, |moment| turn.min(moment.max(now + 1)));
            return Work::Run { space, until };
        }
    }

    /// The task that `executor` goes on with: the one it is at while its turn lasts, else the next.
    fn choose(&mut self, executor: ExecutorId, now: u64) -> Option<Tid> {
        let slot = self.scheduler.executor(executor);
        let (current, slice_end) = (slot.current, slot.slice_end);
        if let Some(tid) = current {
            if now < slice_end {
                return Some(tid);
            }
            if !self.scheduler.has_ready() {
                self.scheduler.begin_turn(executor, tid, now);
                return Some(tid);
            }
            self.scheduler.executor(executor).current = None;
            self.scheduler.push(tid);
        }
        let tid = self.scheduler.pop()?;
        self.scheduler.begin_turn(executor, tid, now);
        Some(tid)
    }

    /// Makes a task ready to run: ends it if it is doomed, makes its call, delivers its signals. The
    /// answer says whether it can run.
    fn prepare(&mut self, tid: Tid) -> bool {
        let Some(task) = self.tasks.get(&tid) else { return false };
        if task.doomed {
            self.end_task(tid);
            return false;
        }
        if let Some(call) = task.call
            && !self.perform(tid, call)
        {
            return false;
        }
        self.deliver_signals(tid);
        let Some(task) = self.tasks.get_mut(&tid) else { return false };
        if task.doomed {
            self.end_task(tid);
            return false;
        }
        let stopped = self.processes.get(&task.process).is_some_and(|process| process.stop != Stop::Going);
        if stopped {
            task.state = State::Stopped;
            return false;
        }
        if !task.context.registers.can_resume() {
            let address = task.context.registers.rip;
            self.fault_signal(tid, Signal::SEGV, linux_raw_sys::general::SEGV_MAPERR, address);
            // Whatever the handler does comes round again; the loop ends because each round either
            // runs a handler at a good address or ends the process.
            return self.prepare_after_fault(tid);
        }
        true
    }

    fn prepare_after_fault(&mut self, tid: Tid) -> bool {
        self.deliver_signals(tid);
        match self.tasks.get(&tid) {
            Some(task) if task.doomed => {
                self.end_task(tid);
                false
            }
            Some(task) if task.context.registers.can_resume() => true,
            Some(task) => {
                let pid = task.process;
                self.end_process(pid, ExitStatus::Killed(Signal::SEGV.number()));
                self.end_task(tid);
                false
            }
            None => false,
        }
    }

    /// Makes a call. The answer says whether the task goes on.
    fn perform(&mut self, tid: Tid, call: Call) -> bool {
        let reply = self.dispatch(tid, &call);
        let Some(task) = self.tasks.get_mut(&tid) else { return false };
        match reply {
            Ok(Outcome::Value(value)) => {
                task.call = None;
                task.context.registers.rax = value;
            }
            Err(error) => {
                task.call = None;
                task.context.registers.rax = error.to_return_value();
            }
            Ok(Outcome::Settled) => task.call = None,
            Ok(Outcome::Wait(wait)) => {
                if task.doomed {
                    return true;
                }
                if wait.on_signal != OnSignal::Nothing && self.deliverable(tid) {
                    let task = self.task_mut(tid);
                    let done = task.call.take();
                    if let Some(Call { progress: 1.., .. }) = done {
                        // Part of the work is done: the answer is how much, as without a signal.
                        task.context.registers.rax = done.map_or(0, |call| call.progress);
                        return true;
                    }
                    task.interrupted = Some(match wait.on_signal {
                        OnSignal::Restart => Interrupted::Restartable,
                        _ => Interrupted::Always,
                    });
                    if let Some(fd) = done.and_then(|call| call.opened) {
                        // The open did not happen after all; the descriptor may be gone already.
                        let _ = self.close_fd(tid, fd);
                    }
                    return true;
                }
                self.park(tid, wait);
                return false;
            }
        }
        true
    }

    fn page_fault(&mut self, tid: Tid, address: u64, access: Access) {
        let memory = self.task(tid).memory;
        let memory = &mut self.memories[memory];
        let denied = match memory.fault(address / PAGE_U64, access, &mut self.machine, &mut self.inodes) {
            Ok(()) => return,
            Err(denied) => denied,
        };
        use linux_raw_sys::general as g;
        match denied {
            Denied::Unmapped => self.fault_signal(tid, Signal::SEGV, g::SEGV_MAPERR, address),
            Denied::Forbidden => self.fault_signal(tid, Signal::SEGV, g::SEGV_ACCERR, address),
            Denied::BeyondFile | Denied::Lost => self.fault_signal(tid, Signal::BUS, g::BUS_ADRERR, address),
            Denied::NoMemory => {
                self.report.out_of_memory += 1;
                let pid = self.task(tid).process;
                self.end_process(pid, ExitStatus::Killed(Signal::KILL.number()));
            }
        }
    }

    fn exception(&mut self, tid: Tid, vector: u8) {
        use linux_raw_sys::general as g;
        let address = self.task(tid).context.registers.rip;
        match vector {
            0 => self.fault_signal(tid, Signal::FPE, g::FPE_INTDIV, address),
            1 => self.fault_signal(tid, Signal::TRAP, g::TRAP_TRACE, address),
            3 => self.fault_signal(tid, Signal::TRAP, g::TRAP_BRKPT, address),
            6 => self.fault_signal(tid, Signal::ILL, g::ILL_ILLOPN, address),
            16 | 19 => self.fault_signal(tid, Signal::FPE, g::FPE_FLTINV, address),
            17 => self.fault_signal(tid, Signal::BUS, g::BUS_ADRALN, 0),
            _ => self.fault_signal(tid, Signal::SEGV, g::SI_KERNEL, 0),
        }
    }

    fn fault_signal(&mut self, tid: Tid, signal: Signal, code: u32, address: u64) {
        let info = Info { signal, code: code.cast_signed(), detail: Detail::Fault { address } };
        self.force_signal(tid, info);
    }

    /// The next moment at which something happens by itself.
    fn next_moment(&self) -> Option<u64> {
        let alarms = self.processes.values().filter_map(|process| process.alarm.map(|alarm| alarm.at));
        self.scheduler.next_deadline().into_iter().chain(alarms).min()
    }
}
