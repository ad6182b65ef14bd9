//! Synchronous messages: call, send, receive, reply.
//!
//! A message's first five words are in registers; the others, and the capabilities that go along, are in the
//! message page. A short message between threads on one core takes the same way as any other, and that way is
//! short: look the endpoint up, copy five words, hand the core over.

use caps::{Error, Handle, Kind, Rights, SlotIndex};
use idl::abi::{MessageTag, OpWord, ResultWord, page};

use crate::kernel::Kernel;
use crate::memory::Ref;
use crate::object::endpoint::Endpoint;
use crate::object::reply::{Reply, Use};
use crate::object::thread::{Own, Pending, State, Thread};
use crate::outcome::{NextThread, Outcome};
use crate::types::{PhysAddr, Ticks};

/// Words of a message that travel in registers.
pub const REGISTER_WORDS: usize = 5;

/// What a sender sends, apart from its words.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// The endpoint.
    pub endpoint: Ref<Endpoint>,
    /// The badge of the capability used.
    pub badge: u64,
    /// Whether an answer is expected.
    pub pending: Pending,
    /// When to give up.
    pub deadline: Option<Ticks>,
}

impl Kernel {
    /// Checks what a message claims about its size before anything is done with it.
    pub fn check_message(&self, sender: Ref<Thread>, tag: MessageTag) -> Result<(), Error> {
        let long = tag.words() > REGISTER_WORDS || tag.caps() > 0;
        if long && self.message_page(sender).is_none() {
            return Err(Error::NotConfigured);
        }
        if tag.words() > page::WORDS || tag.caps() > page::CAPS {
            return Err(Error::TooLong);
        }
        Ok(())
    }

    /// The physical page that is a thread's message page.
    #[must_use]
    pub fn message_page(&self, thread: Ref<Thread>) -> Option<PhysAddr> {
        let cap = self.own_capability(thread, Own::Message, Kind::Region)?;
        Some(PhysAddr(cap.object).plus(self.memory[thread].message_offset))
    }

    /// The current thread, or one that made a fault, sends to an endpoint: to a thread that waits there, else it
    /// queues.
    pub fn send(&mut self, sender: Ref<Thread>, sending: Sending) -> Result<Outcome, Error> {
        let endpoint = sending.endpoint;
        self.memory[sender].badge = sending.badge;
        self.memory[sender].pending = sending.pending;
        let mut receivers = self.memory[endpoint].receivers;
        if let Some(receiver) = receivers.pop_front(&mut self.memory) {
            self.memory[endpoint].receivers = receivers;
            let State::Receiving(_, reply) = self.memory[receiver].state else {
                panic!("a thread in a receivers' queue receives");
            };
            return Ok(Outcome::Deferred(self.rendezvous(sender, receiver, reply)));
        }
        if sending.deadline.is_some_and(|deadline| deadline <= self.now) {
            self.memory[sender].pending = Pending::Nothing;
            return Err(Error::TimedOut);
        }
        self.memory[sender].state = State::Calling(endpoint);
        let mut callers = self.memory[endpoint].callers;
        callers.push_back(&mut self.memory, sender);
        self.memory[endpoint].callers = callers;
        self.set_deadline(sender, sending.deadline);
        Ok(Outcome::Deferred(NextThread::Pick))
    }

    /// Hands the sender's message to the receiver. Neither is in a queue any more.
    fn rendezvous(&mut self, sender: Ref<Thread>, receiver: Ref<Thread>, reply: Ref<Reply>) -> NextThread {
        let badge = self.memory[sender].badge;
        let tag = OpWord(self.memory[sender].frame.rax).tag();
        self.transfer(sender, receiver, tag, badge);
        match self.memory[sender].pending {
            Pending::Send => {
                self.memory[reply].use_ = Use::Idle;
                self.memory[sender].frame.rax = 0;
                self.memory[sender].pending = Pending::Nothing;
                let woken = if self.memory[sender].state == State::Ready {
                    NextThread::Same
                } else {
                    self.make_ready(sender)
                };
                woken.and(if receiver_is_current(self, receiver) {
                    NextThread::Same
                } else {
                    self.make_ready(receiver)
                })
            }
            _ => {
                self.memory[reply].use_ = Use::Pending(sender);
                self.memory[sender].state = State::AwaitingReply(reply);
                self.deadlines_keep(sender);
                if receiver_is_current(self, receiver) { NextThread::Same } else { self.hand_over(receiver) }
            }
        }
    }

    /// A caller that waits for an answer keeps its deadline: it bounds the whole call.
    fn deadlines_keep(&mut self, _caller: Ref<Thread>) {}

    /// The current thread waits for a message, with this reply object for the answer.
    pub fn receive(
        &mut self,
        receiver: Ref<Thread>,
        endpoint: Ref<Endpoint>,
        reply: Ref<Reply>,
        deadline: Option<Ticks>,
    ) -> Result<NextThread, Error> {
        if self.message_page(receiver).is_none() {
            return Err(Error::NotConfigured);
        }
        if self.memory[reply].use_ != Use::Idle {
            return Err(Error::Busy);
        }
        if let Some(bits) = self.take_bound_bits(receiver) {
            self.memory[receiver].frame.rax = ResultWord::NOTIFIED.0;
            self.memory[receiver].frame.rdi = bits;
            return Ok(NextThread::Same);
        }
        let mut callers = self.memory[endpoint].callers;
        if let Some(caller) = callers.pop_front(&mut self.memory) {
            self.memory[endpoint].callers = callers;
            return Ok(self.rendezvous(caller, receiver, reply));
        }
        if deadline.is_some_and(|deadline| deadline <= self.now) {
            return Err(Error::TimedOut);
        }
        self.memory[reply].use_ = Use::Offered(receiver);
        self.memory[receiver].state = State::Receiving(endpoint, reply);
        let mut receivers = self.memory[endpoint].receivers;
        receivers.push_back(&mut self.memory, receiver);
        self.memory[endpoint].receivers = receivers;
        self.set_deadline(receiver, deadline);
        Ok(NextThread::Pick)
    }

