//! The calls of Thread: configuring, starting, stopping, looking at registers.

use caps::{Error, Handle, Kind, Rights};
use idl::Words;
use idl::kernel::thread::{Call, ThreadInfo};
use idl::types::{Badge, PageIndex, ThreadState};

use crate::arch::Vector;
use crate::arch::send_ipi;
use crate::arch::x86_64::frame::Frame;
use crate::kernel::Kernel;
use crate::limits::PAGE;
use crate::memory::Ref;
use crate::object::notification::Notification;
use crate::object::thread::{Own, Pending, State, Thread};
use crate::outcome::{Answer, NextThread, Outcome};
use crate::scheduler::End;
use crate::syscall::{Caller, object_of};
use crate::types::{CoreId, Priority, Ticks};

impl Kernel {
    /// Carries out a call of a Thread.
    pub fn invoke_thread(&mut self, caller: &Caller, call: Call) -> Result<Outcome, Error> {
        let thread = Ref::<Thread>::at(object_of(&caller.found.capability));
        let done = || Ok(Answer::NOTHING.into());
        match call {
            Call::Configure { table, space, region, page } => {
                self.configure(caller, thread, (table, space), (region, page))?;
                done()
            }
            Call::Start { entry, stack, argument } => {
                if self.memory[thread].state != State::Stopped || self.running_on(thread).is_some() {
                    return Err(Error::WrongState);
                }
                if entry.0 >= idl::abi::USER_END || stack.0 > idl::abi::USER_END {
                    return Err(Error::BadRange);
                }
                self.check_configured(thread)?;
                // It begins outside whatever guest it was stopped in.
                if let Some(guest) = self.memory[thread].guest.take() {
                    self.memory[guest].occupant = None;
                }
                self.memory[thread].frame = Frame::new(entry.0, stack.0, argument);
                self.here().counters.starts += 1;
                Ok(Outcome::Answered(Answer::NOTHING, self.make_ready(thread)))
            }
            Call::Suspend => self.suspend(caller, thread),
            Call::Resume => {
                if !matches!(self.memory[thread].state, State::Stopped | State::Faulted) {
                    return Err(Error::WrongState);
                }
                self.check_configured(thread)?;
                Ok(Outcome::Answered(Answer::NOTHING, self.let_go_on(thread)))
            }
            Call::Schedule { priority, core } => {
                let core = match core {
                    Handle::NONE => None,
                    core => Some(self.argument(caller, core, Kind::Core, Rights::READ)?),
                };
                let seat = core.and_then(|core| u8::try_from(core.capability.badge).ok()).map(CoreId);
                let next = self.reschedule(caller, thread, Priority(priority.number()), seat);
                Ok(Outcome::Answered(Answer::NOTHING, next))
            }
            Call::FaultHandler { endpoint: Handle::NONE, badge: _ } => {
                self.drop_own(thread.own(Own::FaultHandler))?;
                done()
            }
            Call::FaultHandler { endpoint, badge: Badge(badge) } => {
                let endpoint = self.argument(caller, endpoint, Kind::Endpoint, Rights::CALL)?;
                self.adopt(thread.own(Own::FaultHandler), &endpoint)?;
                self.memory[thread].fault_badge = badge;
                done()
            }
            Call::Bind { notification } => {
                self.bind_notification(caller, thread, notification)?;
                done()
            }
            Call::ReadRegisters => {
                let page = self.message_page(caller.thread).ok_or(Error::NotConfigured)?;
                self.check_standing(thread)?;
                let (registers, fx) = self.memory[thread].frame.save_registers();
                self.memory.put_registers(page, registers, fx, None);
                done()
            }
            Call::WriteRegisters => {
                let page = self.message_page(caller.thread).ok_or(Error::NotConfigured)?;
                self.check_settable(thread)?;
                let (registers, fx) = self.memory.registers_in(page);
                let user = |address: u64| address < idl::abi::USER_END;
                if !user(registers.rip) || !user(registers.fs_base) || !user(registers.gs_base) {
                    return Err(Error::BadRange);
                }
                self.memory[thread].frame.load_registers(&registers, &fx);
                done()
            }
            Call::Yield => {
                if thread != caller.thread {
                    return Err(Error::WrongState);
                }
                // As if its time slice were over.
                self.here().slice_end = Ticks(0);
                Ok(Outcome::Answered(Answer::NOTHING, NextThread::Same))
            }
            Call::Info => {
                let info = ThreadInfo {
                    state: self.state_of(thread),
                    ticks: idl::types::Ticks(self.memory[thread].ran.0),
                };
                Ok(Answer { words: info.to_words() }.into())
            }
        }
    }

    fn configure(
        &mut self,
        caller: &Caller,
        thread: Ref<Thread>,
        (table, space): (Handle, Handle),
        (region, page): (Handle, PageIndex),
    ) -> Result<(), Error> {
        if self.memory[thread].state != State::Stopped || self.running_on(thread).is_some() {
            return Err(Error::WrongState);
        }
        let table = self.argument(caller, table, Kind::CSpace, Rights::DERIVE)?;
        let space = self.argument(caller, space, Kind::AddressSpace, Rights::DERIVE)?;
        let message = match region {
            Handle::NONE => None,
            region => {
                let rights = Rights::READ | Rights::WRITE | Rights::DERIVE;
                Some(self.argument(caller, region, Kind::Region, rights)?)
            }
        };
        for found in [Some(table), Some(space), message].into_iter().flatten() {
            self.forest.check_derivable(&self.memory, found.slot)?;
        }
        let offset = u64::from(page.0) * PAGE;
        if message.is_some_and(|message| offset >= message.capability.size) {
            return Err(Error::BadRange);
        }
        self.adopt(thread.own(Own::Table), &table)?;
        self.adopt(thread.own(Own::Space), &space)?;
        match message {
            Some(message) => self.adopt(thread.own(Own::Message), &message)?,
            None => self.drop_own(thread.own(Own::Message))?,
        }
        self.memory[thread].message_offset = offset;
        Ok(())
    }

