//! Synchronous messages: call, send, receive, reply.
//!
//! A message's first five words are in registers; the others, and the capabilities that go along, are in the
//! message page. A short message takes the same way as any other, and that way is short: look the endpoint up,
//! copy five words, hand the core over.
//!
//! What can be refused is refused before anything here changes (`check_...`). How a wait ends is another matter: one
//! whose deadline has passed ends at once, as it would a moment later.

use caps::{Error, Handle, Kind, Rights, SlotIndex, SlotRef, Slots};
use idl::abi::page::{RECEIVE_SLOTS, RECEIVED_CAPS, SEND_CAPS, SEND_MOVES};
use idl::abi::{MESSAGE_CAPS, MESSAGE_WORDS, MessageTag, OpWord, REGISTER_WORDS, ResultWord};
use idl::message::FAULT_LABEL;

use crate::counters::count;
use crate::kernel::Kernel;
use crate::limits::CANCEL_BUDGET;
use crate::machine;
use crate::memory::{Memory, Ref};
use crate::object::endpoint::Endpoint;
use crate::object::reply::{Reply, Use};
use crate::object::thread::{Own, Pending, State, Thread};
use crate::outcome::NextThread;
use crate::queue::Queue;
use crate::types::{PhysAddr, Ticks};

/// What an op word says of the message that goes with it, checked. `TooLong`: it claims more than fits;
/// `InvalidArgument`: its label is the kernel's own.
pub fn message_tag(op: OpWord) -> Result<MessageTag, Error> {
    let tag = op.tag();
    if usize::from(tag.words) > MESSAGE_WORDS || usize::from(tag.caps) > MESSAGE_CAPS {
        return Err(Error::TooLong);
    }
    if tag.label >= idl::message::FIRST_KERNEL_LABEL {
        return Err(Error::InvalidArgument);
    }
    Ok(tag)
}

/// What the message of a fault is like.
pub const FAULT_TAG: MessageTag = MessageTag { label: FAULT_LABEL, words: 5, caps: 0 };

/// A call or a send, checked.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// The endpoint.
    pub endpoint: Ref<Endpoint>,
    /// The badge of the capability used.
    pub badge: u64,
    /// Where the capability used is; none for a fault, which is told to the end.
    pub through: Option<SlotRef>,
    /// What the message is like, checked. It is kept with the thread: its registers may be rewritten while it queues.
    pub tag: MessageTag,
    /// Whether an answer is expected.
    pub pending: Pending,
    /// When to give up.
    pub deadline: Option<Ticks>,
}

/// What the receiver gets of a capability that goes along.
#[derive(Clone, Copy)]
enum Given {
    /// A copy, which the sender can take back.
    ACopy,
    /// The capability itself, which the sender has no more.
    Itself,
}

impl Kernel {
    /// The physical page that is a thread's message page.
    #[must_use]
    #[inline(never)]
    pub fn message_page(&self, thread: Ref<Thread>) -> Option<PhysAddr> {
        let capability = self.own_capability(thread, Own::Message, Kind::Region)?;
        Some(PhysAddr(capability.object).plus(self.memory[thread].message_offset))
    }

    /// A long message goes through a message page at either end; `lacking` says whose is missing.
    #[inline]
    fn check_page(&self, end: Ref<Thread>, tag: MessageTag, lacking: Error) -> Result<(), Error> {
        if tag.is_long() && self.message_page(end).is_none() { Err(lacking) } else { Ok(()) }
    }

    /// Whether a thread can send such a message.
    #[inline]
    pub fn check_outgoing(&self, sender: Ref<Thread>, tag: MessageTag) -> Result<(), Error> {
        self.check_page(sender, tag, Error::NotConfigured)
    }

    /// Whether such a message can be handed to who receives there, if anybody does.
    #[inline]
    pub fn check_receiver(&self, endpoint: Ref<Endpoint>, tag: MessageTag) -> Result<(), Error> {
        let receiver = self.memory[endpoint].receivers.first();
        receiver.map_or(Ok(()), |receiver| self.check_page(receiver, tag, Error::TooLong))
    }

