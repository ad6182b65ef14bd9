//! The short way of a short message: a call that a receiver waits for, and an answer that its caller waits for, of at
//! most five words, on one core, without a deadline.
//!
//! It does what [`crate::ipc`] does in these cases and nothing else. Whatever is not as it should be for that (an
//! error to be reported, a longer message, another core, a signal that may be pending, a removal that goes on) is left
//! to the long way, before anything has been changed.

use caps::{Handle, Kind, Rights};
use idl::abi::{MessageTag, OpWord, REGISTER_WORDS, ResultWord};
use idl::kernel::endpoint::{CALL, REPLY_RECEIVE};
use idl::message::FIRST_KERNEL_LABEL;

use crate::kernel::Kernel;
use crate::memory::Ref;
use crate::object::endpoint::Endpoint;
use crate::object::reply::{Reply, Use};
use crate::object::thread::{Pending, State, Thread};
use crate::outcome::NextThread;
use crate::types::PhysAddr;

/// The op words of the two methods, without a message.
const CALLING: u64 = OpWord::new(Kind::Endpoint, CALL).0;
const ANSWERING: u64 = OpWord::new(Kind::Endpoint, REPLY_RECEIVE).0;
/// Where an op word says nothing of a message: method and kind.
const METHOD_AND_KIND: u64 = 0xffff;

impl Kernel {
    /// Carries out the current thread's system call if the short way will do; else changes nothing.
    #[inline]
    pub fn express(&mut self, thread: Ref<Thread>, op: OpWord) -> Option<NextThread> {
        match op.0 & METHOD_AND_KIND {
            CALLING => self.express_call(thread, op),
            ANSWERING => self.express_answer(thread, op),
            _ => None,
        }
    }

    fn express_call(&mut self, sender: Ref<Thread>, op: OpWord) -> Option<NextThread> {
        let from = &self.memory[sender];
        let tag = short(op)?;
        let words = from.frame.message_words();
        let table = from.table()?;
        if from.frame.r12 != 0 || self.forest.is_removing() {
            return None;
        }
        let handle = Handle(from.frame.rdi);
        let (object, badge) = self.forest.peek(&self.memory, table, handle, Kind::Endpoint, Rights::CALL)?;
        let endpoint = Ref::<Endpoint>::at(PhysAddr(object));
        let receiver = self.memory[endpoint].receivers.first()?;
        let to = &self.memory[receiver];
        let State::Receiving(_, reply) = to.state else { return None };
        if to.deadline.is_present() || self.seats[to.seat.index()] != Some(self.me) {
            return None;
        }
        self.memory.change_queue(endpoint, |it| &mut it.receivers, |q, memory| q.remove(memory, receiver));
        let from = &mut self.memory[sender];
        from.pending = Pending::Call;
        from.badge = badge;
        from.state = State::AwaitingReply(reply);
        self.memory[reply].use_ = Use::Pending(sender);
        self.hand_words_over(receiver, tag, words, badge);
        Some(NextThread::Switch(receiver))
    }

    fn express_answer(&mut self, server: Ref<Thread>, op: OpWord) -> Option<NextThread> {
        let from = &self.memory[server];
        let tag = short(op)?;
        let words = from.frame.message_words();
        let table = from.table()?;
        if from.frame.r12 != 0 || from.bound.is_some() || self.forest.is_removing() {
            return None;
        }
        let (at, with) = (Handle(from.frame.rdi), Handle(from.frame.r13));
        let (object, _) = self.forest.peek(&self.memory, table, at, Kind::Endpoint, Rights::RECEIVE)?;
        let endpoint = Ref::<Endpoint>::at(PhysAddr(object));
        let (object, _) = self.forest.peek(&self.memory, table, with, Kind::Reply, Rights::CALL)?;
        let reply = Ref::<Reply>::at(PhysAddr(object));
        let Use::Pending(caller) = self.memory[reply].use_ else { return None };
        let to = &self.memory[caller];
        let waits_here = to.pending == Pending::Call
            && !to.deadline.is_present()
            && self.seats[to.seat.index()] == Some(self.me);
        if !waits_here || !self.memory[endpoint].callers.is_empty() {
            return None;
        }
        self.memory[caller].pending = Pending::Nothing;
        self.hand_words_over(caller, tag, words, 0);
        self.memory[reply].use_ = Use::Offered(server);
        self.memory[server].state = State::Receiving(endpoint, reply);
        self.memory.change_queue(endpoint, |it| &mut it.receivers, |q, memory| q.push_back(memory, server));
        Some(NextThread::Switch(caller))
    }

    /// Puts a message into the registers of a thread, which is ready from now on.
    #[inline]
    fn hand_words_over(
        &mut self,
        to: Ref<Thread>,
        tag: MessageTag,
        words: [u64; REGISTER_WORDS],
        badge: u64,
    ) {
        let to = &mut self.memory[to];
        to.frame.set_message_words(words);
        to.frame.rdi = badge;
        to.frame.rax = ResultWord::message(tag.label, tag.words, tag.caps).0;
        to.state = State::Ready;
        self.here().counters.messages += 1;
    }
}

/// What a sound op word says of a message that fits in registers.
#[inline]
fn short(op: OpWord) -> Option<MessageTag> {
    let tag = op.tag();
    let sound = op.check().is_ok() && !tag.is_long() && tag.label < FIRST_KERNEL_LABEL;
    sound.then_some(tag)
}
