//! Faults of threads, and traps of guests.
//!
//! A fault becomes a call of the thread's fault handler, made by the kernel in the thread's name; the answer lets
//! it go on. A guest's trap goes to the thread that entered it: its registers are written to the message page and
//! the enter call returns.

use core::ptr::NonNull;

use caps::{Error, Kind};
use idl::abi::{Trap, TrapKind};

use crate::arch::{Frame, FramePtr, Vector, send_ipi};
use crate::entry::Fault;
use crate::ipc::{FAULT_TAG, Sending};
use crate::kernel::Kernel;
use crate::memory::Ref;
use crate::object::endpoint::Endpoint;
use crate::object::thread::{Own, Pending, State, Thread};
use crate::outcome::{Answer, NextThread};
use crate::types::PhysAddr;

impl Kernel {
    /// The current thread made a fault.
    pub fn thread_fault(&mut self, thread: Ref<Thread>, fault: Fault) -> NextThread {
        self.memory[thread].fault = Some(fault);
        let handler = self.own_capability(thread, Own::FaultHandler, Kind::Endpoint);
        let Some(handler) = handler else {
            self.memory[thread].state = State::Faulted;
            crate::machine::report_unhandled(self, thread);
            return NextThread::Pick;
        };
        let badge = self.memory[thread].fault_badge;
        let endpoint = Ref::<Endpoint>::at(PhysAddr(handler.object));
        // A short message: it needs nothing of who receives it.
        let (tag, pending) = (FAULT_TAG, Pending::Fault);
        self.send(thread, Sending { endpoint, badge, through: None, tag, pending, deadline: None })
    }

    /// The guest made a system call.
    pub fn guest_syscall(&mut self, thread: Ref<Thread>) -> NextThread {
        self.leave_guest(thread, Trap { kind: TrapKind::SystemCall as u32, ..Trap::default() });
        NextThread::Same
    }

    /// The guest made a fault.
    pub fn guest_fault(&mut self, thread: Ref<Thread>, fault: Fault) -> NextThread {
        self.leave_guest(thread, fault.trap());
        NextThread::Same
    }

    /// Whether a thread that is about to go on in its guest must go on outside instead.
    pub fn guest_must_end(&mut self, thread: Ref<Thread>) -> bool {
        if self.memory[thread].guest.is_none() {
            return false;
        }
        if self.now >= self.memory[thread].guest_deadline {
            return true;
        }
        let bound = self.bound_notification(thread);
        bound.is_some_and(|notification| self.pending_bits(notification))
    }

    /// Whether this entry saved registers elsewhere than the current thread would now run from.
    pub fn is_outdated(&mut self, frame: Option<FramePtr>) -> bool {
        let Some(thread) = self.current() else { return false };
        let running = NonNull::from(self.memory[thread].running_frame());
        frame.is_some_and(|frame| frame.as_ptr() != running.as_ptr())
    }

    /// A thread cannot go on in its guest because the guest's space has gone: it leaves the guest, and hears of it.
    pub fn guest_lost_its_space(&mut self, thread: Ref<Thread>) -> bool {
        let inside = self.memory[thread].guest.is_some();
        if inside {
            self.leave_guest(thread, Trap { kind: TrapKind::Cancelled as u32, ..Trap::default() });
        }
        inside
    }

    /// Ends the thread's stay in its guest and answers its enter call.
    pub fn leave_guest(&mut self, thread: Ref<Thread>, trap: Trap) {
        let Some(guest) = self.memory[thread].guest.take() else { return };
        self.memory[guest].occupant = None;
        let Frame { registers, fx, .. } = self.memory[thread].guest_frame;
        match self.message_page(thread) {
            Some(page) => {
                self.memory.put_registers(page, registers, fx, Some(trap));
                let kind = u64::from(trap.kind);
                self.memory[thread].frame.set_answer(Answer::of(kind).words);
            }
            None => self.memory[thread].frame.set_error(Error::NotConfigured),
        }
    }

    /// The guest has gone while a thread was in it.
    pub fn abandon_guest(&mut self, thread: Ref<Thread>) {
        self.leave_guest(thread, Trap { kind: TrapKind::Cancelled as u32, ..Trap::default() });
        if let Some(core) = self.running_on(thread)
            && core != self.me
        {
            send_ipi(core, Vector::RESCHEDULE);
        }
    }
}