    /// Whether such an answer can be given to who waits for it. A fault is answered by the fact alone.
    #[inline]
    pub fn check_answer(&self, waiting: Ref<Thread>, tag: MessageTag) -> Result<(), Error> {
        let takes_it = self.memory[waiting].pending == Pending::Call;
        if takes_it { self.check_page(waiting, tag, Error::TooLong) } else { Ok(()) }
    }

    /// The message that a thread sends: its own, or its fault's.
    #[inline(always)]
    fn outgoing(&self, sender: Ref<Thread>) -> (MessageTag, [u64; REGISTER_WORDS]) {
        let thread = &self.memory[sender];
        if thread.pending == Pending::Fault {
            let words = thread.fault.map_or([0; 5], |fault| fault.message_words(thread.frame.registers.rip));
            return (FAULT_TAG, words);
        }
        (thread.tag, thread.frame.message_words())
    }

    /// Sends to an endpoint, on behalf of the current thread or of one that made a fault: to a thread that waits
    /// there, else it queues.
    #[inline(always)]
    pub fn send(&mut self, sender: Ref<Thread>, sending: Sending) -> NextThread {
        crate::arch::x86_64::testing::bench_padding();
        let endpoint = sending.endpoint;
        let from = &mut self.memory[sender];
        from.pending = sending.pending;
        from.tag = sending.tag;
        from.badge = sending.badge;
        let Some(receiver) = self.memory[endpoint].receivers.first() else {
            self.remember_way(sender, sending.through);
            self.memory[sender].state = State::Calling(endpoint);
            self.memory.change_queue(endpoint, |it| &mut it.callers, |q, memory| q.push_back(memory, sender));
            return self.wait_until(sender, sending.deadline);
        };
        let State::Receiving(_, reply) = self.memory[receiver].state else {
            panic!("a thread in a receivers' queue receives");
        };
        let message = self.outgoing(sender);
        self.memory.take_first(endpoint, |it| &mut it.receivers);
        self.deliver(sender, receiver, reply, message);
        if sending.pending == Pending::Send {
            return self.make_ready(receiver);
        }
        self.set_deadline(sender, sending.deadline);
        self.hand_over(receiver)
    }

    /// Remembers through which slot a thread queues, and has that watched: it waits in vain when the capability leaves it.
    #[inline(never)]
    fn remember_way(&mut self, sender: Ref<Thread>, through: Option<SlotRef>) {
        if let Some(slot) = through {
            // The capability was found there, so there is something to watch.
            let _ = self.forest.watch(&mut self.memory, slot);
        }
        let through = through.map(|slot| (slot, self.memory.slot(slot).generation()));
        self.memory[sender].through = through;
    }

    /// Copies the sender's message to the receiver and remembers who waits for the answer. Neither is in a queue
    /// any more; the caller decides who runs.
    #[inline(always)]
    fn deliver(
        &mut self,
        sender: Ref<Thread>,
        receiver: Ref<Thread>,
        reply: Ref<Reply>,
        (tag, words): (MessageTag, [u64; REGISTER_WORDS]),
    ) {
        let from = &mut self.memory[sender];
        let badge = from.badge;
        self.memory[reply].use_ = if from.pending == Pending::Send {
            from.pending = Pending::Nothing;
            from.frame.registers.rax = ResultWord::OK.0;
            Use::Idle
        } else {
            from.state = State::AwaitingReply(reply);
            Use::Pending(sender)
        };
        self.transfer(sender, receiver, tag, words, badge);
    }