    /// The current thread answers whoever waits for this reply.
    pub fn reply(
        &mut self,
        replier: Ref<Thread>,
        reply: Ref<Reply>,
        tag: MessageTag,
    ) -> Result<NextThread, Error> {
        let Use::Pending(caller) = self.memory[reply].use_ else { return Err(Error::NotPending) };
        let long = tag.words() > REGISTER_WORDS || tag.caps() > 0;
        if long && self.memory[caller].pending == Pending::Call && self.message_page(caller).is_none() {
            return Err(Error::TooLong);
        }
        self.memory[reply].use_ = Use::Idle;
        if self.memory[caller].pending == Pending::Call {
            self.transfer(replier, caller, tag, 0);
        }
        self.memory[caller].pending = Pending::Nothing;
        Ok(self.hand_over(caller))
    }

    /// Copies a message: words, and capabilities as children of the sender's.
    fn transfer(&mut self, from: Ref<Thread>, to: Ref<Thread>, tag: MessageTag, badge: u64) {
        let words = self.memory[from].frame.message_words();
        let frame = &mut self.memory[to].frame;
        frame.set_message_words(words);
        frame.rdi = badge;
        let mut received = 0;
        if (tag.words() > REGISTER_WORDS || tag.caps() > 0)
            && let (Some(source), Some(target)) = (self.message_page(from), self.message_page(to))
        {
            if tag.words() > REGISTER_WORDS {
                self.memory.copy_words(source, target, REGISTER_WORDS..tag.words());
            }
            received = self.transfer_capabilities((from, source), (to, target), tag.caps());
        }
        self.memory[to].frame.rax = ResultWord::message(tag.label(), tag.words(), received).0;
        self.here().counters.messages += 1;
    }

    /// Derives each capability that goes along into the slot that the receiver named for it. One that cannot be
    /// handed over (gone by now, no right to derive, slot taken) arrives as [`Handle::NONE`].
    fn transfer_capabilities(
        &mut self,
        (from, source): (Ref<Thread>, PhysAddr),
        (to, target): (Ref<Thread>, PhysAddr),
        count: usize,
    ) -> usize {
        for index in 0..count {
            let handle = Handle(self.memory.page(source)[page::SEND_CAPS + index]);
            let pair = self.memory.page(target)[page::RECEIVE_SLOTS + index / 2];
            let slot = SlotIndex((pair >> (32 * (index % 2)) & 0xffff_ffff) as u32);
            let arrived = self.derive_across(from, handle, to, slot).unwrap_or(Handle::NONE);
            self.memory.page_mut(target)[page::RECEIVED_CAPS + index] = arrived.0;
        }
        count
    }

    fn derive_across(
        &mut self,
        from: Ref<Thread>,
        handle: Handle,
        to: Ref<Thread>,
        slot: SlotIndex,
    ) -> Result<Handle, Error> {
        let source_table = self.table_of(from)?;
        let target_table = self.table_of(to)?;
        let found = self.find(source_table, handle, Rights::DERIVE)?;
        let dest = target_table.slot(slot).ok_or(Error::OutOfRange)?;
        self.derive(found.slot, dest, Rights::all(), None)?;
        Ok(self.handle_of(target_table, slot))
    }

    /// A blocked thread is woken because what it waited for cannot come any more, or not in time.
    pub fn cancel(&mut self, thread: Ref<Thread>, why: Error) -> NextThread {
        self.unblock(thread);
        if self.memory[thread].pending != Pending::Fault {
            self.memory[thread].frame.rax = ResultWord::error(why).0;
            self.memory[thread].pending = Pending::Nothing;
            return self.make_ready(thread);
        }
        // Its fault handler is gone: it stays as it is, and its subOS's supervisor hears of it.
        self.memory[thread].pending = Pending::Nothing;
        self.memory[thread].state = State::Faulted;
        self.report_unhandled(thread);
        NextThread::Same
    }

    /// Takes a thread out of whatever it waits in. Its state is the caller's to set.
    pub fn unblock(&mut self, thread: Ref<Thread>) {
        self.deadlines.remove(&mut self.memory, thread);
        match self.memory[thread].state {
            State::Calling(endpoint) => {
                let mut callers = self.memory[endpoint].callers;
                callers.remove(&mut self.memory, thread);
                self.memory[endpoint].callers = callers;
            }
            State::Receiving(endpoint, reply) => {
                let mut receivers = self.memory[endpoint].receivers;
                receivers.remove(&mut self.memory, thread);
                self.memory[endpoint].receivers = receivers;
                self.memory[reply].use_ = Use::Idle;
            }
            State::AwaitingReply(reply) => self.memory[reply].use_ = Use::Idle,
            State::Waiting(notification) => {
                let mut waiters = self.memory[notification].waiters;
                waiters.remove(&mut self.memory, thread);
                self.memory[notification].waiters = waiters;
            }
            State::Ready => self.dequeue(thread),
            State::Stopped | State::Faulted => {}
        }
    }

    /// Records when a blocked thread is to be woken at the latest.
    pub fn set_deadline(&mut self, thread: Ref<Thread>, deadline: Option<Ticks>) {
        if let Some(at) = deadline {
            self.deadlines.insert(&mut self.memory, thread, at);
            self.tell_timekeeper(at);
        }
    }
}

fn receiver_is_current(kernel: &Kernel, receiver: Ref<Thread>) -> bool {
    kernel.current() == Some(receiver)
}
