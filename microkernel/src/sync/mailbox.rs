//! The words by which the supervisor gives a core its orders, and the core answers.
//!
//! Orders (park, condemn, enter) come from one place at a time; each has a new sequence number and is done when
//! [`Mailbox::acknowledged`] has reached it. A newer order takes the place of an older one, so a core that answers has
//! done all that was asked before. It answers *park* and *condemn* on the park root alone, with nothing of its owner left,
//! and *enter* when it has read where to go: whoever reads the answer may take the old owner's memory, or order anew.

use crate::atomic::{AtomicU64, Ordering};

/// An order's number: rises by one with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct Sequence(pub u64);

/// What the supervisor wants of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Leave the subOS at the next opportunity and park.
    Park = 1,
    /// The subOS is lost: park at once. Sent with an NMI when [`Command::Park`] got no answer.
    Condemn = 2,
    /// Join a subOS. Only a parked core takes this.
    Enter = 3,
}

const KIND_BITS: u32 = 2;

impl Command {
    const fn encode(self, sequence: Sequence) -> u64 {
        sequence.0 << KIND_BITS | self as u64
    }

    const fn decode(word: u64) -> Self {
        match word & 3 {
            1 => Self::Park,
            2 => Self::Condemn,
            _ => Self::Enter,
        }
    }
}

/// Where an order to enter leads, in words that only the two ends understand.
pub type Destination = [u64; 3];

/// Keeps what one side writes off the cache lines of the other (pairs of lines are fetched together).
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(crate) struct Line<T>(pub(crate) T);

#[derive(Debug, Default)]
#[repr(C)]
struct FromSupervisor {
    command: AtomicU64,
    destination: [AtomicU64; 3],
}

/// See the module's text. Zeroes are a mailbox in which nothing was ordered.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Mailbox {
    supervisor: Line<FromSupervisor>,
    /// The number of the last order that the core has carried out.
    acknowledged: Line<AtomicU64>,
}

/// What a parked core does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes there, and acknowledges this number before.
    Enter(Destination, Sequence),
    /// It has answered something, and looks again.
    Look,
    /// Nothing: it sleeps until an interrupt.
    Sleep,
}

impl Mailbox {
    // -- the supervisor's side -----------------------------------------------------------------------------------

    /// Gives an order; returns the number to wait for. The caller then interrupts the core.
    pub fn command(&self, command: Command) -> Sequence {
        let next = Sequence((self.supervisor.0.command.load(Ordering::Relaxed) >> KIND_BITS) + 1);
        self.supervisor.0.command.store(command.encode(next), Ordering::Release);
        next
    }

    /// Tells a parked core, which has answered all orders before, to join a subOS; returns the number to wait for.
    pub fn enter(&self, to: Destination) -> Sequence {
        for (word, value) in self.supervisor.0.destination.iter().zip(to) {
            word.store(value, Ordering::Relaxed);
        }
        self.command(Command::Enter)
    }

    /// The number of the last order that this core has carried out.
    #[must_use]
    pub fn acknowledged(&self) -> Sequence {
        Sequence(self.acknowledged.0.load(Ordering::Acquire))
    }

    // -- the core's own side -------------------------------------------------------------------------------------

    /// The order that has not been carried out yet.
    #[inline(always)]
    fn pending_command(&self) -> Option<(Command, Sequence)> {
        let word = self.supervisor.0.command.load(Ordering::Acquire);
        let sequence = Sequence(word >> KIND_BITS);
        (self.acknowledged.0.load(Ordering::Relaxed) < sequence.0).then(|| (Command::decode(word), sequence))
    }

    /// Whether the core is wanted away from its subOS: every preemption point and every wait asks this.
    #[must_use]
    #[inline(always)]
    pub fn park_requested(&self) -> bool {
        self.pending_command().is_some() && self.is_wanted_away()
    }

    /// Orders are rare, so what they say is looked at out of the way.
    #[cold]
    #[inline(never)]
    fn is_wanted_away(&self) -> bool {
        matches!(self.pending_command(), Some((Command::Park | Command::Condemn, _)))
    }

    /// Whether the core is to drop everything: what an NMI asks, wherever it finds the core.
    #[must_use]
    pub fn is_condemned(&self) -> bool {
        matches!(self.pending_command(), Some((Command::Condemn, _)))
    }

    /// What a parked core does next. An order to park it has carried out already.
    #[must_use]
    pub fn attend(&self) -> Next {
        match self.pending_command() {
            Some((Command::Enter, sequence)) => {
                let words = self.supervisor.0.destination.each_ref();
                Next::Enter(words.map(|word| word.load(Ordering::Relaxed)), sequence)
            }
            Some((_, sequence)) => {
                self.acknowledge(sequence);
                Next::Look
            }
            None => Next::Sleep,
        }
    }

    /// Says that an order has been carried out.
    pub fn acknowledge(&self, sequence: Sequence) {
        self.acknowledged.0.store(sequence.0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_survives_its_encoding() {
        for command in [Command::Park, Command::Condemn, Command::Enter] {
            let sequence = Sequence(0x1234_5678_9abc);
            let word = command.encode(sequence);
            assert_eq!((Command::decode(word), word >> KIND_BITS), (command, sequence.0));
        }
    }
}