    /// The current thread waits for a message, with this idle reply object for the answer.
    #[inline(always)]
    pub fn receive(
        &mut self,
        receiver: Ref<Thread>,
        endpoint: Ref<Endpoint>,
        reply: Ref<Reply>,
        deadline: Option<Ticks>,
    ) -> NextThread {
        if let Some(bits) = self.take_bound_bits(receiver).filter(|_| crate::journal::arrive(&self.forest)) {
            self.memory[receiver].frame.set_signal(bits);
            return NextThread::Same;
        }
        let mut woken = NextThread::Same;
        for _ in 0..CANCEL_BUDGET {
            let Some(caller) = self.memory[endpoint].callers.first() else { break };
            let message = self.outgoing(caller);
            if let Err(why) = self.check_pages(caller, receiver, message.0) {
                woken = woken.and(self.cancel(caller, why));
                continue;
            }
            self.memory.take_first(endpoint, |it| &mut it.callers);
            self.deliver(caller, receiver, reply, message);
            if self.memory[reply].use_ == Use::Idle {
                woken = woken.and(self.make_ready(caller));
            }
            return woken;
        }
        self.memory[reply].use_ = Use::Offered(receiver);
        self.memory[receiver].state = State::Receiving(endpoint, reply);
        self.memory.change_queue(endpoint, |it| &mut it.receivers, |q, memory| q.push_back(memory, receiver));
        self.wait_until(receiver, deadline)
    }

    /// Whether a message can go from one thread to another. The sender's page may have gone while it queued.
    #[inline(always)]
    fn check_pages(&self, sender: Ref<Thread>, receiver: Ref<Thread>, tag: MessageTag) -> Result<(), Error> {
        self.check_outgoing(sender, tag)?;
        self.check_page(receiver, tag, Error::TooLong)
    }

    /// The current thread answers who waits for this reply, as was checked.
    #[inline(always)]
    pub fn reply(
        &mut self,
        replier: Ref<Thread>,
        reply: Ref<Reply>,
        waiting: Ref<Thread>,
        tag: MessageTag,
    ) -> NextThread {
        self.memory[reply].use_ = Use::Idle;
        if self.memory[waiting].pending == Pending::Call {
            let words = self.memory[replier].frame.message_words();
            self.transfer(replier, waiting, tag, words, 0);
        }
        self.memory[waiting].pending = Pending::Nothing;
        self.hand_over(waiting)
    }

    /// The current thread answers who waits for this reply, if anybody does. An answer that does not fit is dropped,
    /// and its receiver told: the server's loop must not stop at one client's doing.
    #[inline(always)]
    pub fn reply_or_dismiss(
        &mut self,
        replier: Ref<Thread>,
        reply: Ref<Reply>,
        tag: MessageTag,
    ) -> NextThread {
        let Use::Pending(waiting) = self.memory[reply].use_ else { return NextThread::Same };
        match self.check_answer(waiting, tag) {
            Ok(()) => self.reply(replier, reply, waiting, tag),
            Err(why) => self.cancel(waiting, why),
        }
    }

    /// Copies a message: words, and for each capability a child of the sender's.
    #[inline(always)]
    fn transfer(
        &mut self,
        from: Ref<Thread>,
        to: Ref<Thread>,
        tag: MessageTag,
        words: [u64; REGISTER_WORDS],
        badge: u64,
    ) {
        if tag.is_long() {
            self.transfer_pages(from, to, tag);
        }
        let frame = &mut self.memory[to].frame;
        frame.set_message_words(words);
        frame.registers.rdi = badge;
        frame.registers.rax = ResultWord::message(tag.label, tag.words, tag.caps).0;
        count(&mut self.here().counters.messages);
    }

    /// Copies what goes through the message pages.
    #[inline(never)]
    fn transfer_pages(&mut self, from: Ref<Thread>, to: Ref<Thread>, tag: MessageTag) {
        let (Some(source), Some(target)) = (self.message_page(from), self.message_page(to)) else { return };
        let end = usize::from(tag.words);
        if end > REGISTER_WORDS {
            self.memory.copy_words(source, target, REGISTER_WORDS..end);
        }
        for index in 0..usize::from(tag.caps) {
            self.transfer_capability((from, source), (to, target), index);
        }
    }

