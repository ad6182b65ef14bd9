//! Thread: configuring, starting, stopping, looking at registers.

mod state;

use caps::{Child, Error, Found, Handle, Kind, Rights};
use idl::abi::Registers;
use idl::kernel::thread::{Call, ThreadInfo};
use idl::types::{Badge, PageIndex, ThreadState};

pub use state::{Own, Pending, SIZE, State, Thread};

use super::Methods;
use crate::arch::Vector;
use crate::arch::send_ipi;
use crate::arch::x86_64::frame::Frame;
use crate::kernel::Kernel;
use crate::limits::PAGE;
use crate::memory::Ref;
use crate::object::notification::Notification;
use crate::outcome::{Answer, NextThread, Outcome};
use crate::scheduler::End;
use crate::syscall::{Caller, object_of};
use crate::types::{CoreId, PhysAddr, Priority, Ticks};

/// A call of a Thread, checked.
pub enum Request {
    /// Gives it what it uses.
    Configure(Configuration),
    /// Lets it begin, with this entry, stack pointer and argument.
    Start(u64, u64, u64),
    /// Stops it.
    Suspend,
    /// Lets it go on.
    Resume,
    /// Changes its urgency and, if one is given, its seat.
    Schedule(Priority, Option<CoreId>),
    /// Sets where its faults go, and the badge that they carry; or takes the handler away.
    FaultHandler(Option<(Child, u64)>),
    /// Binds this notification, or none.
    Bind(Option<(Child, Ref<Notification>)>),
    /// Writes its registers into this message page.
    ReadRegisters(PhysAddr),
    /// Sets its registers, and its vector state to what this message page holds.
    WriteRegisters(Registers, PhysAddr),
    /// Lets others run first.
    Yield,
    /// Says this.
    Info(ThreadInfo),
}

/// What a thread is to use.
pub struct Configuration {
    table: Child,
    space: Child,
    /// The region of its message page.
    message: Option<Child>,
    /// Where in the region the page begins.
    offset: u64,
}

impl Methods for Call {
    type Request = Request;

    #[inline(always)]
    fn decode(self, kernel: &Kernel, caller: &Caller) -> Result<Request, Error> {
        let thread = target(caller);
        let state = kernel.memory[thread].state;
        Ok(match self {
            Call::Configure { table, space, region, page } => {
                kernel.check_stopped(thread)?;
                Request::Configure(configuration(kernel, caller, (table, space), (region, page))?)
            }
            Call::Start { entry, stack, argument } => {
                kernel.check_stopped(thread)?;
                if entry.0 >= idl::abi::USER_END || stack.0 > idl::abi::USER_END {
                    return Err(Error::BadRange);
                }
                kernel.check_configured(thread)?;
                Request::Start(entry.0, stack.0, argument)
            }
            Call::Suspend if state == State::Stopped => return Err(Error::WrongState),
            Call::Suspend => Request::Suspend,
            Call::Resume if !matches!(state, State::Stopped | State::Faulted) => {
                return Err(Error::WrongState);
            }
            Call::Resume => {
                kernel.check_configured(thread)?;
                Request::Resume
            }
            Call::Schedule { priority, core } => {
                let core = match core {
                    Handle::NONE => None,
                    core => Some(kernel.argument(caller, core, Kind::Core, Rights::READ)?),
                };
                let seat = core.and_then(|core| u8::try_from(core.capability.badge).ok()).map(CoreId);
                Request::Schedule(Priority(priority.number()), seat)
            }
            Call::FaultHandler { endpoint: Handle::NONE, badge: _ } => Request::FaultHandler(None),
            Call::FaultHandler { endpoint, badge: Badge(badge) } => {
                let endpoint = kernel.argument(caller, endpoint, Kind::Endpoint, Rights::CALL)?;
                let handler = kernel.adoption(thread.own(Own::FaultHandler), &endpoint)?;
                Request::FaultHandler(Some((handler, badge)))
            }
            Call::Bind { notification: Handle::NONE } => Request::Bind(None),
            Call::Bind { notification } => {
                let found = kernel.argument(caller, notification, Kind::Notification, Rights::RECEIVE)?;
                let notification = Ref::<Notification>::at(object_of(&found.capability));
                if kernel.bound_thread(notification).is_some_and(|bound| bound != thread) {
                    return Err(Error::AlreadyBound);
                }
                let child = kernel.adoption(thread.own(Own::Notification), &found)?;
                Request::Bind(Some((child, notification)))
            }
            Call::ReadRegisters => {
                let page = kernel.page_of(caller)?;
                kernel.check_standing(thread)?;
                Request::ReadRegisters(page)
            }
            Call::WriteRegisters => {
                let page = kernel.page_of(caller)?;
                kernel.check_settable(thread)?;
                Request::WriteRegisters(kernel.memory.registers_in(page)?, page)
            }
            Call::Yield if thread != caller.thread => return Err(Error::WrongState),
            Call::Yield => Request::Yield,
            Call::Info => Request::Info(ThreadInfo {
                state: kernel.state_of(thread),
                ticks: idl::types::Ticks(kernel.memory[thread].ran.0),
            }),
        })
    }

