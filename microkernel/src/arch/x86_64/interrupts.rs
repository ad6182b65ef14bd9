//! Vectors and the interrupt descriptor table (SDM vol 3, 6.10 to 6.14). One sealed table serves all cores.

use bitflags::bitflags;
use spin::Once;
use static_assertions::const_assert_eq;

use super::segments::{InterruptStack, KERNEL_CODE, TablePointer};

/// An interrupt or exception vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Vector(pub u8);

impl Vector {
    /// Single step and the like.
    pub const DEBUG: Vector = Vector(1);
    /// Non-maskable interrupt.
    pub const NMI: Vector = Vector(2);
    /// The breakpoint instruction.
    pub const BREAKPOINT: Vector = Vector(3);
    /// Invalid opcode.
    pub const INVALID_OPCODE: Vector = Vector(6);
    /// Double fault.
    pub const DOUBLE_FAULT: Vector = Vector(8);
    /// General protection.
    pub const GENERAL_PROTECTION: Vector = Vector(13);
    /// Page fault.
    pub const PAGE_FAULT: Vector = Vector(14);
    /// Machine check.
    pub const MACHINE_CHECK: Vector = Vector(18);
    /// The first vector that is an interrupt and not an exception.
    pub const FIRST_INTERRUPT: Vector = Vector(32);
    /// This core's timer.
    pub const TIMER: Vector = Vector(0xef);
    /// Look at the mailbox: a command is there. Also wakes a parked core.
    pub const PARK: Vector = Vector(0xf0);
    /// A doorbell rang.
    pub const DOORBELL: Vector = Vector(0xf1);
    /// A sibling asks for a TLB flush.
    pub const FLUSH: Vector = Vector(0xf2);
    /// A sibling made a thread ready here.
    pub const RESCHEDULE: Vector = Vector(0xf3);
    /// What the local APIC delivers when an interrupt went away meanwhile; takes no EOI.
    pub const SPURIOUS: Vector = Vector(0xff);
}

bitflags! {
    /// Interrupts taken while idle.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Pending: u64 {
        /// The timer.
        const TIMER = 1 << 0;
        /// A command in the mailbox.
        const PARK = 1 << 1;
        /// A doorbell.
        const DOORBELL = 1 << 2;
        /// A flush request.
        const FLUSH = 1 << 3;
        /// A thread was made ready.
        const RESCHEDULE = 1 << 4;
        /// Anything else.
        const OTHER = 1 << 5;
    }
}

impl Pending {
    /// The bit of a vector.
    #[must_use]
    pub const fn of(vector: Vector) -> Pending {
        match vector {
            Vector::TIMER => Pending::TIMER,
            Vector::PARK => Pending::PARK,
            Vector::DOORBELL => Pending::DOORBELL,
            Vector::FLUSH => Pending::FLUSH,
            Vector::RESCHEDULE => Pending::RESCHEDULE,
            _ => Pending::OTHER,
        }
    }
}

/// An interrupt gate (SDM vol 3, figure 6-8).
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Gate {
    offset_low: u16,
    selector: u16,
    stack: u8,
    kind: u8,
    offset_middle: u16,
    offset_high: u32,
    reserved: u32,
}

/// Present, privilege 0, 64-bit interrupt gate: interrupts go off, and user mode cannot invoke it by INT.
const INTERRUPT_GATE: u8 = 0x8e;
/// The same for user mode: INT3, so that debuggers work as people expect.
const USER_GATE: u8 = 0xee;

impl Gate {
    #[allow(clippy::cast_possible_truncation, reason = "the gate wants the address in pieces")]
    const fn new(handler: u64, stack: InterruptStack, kind: u8) -> Gate {
        Gate {
            offset_low: handler as u16,
            selector: KERNEL_CODE,
            stack: stack as u8,
            kind,
            offset_middle: (handler >> 16) as u16,
            offset_high: (handler >> 32) as u32,
            reserved: 0,
        }
    }
}

#[cfg_attr(feature = "image", unsafe(link_section = ".sealed"))]
static TABLE: Once<[Gate; 256]> = Once::new();

/// Builds the table; once, on the first core. `stubs` is where the entry stubs begin, `stride` bytes apart.
pub fn build(stubs: u64, stride: u64) {
    TABLE.call_once(|| {
        let mut gates = [Gate::default(); 256];
        for (number, gate) in gates.iter_mut().enumerate() {
            let stack = match number {
                2 => InterruptStack::Nmi,
                8 => InterruptStack::DoubleFault,
                14 => InterruptStack::PageFault,
                18 => InterruptStack::MachineCheck,
                _ => InterruptStack::None,
            };
            let kind = if number == 3 { USER_GATE } else { INTERRUPT_GATE };
            *gate = Gate::new(stubs + number as u64 * stride, stack, kind);
        }
        gates
    });
}

/// The table's last byte.
const LIMIT: u16 = 256 * 16 - 1;
const_assert_eq!(size_of::<Gate>(), 16);

/// Loads the table on this core.
///
/// # Safety
/// [`build`] has run with stubs that handle every vector.
pub unsafe fn load() {
    let Some(table) = TABLE.get() else { return };
    let pointer = TablePointer { limit: LIMIT, base: table.as_ptr() as u64 };
    // SAFETY: the table is complete and lives as long as the image.
    unsafe { core::arch::asm!("lidt [{}]", in(reg) &raw const pointer, options(readonly, nostack)) };
}

/// Loads the table up to general protection on this core, so that a page fault becomes a double fault.
///
/// # Safety
/// Nobody relies on interrupts or page faults on this core until [`load`] is called again.
#[cfg(feature = "hooks")]
pub(crate) unsafe fn load_without_page_faults() {
    let Some(table) = TABLE.get() else { return };
    let pointer = TablePointer { limit: 14 * 16 - 1, base: table.as_ptr() as u64 };
    // SAFETY: passed on to the caller.
    unsafe { core::arch::asm!("lidt [{}]", in(reg) &raw const pointer, options(readonly, nostack)) };
}