    fn check_configured(&self, thread: Ref<Thread>) -> Result<(), Error> {
        let table = self.own_capability(thread, Own::Table, Kind::CSpace);
        let space = self.own_capability(thread, Own::Space, Kind::AddressSpace);
        if table.is_none() || space.is_none() { Err(Error::NotConfigured) } else { Ok(()) }
    }

    /// Whether a thread's registers are in its frame and stay there: it does not run.
    fn check_standing(&self, thread: Ref<Thread>) -> Result<(), Error> {
        let running = self.memory[thread].state == State::Ready || self.running_on(thread).is_some();
        if running { Err(Error::WrongState) } else { Ok(()) }
    }

    /// Whether a thread's registers are its own to have set: while it waits they are a message that somebody will
    /// take as checked. A fault's message is made from other things.
    fn check_settable(&self, thread: Ref<Thread>) -> Result<(), Error> {
        self.check_standing(thread)?;
        let state = self.memory[thread].state;
        let stands = matches!(state, State::Stopped | State::Faulted);
        if stands || self.memory[thread].pending == Pending::Fault { Ok(()) } else { Err(Error::WrongState) }
    }

    /// Stops a thread where it is. One that waits gets `Cancelled`, and would see that when it is resumed; one
    /// that runs on another core is made to leave it.
    fn suspend(&mut self, caller: &Caller, thread: Ref<Thread>) -> Result<Outcome, Error> {
        if self.memory[thread].state == State::Stopped {
            return Err(Error::WrongState);
        }
        let blocked = self.memory[thread].pending;
        let waited = !matches!(self.memory[thread].state, State::Ready | State::Faulted);
        self.unblock(thread);
        if waited && blocked != Pending::Fault {
            self.memory[thread].frame.set_error(Error::Cancelled);
        }
        self.memory[thread].pending = Pending::Nothing;
        self.memory[thread].state = State::Stopped;
        if self.running_on(thread).is_some_and(|core| core != self.me) {
            // Once all cores have been in the kernel it has left the one where it ran.
            self.hold_until_quiet(Some(caller.thread));
        }
        if thread == caller.thread {
            self.memory[thread].frame.set_answer([0; 5]);
            return Ok(Outcome::Deferred(NextThread::Pick));
        }
        Ok(Answer::NOTHING.into())
    }

    /// Changes a thread's priority and seat, wherever it is at the moment.
    fn reschedule(
        &mut self,
        caller: &Caller,
        thread: Ref<Thread>,
        priority: Priority,
        seat: Option<CoreId>,
    ) -> NextThread {
        let queued = self.memory[thread].state == State::Ready && self.memory[thread].link.is_queued();
        if queued {
            self.dequeue(thread);
        }
        self.memory[thread].priority = priority;
        if let Some(seat) = seat {
            self.memory[thread].seat = seat;
        }
        if queued {
            return self.make_ready(thread);
        }
        let Some(core) = self.running_on(thread) else { return NextThread::Same };
        if self.core_of(thread) == Some(core) {
            return if core == self.me { NextThread::Pick } else { self.poke(core) };
        }
        // It runs on a core that is not its own any more: it leaves that core first.
        if thread == caller.thread {
            self.memory[thread].frame.set_answer([0; 5]);
            self.here().current = None;
            self.enqueue(thread, End::Back);
            if let Some(core) = self.core_of(thread) {
                let _ = self.poke(core);
            }
            return NextThread::Pick;
        }
        self.poke(core)
    }

    fn poke(&self, core: CoreId) -> NextThread {
        send_ipi(core, Vector::RESCHEDULE);
        NextThread::Same
    }

    fn bind_notification(
        &mut self,
        caller: &Caller,
        thread: Ref<Thread>,
        handle: Handle,
    ) -> Result<(), Error> {
        let found = match handle {
            Handle::NONE => None,
            handle => Some(self.argument(caller, handle, Kind::Notification, Rights::RECEIVE)?),
        };
        let notification = found.map(|found| Ref::<Notification>::at(object_of(&found.capability)));
        if let Some(notification) = notification
            && self.bound_thread(notification).is_some_and(|bound| bound != thread)
        {
            return Err(Error::AlreadyBound);
        }
        let own = thread.own(Own::Notification);
        match &found {
            Some(found) => self.adopt(own, found)?,
            None => self.drop_own(own)?,
        }
        if let Some(old) = self.memory[thread].bound.take() {
            self.memory[old].bound = None;
        }
        if let Some(notification) = notification {
            self.memory[notification].bound = Some(thread);
            self.memory[thread].bound = Some(notification);
        }
        Ok(())
    }

    fn state_of(&self, thread: Ref<Thread>) -> ThreadState {
        if self.memory[thread].guest.is_some() {
            return ThreadState::InGuest;
        }
        match self.memory[thread].state {
            State::Stopped if self.check_configured(thread).is_err() => ThreadState::Inactive,
            State::Stopped => ThreadState::Suspended,
            State::Ready => ThreadState::Runnable,
            State::Calling(_) | State::AwaitingReply(_) if self.memory[thread].pending == Pending::Fault => {
                ThreadState::Faulted
            }
            State::Calling(_) | State::AwaitingReply(_) => ThreadState::Calling,
            State::Receiving(..) => ThreadState::Receiving,
            State::Waiting(_) => ThreadState::Waiting,
            State::Faulted => ThreadState::Faulted,
        }
    }
}
