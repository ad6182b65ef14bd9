//! Messages between threads, and their stubs: what the table of plain methods cannot express.
//!
//! The registers carry the label, up to five words and the counts; further words and all capabilities go
//! through the message page, which the caller fills before and reads after.

use caps::{Error, Handle};

use crate::abi::{OpWord, REGISTER_WORDS, ResultWord, Trap, TrapKind};
use crate::client::{Cap, Invoke, Object};
use crate::kernel::{endpoint, reply};
use crate::types::{Badge, Bits, Deadline};

/// Labels from here on are the kernel's: a message with such a label from a thread is refused
/// (`InvalidArgument`).
pub const FIRST_KERNEL_LABEL: u32 = 0xffff_0000;
/// The label of a fault message. Words: [`crate::abi::Trap`] kind, vector, error code, address; rip.
/// An answer resumes the thread where it stands; without an answer it stays where it is.
pub const FAULT_LABEL: u32 = 0xffff_0001;

/// The part of a message that travels in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Message {
    /// Says what it is about.
    pub label: u32,
    /// Words that mean something; those beyond five are in the message page.
    pub count: u8,
    /// Capabilities that go along; their handles are in the message page.
    pub caps: u8,
    /// The first five words.
    pub words: [u64; REGISTER_WORDS],
}

impl Message {
    /// A message of at most five words and no capability.
    #[must_use]
    pub fn short(label: u32, words: &[u64]) -> Self {
        let mut message = Self { label, ..Self::default() };
        for (to, from) in message.words.iter_mut().zip(words) {
            *to = *from;
            message.count += 1;
        }
        message
    }

    /// The words in registers that mean something.
    #[must_use]
    pub fn register_words(&self) -> &[u64] {
        let count = usize::from(self.count).min(REGISTER_WORDS);
        &self.words[..count]
    }

    fn op(&self, op: OpWord) -> OpWord {
        op.with_message(self.label, self.count, self.caps)
    }

    fn from_result(result: ResultWord, words: [u64; REGISTER_WORDS]) -> Self {
        Self { label: result.label(), count: result.words(), caps: result.caps(), words }
    }
}

/// What a fault message says of the thread that faulted; the badge says which thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Why it stopped.
    pub trap: Trap,
    /// Where it stood.
    pub rip: u64,
}

impl Fault {
    /// The fault that this message reports, if it reports one. Only the kernel can send such a message.
    #[must_use]
    pub fn from_message(message: &Message) -> Option<Self> {
        let [kind, vector, error_code, address, rip] = message.words;
        if message.label != FAULT_LABEL {
            return None;
        }
        let trap = Trap {
            kind: u32::try_from(kind).ok()?,
            vector: u32::try_from(vector).ok()?,
            error_code,
            address,
        };
        Some(Self { trap, rip })
    }

    /// Why it stopped, in words: the names of the exceptions are those of Intel SDM volume 3, table 6-1.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match (TrapKind::from_number(self.trap.kind), self.trap.vector) {
            (Some(TrapKind::PageFault), _) => match self.trap.error_code & 0x13 {
                0x10.. => "it executed what it may not",
                0x02.. => "it wrote where it may not",
                _ => "it read where it may not",
            },
            (_, 0) => "a division error",
            (_, 3) => "a breakpoint",
            (_, 6) => "an invalid instruction (a panic ends in one)",
            (_, 13) => "a general protection fault",
            (_, 14) => "a page fault",
            (_, 16 | 19) => "a floating-point error",
            (_, 17) => "an alignment fault",
            _ => "an exception",
        }
    }

    /// The message that reports it.
    #[must_use]
    pub fn to_message(self) -> Message {
        let Trap { kind, vector, error_code, address } = self.trap;
        Message::short(FAULT_LABEL, &[kind.into(), vector.into(), error_code, address, self.rip])
    }
}

