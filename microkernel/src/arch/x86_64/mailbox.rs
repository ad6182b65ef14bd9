//! The page of a core's area in which the supervisor leaves commands, and in which the core answers.
//!
//! Commands (park, condemn, enter) come one at a time per core; each has a new sequence number and is done when
//! [`Mailbox::acknowledged`] has reached it. The core answers on the park root alone, and only there and in subOS 0's
//! kernel can the page be written: whoever owns the core reads its orders, and can neither forge an answer nor change
//! where the core goes next. What the core notes for itself is on a page of its own. Everything is atomic.

use super::area;
use super::core::{Arrival, Seat};
use crate::limits::PAGE;
use crate::types::PhysAddr;
use crate::types::{CoreId, SubOsId};
use ::core::sync::atomic::{AtomicU64, Ordering};
use static_assertions::const_assert;

/// A command's number: rises by one with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct Sequence(pub u64);

/// What the supervisor wants of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Nothing yet.
    None,
    /// Leave the subOS at the next opportunity and park.
    Park,
    /// The subOS is lost: park at once. Sent with an NMI when [`Command::Park`] got no answer.
    Condemn,
    /// Join a subOS. Only a parked core takes this.
    Enter,
}

const KIND_BITS: u32 = 2;

impl Command {
    const fn encode(self, sequence: Sequence) -> u64 {
        let kind = match self {
            Command::None => 0,
            Command::Park => 1,
            Command::Condemn => 2,
            Command::Enter => 3,
        };
        sequence.0 << KIND_BITS | kind
    }

    const fn decode(word: u64) -> (Command, Sequence) {
        let command = match word & 3 {
            1 => Command::Park,
            2 => Command::Condemn,
            3 => Command::Enter,
            _ => Command::None,
        };
        (command, Sequence(word >> KIND_BITS))
    }
}

/// Keeps what one side writes off the cache lines of the other (pairs of lines are fetched together).
#[derive(Debug)]
#[repr(C, align(128))]
struct Line<T>(T);

#[derive(Debug)]
#[repr(C)]
struct FromSupervisor {
    command: AtomicU64,
    kernel: AtomicU64,
    home_root: AtomicU64,
    subos_and_seat: AtomicU64,
}

#[derive(Debug)]
#[repr(C)]
struct FromSelf {
    acknowledged: AtomicU64,
    /// How often this core has parked since boot.
    parked: AtomicU64,
}

/// What a core notes while it works for an owner, on the page after its mailbox.
#[derive(Debug)]
#[repr(C)]
struct Notes {
    /// Interrupts taken while idle, one bit each; see [`super::interrupts::Pending`].
    pending: AtomicU64,
}

/// See the module's text.
#[derive(Debug)]
#[repr(C)]
pub struct Mailbox {
    supervisor: Line<FromSupervisor>,
    own: Line<FromSelf>,
}

const_assert!(size_of::<Mailbox>() as u64 <= PAGE);

impl Mailbox {
    /// A core's mailbox. Mapped only where the core's area is: in its own subOS's kernel (to read), in subOS 0's and in
    /// the park root; elsewhere an access faults and condemns the culprit.
    #[must_use]
    pub fn of(core: CoreId) -> &'static Mailbox {
        let address = area::base(core) + area::MAILBOX_PAGE;
        // SAFETY: the page is a Mailbox from boot on (zeroes are valid), never moves, and is only used by shared
        // reference; all fields are atomic. Where it is not mapped, the access faults, which is defined by us.
        unsafe { &*(address as *const Mailbox) }
    }

    fn notes(&self) -> &'static Notes {
        let address = ::core::ptr::from_ref(self) as u64 + (area::NOTES_PAGE - area::MAILBOX_PAGE);
        // SAFETY: as in `of`: the page after the mailbox is a Notes, and all its fields are atomic.
        unsafe { &*(address as *const Notes) }
    }

    // -- the supervisor's side -----------------------------------------------------------------------------------

    /// Gives a command; returns the number to wait for. The caller then interrupts the core.
    pub fn command(&self, command: Command) -> Sequence {
        let (_, last) = Command::decode(self.supervisor.0.command.load(Ordering::Relaxed));
        let next = Sequence(last.0 + 1);
        self.supervisor.0.command.store(command.encode(next), Ordering::Release);
        next
    }

    /// Tells a parked core to join a subOS; returns the number to wait for.
    pub fn enter(&self, arrival: Arrival) -> Sequence {
        let words = &self.supervisor.0;
        words.kernel.store(arrival.kernel.0, Ordering::Relaxed);
        words.home_root.store(arrival.home_root.0, Ordering::Relaxed);
        let ids = u64::from(arrival.subos.0) << 16 | u64::from(arrival.seat.0);
        words.subos_and_seat.store(ids, Ordering::Relaxed);
        self.command(Command::Enter)
    }

    /// The number of the last command that this core has carried out.
    #[must_use]
    pub fn acknowledged(&self) -> Sequence {
        Sequence(self.own.0.acknowledged.load(Ordering::Acquire))
    }

    /// How often this core has parked since boot.
    #[must_use]
    pub fn times_parked(&self) -> u64 {
        self.own.0.parked.load(Ordering::Acquire)
    }

    // -- the core's own side -------------------------------------------------------------------------------------

    /// The command that has not been carried out yet.
    #[must_use]
    pub fn pending_command(&self) -> Option<(Command, Sequence)> {
        let (command, sequence) = Command::decode(self.supervisor.0.command.load(Ordering::Acquire));
        (command != Command::None && self.own.0.acknowledged.load(Ordering::Relaxed) < sequence.0)
            .then_some((command, sequence))
    }

    /// Whether the core is wanted away from its subOS: every preemption point and every wait asks this.
    #[must_use]
    #[inline]
    pub fn park_requested(&self) -> bool {
        // The number alone tells, as long as no command is open.
        let last = self.supervisor.0.command.load(Ordering::Acquire) >> KIND_BITS;
        if last <= self.own.0.acknowledged.load(Ordering::Relaxed) {
            return false;
        }
        matches!(self.pending_command(), Some((Command::Park | Command::Condemn, _)))
    }

    /// What an enter command says.
    #[must_use]
    pub fn arrival(&self) -> Arrival {
        let words = &self.supervisor.0;
        let ids = words.subos_and_seat.load(Ordering::Relaxed).to_le_bytes();
        Arrival {
            kernel: PhysAddr(words.kernel.load(Ordering::Relaxed)),
            home_root: PhysAddr(words.home_root.load(Ordering::Relaxed)),
            subos: SubOsId(ids[2]),
            seat: Seat(u16::from_le_bytes([ids[0], ids[1]])),
        }
    }

    /// Says that a command has been carried out.
    pub fn acknowledge(&self, sequence: Sequence) {
        self.own.0.acknowledged.store(sequence.0, Ordering::Release);
    }

    /// Counts one parking.
    pub fn count_parking(&self) {
        self.own.0.parked.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes interrupts taken while idle.
    pub(crate) fn note_pending(&self, bits: u64) {
        self.notes().pending.fetch_or(bits, Ordering::AcqRel);
    }

    /// The interrupts taken while idle; forgets them.
    pub(crate) fn take_pending(&self) -> u64 {
        self.notes().pending.swap(0, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_survives_its_encoding() {
        for command in [Command::Park, Command::Condemn, Command::Enter] {
            let sequence = Sequence(0x1234_5678_9abc);
            assert_eq!(Command::decode(command.encode(sequence)), (command, sequence));
        }
    }
}