    /// Derives one capability that goes along into the slot that the receiver named for it, or moves it there if the
    /// sender says so. One that cannot be handed over (gone by now, no right to derive, slot taken; to be moved, and
    /// something was derived from it) arrives as [`Handle::NONE`].
    fn transfer_capability(
        &mut self,
        (from, source): (Ref<Thread>, PhysAddr),
        (to, target): (Ref<Thread>, PhysAddr),
        index: usize,
    ) {
        let handle = Handle(self.memory.page(source)[SEND_CAPS + index]);
        let pair = self.memory.page(target)[RECEIVE_SLOTS + index / 2];
        let slot = u32::try_from(pair >> (32 * (index % 2)) & 0xffff_ffff).unwrap_or(0);
        let given =
            if self.memory.page(source)[SEND_MOVES] >> index & 1 == 0 { Given::ACopy } else { Given::Itself };
        let arrived = self.hand_on((from, handle), (to, SlotIndex(slot)), given).unwrap_or(Handle::NONE);
        self.memory.page_mut(target)[RECEIVED_CAPS + index] = arrived.0;
    }

    fn hand_on(
        &mut self,
        (from, handle): (Ref<Thread>, Handle),
        (to, slot): (Ref<Thread>, SlotIndex),
        given: Given,
    ) -> Result<Handle, Error> {
        let source_table = self.table_of(from)?;
        let target_table = self.table_of(to)?;
        let found = self.forest.lookup_any(&self.memory, source_table, handle)?;
        if !found.capability.rights.contains(Rights::DERIVE) {
            return Err(Error::MissingRight);
        }
        let (dest, arrived) = self.vacant(target_table, slot)?;
        match given {
            Given::Itself => {
                let passage = self.check_relocate(found.slot, dest)?;
                self.relocate(passage);
            }
            Given::ACopy => {
                let change = caps::Change::rights(found.capability.rights);
                let child = self.forest.check_derive(&self.memory, found.slot, dest, change)?;
                self.forest.grow(&mut self.memory, child);
            }
        }
        Ok(arrived)
    }

    /// A blocked thread is woken because what it waited for cannot come any more, or not in time.
    pub fn cancel(&mut self, thread: Ref<Thread>, why: Error) -> NextThread {
        self.unblock(thread);
        if self.memory[thread].pending == Pending::Fault {
            // Its fault handler has gone: it stays as it is, and the subOS's supervisor hears of it.
            self.memory[thread].pending = Pending::Nothing;
            self.memory[thread].state = State::Faulted;
            machine::report_unhandled(self, thread);
            return NextThread::Same;
        }
        self.memory[thread].frame.set_error(why);
        self.memory[thread].pending = Pending::Nothing;
        self.make_ready(thread)
    }

    /// Takes a thread out of whatever it waits in. Its state is the caller's to set.
    pub fn unblock(&mut self, thread: Ref<Thread>) {
        let leave = |queue: &mut Queue, memory: &mut Memory| queue.remove(memory, thread);
        self.deadlines.remove(&mut self.memory, thread);
        match self.memory[thread].state {
            State::Calling(endpoint) => {
                self.memory.change_queue(endpoint, |it| &mut it.callers, leave);
            }
            State::Receiving(endpoint, reply) => {
                self.memory.change_queue(endpoint, |it| &mut it.receivers, leave);
                self.memory[reply].use_ = Use::Idle;
            }
            State::AwaitingReply(reply) => self.memory[reply].use_ = Use::Idle,
            State::Waiting(notification) => {
                self.memory.change_queue(notification, |it| &mut it.waiters, leave);
            }
            State::Ready => self.dequeue(thread),
            State::Stopped | State::Faulted => {}
        }
    }

    /// The current thread, which queues somewhere by now, waits until this deadline at the latest: not at all if that
    /// has passed.
    #[inline(always)]
    pub fn wait_until(&mut self, thread: Ref<Thread>, deadline: Option<Ticks>) -> NextThread {
        if deadline.is_some_and(|deadline| deadline <= self.now) {
            self.unblock(thread);
            let thread = &mut self.memory[thread];
            thread.frame.set_error(Error::TimedOut);
            thread.pending = Pending::Nothing;
            thread.state = State::Ready;
            return NextThread::Same;
        }
        self.set_deadline(thread, deadline);
        NextThread::Pick
    }

    /// Records when a blocked thread is to be woken at the latest.
    pub fn set_deadline(&mut self, thread: Ref<Thread>, deadline: Option<Ticks>) {
        if let Some(at) = deadline {
            self.deadlines.insert(&mut self.memory, thread, at);
            self.tell_timekeeper(at);
        }
    }
}
