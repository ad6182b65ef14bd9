//! The short way of a short message: a call to a server that waits, and the answer that makes it wait again.
//!
//! It does what `ipc.rs` does, for two threads of one core with nothing out of the ordinary about either. All is looked at
//! before anything is changed; at the first thing that is not as it mostly is, the message takes the long way, as if the
//! short one had not been tried. So what a message *means* is said in `ipc.rs`, errors included, and here only that it
//! is brought.

use core::ptr::NonNull;

use caps::{Handle, Kind, Rights};
use idl::abi::{OpWord, REGISTER_WORDS, ResultWord};

use crate::arch::Frame;
use crate::counters::count;
use crate::departure::WayOut;
use crate::kernel::Kernel;
use crate::memory::Ref;
use crate::object::endpoint::Endpoint;
use crate::object::reply::{Reply, Use};
use crate::object::thread::{Pending, State, Thread};
use crate::syscall::object_of;
use crate::types::CoreId;

/// Whether the message is in registers whole, and its label a user's.
#[inline(always)]
pub fn is_short(op: OpWord) -> bool {
    // Above the number of words is what must be 0: capabilities, and bits that mean nothing.
    let words_and_more = (op.0 & 0xffff_ffff) >> 16;
    words_and_more <= REGISTER_WORDS as u64 && op.label() < idl::message::FIRST_KERNEL_LABEL
}

impl Kernel {
    /// Brings a call to the server that has waited longest, who runs.
    #[inline(always)]
    pub fn call_shortly(&mut self, me: CoreId, caller: Ref<Thread>, op: OpWord) -> Option<WayOut> {
        let (endpoint, badge) = self.endpoint_of(me, caller, Rights::CALL)?;
        let server = self.memory[endpoint].receivers.first()?;
        let waiting = &self.memory[server];
        let State::Receiving(_, reply) = waiting.state else { return None };
        let root = self.root_here(me, waiting).filter(|_| !waiting.deadline.is_present())?;

        crate::arch::x86_64::testing::bench_padding();
        let meeting = self.memory.meeting([caller, server], endpoint, reply);
        let next = meeting.endpoint.receivers.detach_first(&mut meeting.to.link);
        meeting.reply.use_ = Use::Pending(caller);
        meeting.from.pending = Pending::Call;
        meeting.from.state = State::AwaitingReply(reply);
        bring(meeting.from, meeting.to, op, badge);
        count(&mut self.cores[me.index()].counters.messages);
        let frame = go_on(meeting.to);
        self.cores[me.index()].hand_over(self.now, &mut meeting.from.ran, server);
        self.memory.told_first(next);
        Some(WayOut { thread: server, frame, root })
    }

    /// Brings an answer to who waits for it, who runs; the server waits for the next call, of which there is none yet.
    #[inline(always)]
    pub fn answer_shortly(&mut self, me: CoreId, server: Ref<Thread>, op: OpWord) -> Option<WayOut> {
        let (endpoint, _) = self.endpoint_of(me, server, Rights::RECEIVE)?;
        let thread = &self.memory[server];
        let handle = Handle(thread.frame.registers.r13);
        let found =
            self.forest.lookup(&self.memory, thread.table()?, handle, Kind::Reply, Rights::CALL).ok()?;
        let reply = Ref::<Reply>::at(object_of(&found.capability));
        let Use::Pending(caller) = self.memory[reply].use_ else { return None };
        let waiting = &self.memory[caller];
        let root = self.root_here(me, waiting).filter(|_| !waiting.deadline.is_present())?;
        let told = waiting.pending == Pending::Call;
        if !self.memory[endpoint].callers.is_empty() || self.may_be_signalled(server) {
            return None;
        }

        let meeting = self.memory.meeting([server, caller], endpoint, reply);
        let last = meeting.endpoint.receivers.attach_last(&mut meeting.from.link, server);
        meeting.reply.use_ = Use::Offered(server);
        meeting.from.state = State::Receiving(endpoint, reply);
        meeting.to.pending = Pending::Nothing;
        // Whose fault is answered goes on with the registers that it has.
        if told {
            bring(meeting.from, meeting.to, op, 0);
            count(&mut self.cores[me.index()].counters.messages);
        }
        let frame = go_on(meeting.to);
        self.cores[me.index()].hand_over(self.now, &mut meeting.from.ran, caller);
        self.memory.told_last(last, server);
        Some(WayOut { thread: caller, frame, root })
    }

    /// The endpoint that a thread means, and by which badge, if it sets no deadline and nothing interferes here: no other
    /// thread is ready, and nothing is being removed.
    #[inline(always)]
    fn endpoint_of(&self, me: CoreId, thread: Ref<Thread>, rights: Rights) -> Option<(Ref<Endpoint>, u64)> {
        if self.memory.is_fenced() || self.forest.is_removing() || !self.is_alone(me) {
            return None;
        }
        let thread = &self.memory[thread];
        let registers = &thread.frame.registers;
        if registers.r12 != 0 {
            return None;
        }
        let handle = Handle(registers.rdi);
        let found = self.forest.lookup(&self.memory, thread.table()?, handle, Kind::Endpoint, rights).ok()?;
        Some((Ref::at(object_of(&found.capability)), found.capability.badge))
    }
}

/// Puts the message into the receiver's registers.
#[inline(always)]
fn bring(from: &Thread, to: &mut Thread, op: OpWord, badge: u64) {
    to.frame.set_message_words(from.frame.message_words());
    to.frame.registers.rdi = badge;
    to.frame.registers.rax = ResultWord::message(op.label(), op.words(), 0).0;
}

/// Lets a thread that waited go on. Its registers are as they should be.
#[inline(always)]
fn go_on(thread: &mut Thread) -> NonNull<Frame> {
    thread.state = State::Ready;
    NonNull::from(&mut thread.frame)
}