    #[inline(always)]
    fn perform(request: Request, kernel: &mut Kernel, caller: &Caller) -> Outcome {
        let thread = target(caller);
        let next = match request {
            Request::Configure(Configuration { table, space, message, offset }) => {
                kernel.adopt(table);
                kernel.adopt(space);
                kernel.adopt_or_drop(thread.own(Own::Message), message);
                kernel.memory[thread].message_offset = offset;
                NextThread::Same
            }
            Request::Start(entry, stack, argument) => {
                // It begins outside whatever guest it was stopped in.
                if let Some(guest) = kernel.memory[thread].guest.take() {
                    kernel.memory[guest].occupant = None;
                }
                kernel.memory[thread].frame = Frame::new(entry, stack, argument);
                kernel.here().counters.starts += 1;
                kernel.make_ready(thread)
            }
            Request::Suspend => return kernel.suspend(caller, thread),
            Request::Resume => kernel.let_go_on(thread),
            Request::Schedule(priority, seat) => kernel.reschedule(caller, thread, priority, seat),
            Request::FaultHandler(handler) => {
                let badge = handler.as_ref().map_or(0, |(_, badge)| *badge);
                kernel.adopt_or_drop(thread.own(Own::FaultHandler), handler.map(|(child, _)| child));
                kernel.memory[thread].fault_badge = badge;
                NextThread::Same
            }
            Request::Bind(bound) => {
                let notification = bound.as_ref().map(|(_, notification)| *notification);
                kernel.adopt_or_drop(thread.own(Own::Notification), bound.map(|(child, _)| child));
                kernel.bind_notification(thread, notification);
                NextThread::Same
            }
            Request::ReadRegisters(page) => {
                let Frame { registers, fx, .. } = kernel.memory[thread].frame;
                kernel.memory.put_registers(page, registers, fx, None);
                NextThread::Same
            }
            Request::WriteRegisters(registers, page) => {
                let fx = kernel.memory.vectors_in(page);
                kernel.memory[thread].frame.take_over(registers, fx);
                NextThread::Same
            }
            Request::Yield => {
                // As if its time slice were over.
                kernel.here().slice_end = Ticks(0);
                NextThread::Same
            }
            Request::Info(info) => return Answer::of(info).into(),
        };
        Outcome::Answered(Answer::NOTHING, next)
    }
}

/// The thread that is invoked.
fn target(caller: &Caller) -> Ref<Thread> {
    Ref::at(object_of(&caller.found.capability))
}

fn configuration(
    kernel: &Kernel,
    caller: &Caller,
    (table, space): (Handle, Handle),
    (region, page): (Handle, PageIndex),
) -> Result<Configuration, Error> {
    let thread = target(caller);
    let table = kernel.argument(caller, table, Kind::CSpace, Rights::DERIVE)?;
    let space = kernel.argument(caller, space, Kind::AddressSpace, Rights::DERIVE)?;
    let message = match region {
        Handle::NONE => None,
        region => {
            let rights = Rights::READ | Rights::WRITE | Rights::DERIVE;
            Some(kernel.argument(caller, region, Kind::Region, rights)?)
        }
    };
    let offset = u64::from(page.0) * PAGE;
    // Nor is a page of a window one: the kernel believes that nobody writes there but this subOS.
    let beyond = |message: &Found| offset >= message.capability.size || message.capability.badge != 0;
    if message.as_ref().is_some_and(beyond) {
        return Err(Error::BadRange);
    }
    let message = message.map(|message| kernel.adoption(thread.own(Own::Message), &message));
    Ok(Configuration {
        table: kernel.adoption(thread.own(Own::Table), &table)?,
        space: kernel.adoption(thread.own(Own::Space), &space)?,
        message: message.transpose()?,
        offset,
    })
}

impl Kernel {
    /// Whether a thread was never started, or was stopped and has left its core.
    fn check_stopped(&self, thread: Ref<Thread>) -> Result<(), Error> {
        let stopped = self.memory[thread].state == State::Stopped && self.running_on(thread).is_none();
        if stopped { Ok(()) } else { Err(Error::WrongState) }
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
    fn suspend(&mut self, caller: &Caller, thread: Ref<Thread>) -> Outcome {
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
            return Outcome::Deferred(NextThread::Pick);
        }
        Answer::NOTHING.into()
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
