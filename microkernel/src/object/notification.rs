//! Notification: a word of bits to signal and to wait for.

use caps::{Error, Kind};
use idl::kernel::notification::Call;
use idl::types::Bits;

use super::Methods;
use crate::arch::Vector;
use crate::arch::send_ipi;
use crate::counters::count;
use crate::kernel::Kernel;
use crate::machine;
use crate::memory::{Header, Object, Ref};
use crate::object::thread::{Own, State, Thread};
use crate::outcome::{Answer, NextThread, Outcome};
use crate::queue::Queue;
use crate::syscall::{Caller, object_of};

/// Bytes that retype carves for a notification.
pub const SIZE: u64 = 64;

/// A notification. While threads wait, `bits` is 0.
#[repr(C, align(64))]
pub struct Notification {
    header: Header,
    /// What was signalled and not yet waited for.
    pub bits: u64,
    /// Threads that wait.
    pub waiters: Queue,
    /// The thread that a signal wakes while it receives from an endpoint.
    pub bound: Option<Ref<Thread>>,
    /// Whether shares may have doorbell bits for this notification, so that a wait looks there too.
    pub doorbells: bool,
    /// The next notification whose waiters are to be woken because it has gone.
    pub next_dying: Option<Ref<Notification>>,
}

const _: () = assert!(size_of::<Notification>() as u64 <= SIZE);

// SAFETY: repr(C), the header first, and the size fits what retype carves.
unsafe impl Object for Notification {
    const KIND: Kind = Kind::Notification;
    const HEADER: usize = 0;
}

impl Notification {
    /// A notification without bits.
    pub const NEW: Self = Self {
        header: Header::new(Kind::Notification),
        bits: 0,
        waiters: Queue::EMPTY,
        bound: None,
        doorbells: false,
        next_dying: None,
    };
}

/// A call of a Notification, checked.
pub enum Request {
    /// Sets these bits.
    Signal(Ref<Notification>, u64),
    /// Waits for any.
    Wait(Ref<Notification>),
}

impl Methods for Call {
    type Request = Request;

    #[inline(always)]
    fn decode(self, _: &Kernel, caller: &Caller) -> Result<Request, Error> {
        let capability = &caller.found.capability;
        let notification = Ref::<Notification>::at(object_of(capability));
        Ok(match self {
            // A badge stands for the bits that its capability sets.
            Call::Signal { bits: Bits(bits) } if capability.badge == 0 => Request::Signal(notification, bits),
            Call::Signal { .. } => Request::Signal(notification, capability.badge),
            Call::Wait => Request::Wait(notification),
        })
    }

    #[inline(always)]
    fn perform(request: Request, kernel: &mut Kernel, caller: &Caller) -> Outcome {
        match request {
            Request::Signal(notification, bits) => {
                Outcome::Answered(Answer::NOTHING, kernel.signal(notification, bits))
            }
            Request::Wait(notification) => {
                if let Some(bits) = kernel.take_bits(notification) {
                    return Answer::of(bits).into();
                }
                kernel.memory[caller.thread].state = State::Waiting(notification);
                kernel.memory.change_queue(
                    notification,
                    |it| &mut it.waiters,
                    |q, memory| q.push_back(memory, caller.thread),
                );
                Outcome::Deferred(kernel.wait_until(caller.thread, caller.deadline))
            }
        }
    }
}

impl Kernel {
    /// Sets bits and wakes whoever waits for them: a waiter, or the bound thread while it receives or is in a
    /// guest.
    #[inline]
    pub fn signal(&mut self, notification: Ref<Notification>, bits: u64) -> NextThread {
        if bits == 0 {
            return NextThread::Same;
        }
        crate::arch::x86_64::testing::bench_padding();
        count(&mut self.here().counters.signals);
        if let Some(waiter) = self.memory[notification].waiters.first() {
            self.unblock(waiter);
            self.memory[waiter].frame.set_answer(Answer::of(bits).words);
            return self.make_ready(waiter);
        }
        let Some(bound) = self.bound_thread(notification) else {
            self.memory[notification].bits |= bits;
            return NextThread::Same;
        };
        if let State::Receiving(..) = self.memory[bound].state {
            self.unblock(bound);
            self.memory[bound].frame.set_signal(bits);
            return self.make_ready(bound);
        }
        self.memory[notification].bits |= bits;
        if self.memory[bound].guest.is_some()
            && let Some(core) = self.running_on(bound)
            && core != self.me
        {
            send_ipi(core, Vector::RESCHEDULE);
        }
        NextThread::Same
    }

    /// Takes all bits that are set, those of doorbells among them.
    fn take_bits(&mut self, notification: Ref<Notification>) -> Option<u64> {
        let mut bits = core::mem::take(&mut self.memory[notification].bits);
        if self.memory[notification].doorbells {
            bits |= machine::take_doorbell_bits(self, notification);
        }
        (bits != 0).then_some(bits)
    }

    /// Whether a signal may be there for a thread that is about to receive.
    #[must_use]
    #[inline(always)]
    pub fn may_be_signalled(&self, thread: Ref<Thread>) -> bool {
        self.memory[thread].bound.is_some()
            && self.bound_notification(thread).is_some_and(|it| {
                let bound = &self.memory[it];
                bound.bits != 0 || bound.doorbells
            })
    }

    /// Takes the bits of the notification that is bound to a thread.
    #[inline(always)]
    pub fn take_bound_bits(&mut self, thread: Ref<Thread>) -> Option<u64> {
        self.memory[thread].bound?;
        let notification = self.bound_notification(thread)?;
        self.take_bits(notification)
    }

    /// The thread that a notification is bound to, unless the capability by which it was bound has gone.
    #[must_use]
    pub fn bound_thread(&self, notification: Ref<Notification>) -> Option<Ref<Thread>> {
        let thread = self.memory[notification].bound?;
        self.bound_notification(thread).map(|_| thread)
    }

    /// The notification that is bound to a thread, unless the capability by which it was bound has gone.
    #[must_use]
    #[inline]
    pub fn bound_notification(&self, thread: Ref<Thread>) -> Option<Ref<Notification>> {
        let notification = self.memory[thread].bound?;
        self.own_capability(thread, Own::Notification, Kind::Notification).map(|_| notification)
    }

    /// Binds a notification to a thread, or none, in place of what was bound to either.
    pub fn bind_notification(&mut self, thread: Ref<Thread>, notification: Option<Ref<Notification>>) {
        if let Some(old) = self.memory[thread].bound.take() {
            self.memory[old].bound = None;
        }
        let Some(notification) = notification else { return };
        if let Some(old) = self.memory[notification].bound.replace(thread) {
            self.memory[old].bound = None;
        }
        self.memory[thread].bound = Some(notification);
    }

    /// Whether bits are set that a wait would take; they stay.
    pub fn pending_bits(&mut self, notification: Ref<Notification>) -> bool {
        match self.take_bits(notification) {
            Some(bits) => {
                self.memory[notification].bits = bits;
                true
            }
            None => false,
        }
    }
}
