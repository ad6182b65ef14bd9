//! Why the kernel was entered.

use crate::arch::x86_64::frame::Frame;
use crate::arch::x86_64::interrupts::{Pending, Vector};

/// An exception that user code raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which exception.
    pub vector: Vector,
    /// Its error code, or zero.
    pub error: u64,
    /// For a page fault the address, else zero.
    pub address: u64,
}

/// Why the kernel was entered, if not by a system call. The user's registers are in the core's frame; interrupts have been ended at the APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The core has just joined the subOS; nothing was running.
    Arrived,
    /// An interrupt arrived while user code ran.
    Interrupt(Vector),
    /// User code raised an exception.
    Fault(Fault),
    /// Interrupts arrived while the core was idle.
    Woken(Pending),
    /// The kernel failed while it visited another subOS's; its stack was abandoned. What ran before the visit is
    /// still the core's frame.
    VisitFailed,
}

impl Cause {
    /// Whether what happened will not happen again by itself if nothing is done about it now: the instruction that
    /// trapped is behind, or the answer of a visit would be lost.
    #[must_use]
    pub fn is_past(&self) -> bool {
        let trap = |fault: &Fault| [Vector::DEBUG, Vector::BREAKPOINT].contains(&fault.vector);
        *self == Cause::VisitFailed || matches!(self, Cause::Fault(fault) if trap(fault))
    }

    /// The cause that a vector and the frame it was saved in stand for.
    #[must_use]
    pub fn of_trap(vector: Vector, frame: &Frame) -> Cause {
        if vector >= Vector::FIRST_INTERRUPT {
            return Cause::Interrupt(vector);
        }
        let address = if vector == Vector::PAGE_FAULT { frame.cr2 } else { 0 };
        Cause::Fault(Fault { vector, error: frame.error, address })
    }
}