impl core::fmt::Display for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Trap { kind, vector, error_code, address } = self.trap;
        match TrapKind::from_number(kind) {
            Some(TrapKind::PageFault) => {
                write!(f, "page fault at address {address:#x} (error {error_code:#x})")?;
            }
            Some(TrapKind::Exception) => write!(f, "exception {vector} (error {error_code:#x})")?,
            _ => write!(f, "trap {kind}")?,
        }
        write!(f, ", rip {:#x}", self.rip)
    }
}

/// What a receive ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Somebody called. The reply object now holds the right to answer.
    Message {
        /// The badge of the capability that was called.
        badge: Badge,
        /// The message.
        message: Message,
    },
    /// The notification that is bound to this thread was signalled.
    Signal(Bits),
}

fn received(answer: (ResultWord, Badge, [u64; REGISTER_WORDS])) -> Result<Received, Error> {
    let (result, badge, words) = answer;
    let result = result.status()?;
    if result.is_signal() {
        return Ok(Received::Signal(Bits(badge.0)));
    }
    Ok(Received::Message { badge, message: Message::from_result(result, words) })
}

impl<K: Object, I: Invoke> Cap<K, I> {
    #[inline]
    fn pass(
        &self,
        method: u8,
        message: &Message,
        deadline: Deadline,
        second: Handle,
    ) -> (ResultWord, Badge, [u64; REGISTER_WORDS]) {
        self.via().invoke(message.op(Self::op(method)), self.handle(), message.words, deadline, second)
    }
}

impl<I: Invoke> Cap<endpoint::Endpoint, I> {
    /// Sends a message and waits for the answer.
    ///
    /// # Errors
    /// Those of `Endpoint.call`.
    #[inline]
    pub fn call(&self, message: &Message, deadline: Deadline) -> Result<Message, Error> {
        let (result, _, words) = self.pass(endpoint::CALL, message, deadline, Handle::NONE);
        Ok(Message::from_result(result.status()?, words))
    }

    /// Sends a message and waits until somebody has received it; there will be no answer.
    ///
    /// # Errors
    /// Those of `Endpoint.send`.
    #[inline]
    pub fn send(&self, message: &Message, deadline: Deadline) -> Result<(), Error> {
        let (result, _, _) = self.pass(endpoint::SEND, message, deadline, Handle::NONE);
        result.status().map(|_| ())
    }

    /// Waits for a message, or for a signal of the bound notification. A caller's right to an answer goes
    /// into the reply object.
    ///
    /// # Errors
    /// Those of `Endpoint.receive`.
    #[inline]
    pub fn receive(&self, reply: &Cap<reply::Reply, I>, deadline: Deadline) -> Result<Received, Error> {
        received(self.pass(endpoint::RECEIVE, &Message::default(), deadline, reply.handle()))
    }

    /// Answers the caller that waits in the reply object, then waits for the next message, in one step. When
    /// nobody waits any more (the caller gave up), it only receives.
    ///
    /// # Errors
    /// Those of `Endpoint.reply_receive`.
    #[inline]
    pub fn reply_receive(
        &self,
        reply: &Cap<reply::Reply, I>,
        answer: &Message,
        deadline: Deadline,
    ) -> Result<Received, Error> {
        received(self.pass(endpoint::REPLY_RECEIVE, answer, deadline, reply.handle()))
    }
}

impl<I: Invoke> Cap<reply::Reply, I> {
    /// Answers the caller that waits in this reply object.
    ///
    /// # Errors
    /// Those of `Reply.reply`.
    #[inline]
    pub fn reply(&self, answer: &Message) -> Result<(), Error> {
        let (result, _, _) = self.pass(reply::REPLY, answer, Deadline::NEVER, Handle::NONE);
        result.status().map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_travel_as_messages() {
        let fault = Fault {
            trap: Trap { kind: TrapKind::PageFault as u32, vector: 14, error_code: 6, address: 0x1234 },
            rip: 0x20_0010,
        };
        assert_eq!(Fault::from_message(&fault.to_message()), Some(fault));
        assert_eq!(Fault::from_message(&Message::short(7, &[1, 2, 3, 4, 5])), None);
        assert_eq!(std::format!("{fault}"), "page fault at address 0x1234 (error 0x6), rip 0x200010");
    }
}
