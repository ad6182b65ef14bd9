//! The local APIC (SDM vol 3, chapter 11): interrupts between cores, end of interrupt, the timer's registers.
//!
//! The memory-mapped mode is used unless firmware has already switched to x2APIC; QEMU's TCG has only the former, so
//! the latter is untested here. The kernel assumes that only this module writes the APIC (docs/caveats).

use spin::Once;

use super::features::{Features, features};
use super::instructions::{pause, read_msr, write_msr};
use super::interrupts::Vector;
use super::layout;
use crate::limits::MAX_CORES;
use crate::types::{CoreId, PhysAddr};

/// Where firmware leaves its page (SDM vol 3, 11.4.1).
pub const PAGE: PhysAddr = PhysAddr(0xfee0_0000);

/// The hardware's number of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct ApicId(pub u32);

/// Register offsets (SDM vol 3, table 11-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Register {
    TaskPriority = 0x80,
    EndOfInterrupt = 0xb0,
    SpuriousVector = 0xf0,
    InService = 0x100,
    Requested = 0x200,
    ErrorStatus = 0x280,
    CommandLow = 0x300,
    CommandHigh = 0x310,
    Timer = 0x320,
    Thermal = 0x330,
    Performance = 0x340,
    Line0 = 0x350,
    Line1 = 0x360,
    Error = 0x370,
    InitialCount = 0x380,
    CurrentCount = 0x390,
    Divide = 0x3e0,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Memory,
    Msr,
}

#[derive(Clone, Copy, Debug)]
struct Machine {
    mode: Mode,
    ids: [ApicId; MAX_CORES],
    cores: usize,
}

const APIC_BASE: u32 = 0x1b;
const BASE_ENABLED: u64 = 1 << 11;
const BASE_X2APIC: u64 = 1 << 10;
const X2APIC_MSRS: u32 = 0x800;
const X2APIC_COMMAND: u32 = 0x830;
const MASKED: u32 = 1 << 16;
const DELIVERY_PENDING: u32 = 1 << 12;
/// Polls of the delivery status before giving up; on any working APIC it clears within microseconds.
const DELIVERY_PATIENCE: u32 = 1 << 20;

#[cfg_attr(feature = "image", unsafe(link_section = ".sealed"))]
static MACHINE: Once<Machine> = Once::new();

fn mode() -> Mode {
    MACHINE.get().map_or(Mode::Memory, |machine| machine.mode)
}

fn read(register: Register, offset: u32) -> u32 {
    let place = register as u32 + offset;
    match mode() {
        Mode::Memory => {
            let address = (layout::LAPIC + u64::from(place)) as *const u32;
            // SAFETY: every root maps the APIC's page there, uncached; reads of these registers have no effect.
            unsafe { address.read_volatile() }
        }
        Mode::Msr => {
            // SAFETY: in x2APIC mode these MSRs exist (SDM vol 3, table 11-6).
            let value = unsafe { read_msr(X2APIC_MSRS + (place >> 4)) };
            super::instructions::halves(value).0
        }
    }
}

fn write(register: Register, value: u32) {
    match mode() {
        Mode::Memory => {
            let address = (layout::LAPIC + u64::from(register as u32)) as *mut u32;
            // SAFETY: every root maps the APIC's page there; this module keeps its state consistent.
            unsafe { address.write_volatile(value) };
        }
        Mode::Msr => {
            // SAFETY: in x2APIC mode these MSRs exist.
            unsafe { write_msr(X2APIC_MSRS + (register as u32 >> 4), u64::from(value)) };
        }
    }
}

/// Notes the cores' APIC ids; once. The order is that of core numbers.
pub fn describe(ids: &[ApicId]) {
    MACHINE.call_once(|| {
        // SAFETY: every processor with long mode has this MSR.
        let base = unsafe { read_msr(APIC_BASE) };
        let on = features().contains(Features::X2APIC) && base & BASE_X2APIC != 0;
        let mut all = [ApicId::default(); MAX_CORES];
        for (place, id) in all.iter_mut().zip(ids) {
            *place = *id;
        }
        Machine { mode: if on { Mode::Msr } else { Mode::Memory }, ids: all, cores: ids.len().min(MAX_CORES) }
    });
}

/// How many cores the firmware named, this one included.
#[must_use]
pub fn core_count() -> usize {
    MACHINE.get().map_or(1, |machine| machine.cores)
}

/// The hardware's number of a core.
#[must_use]
pub fn apic_id(core: CoreId) -> Option<ApicId> {
    let machine = MACHINE.get()?;
    machine.ids.get(core.index()).filter(|_| core.index() < machine.cores).copied()
}

/// The hardware's number of the running core, from CPUID: works before anything is set up.
#[must_use]
pub fn own_id() -> ApicId {
    ApicId(core::arch::x86_64::__cpuid(1).ebx >> 24)
}

/// Switches this core's APIC on, with all local sources masked.
pub fn enable() {
    // SAFETY: every processor with long mode has this MSR.
    let base = unsafe { read_msr(APIC_BASE) };
    // SAFETY: the enable bit alone is added; the page stays where firmware put it, where the kernel maps it.
    unsafe { write_msr(APIC_BASE, base | BASE_ENABLED) };
    write(Register::SpuriousVector, 0x100 | u32::from(Vector::SPURIOUS.0));
    for source in [
        Register::Timer,
        Register::Thermal,
        Register::Performance,
        Register::Line0,
        Register::Line1,
        Register::Error,
    ] {
        write(source, MASKED | u32::from(Vector::SPURIOUS.0));
    }
    write(Register::TaskPriority, 0);
    write(Register::ErrorStatus, 0);
    // Divide the timer's clock by one.
    write(Register::Divide, 0b1011);
}

/// Ends the interrupt in service.
#[inline]
pub fn end_of_interrupt() {
    write(Register::EndOfInterrupt, 0);
}

/// Interrupts another core (or this one). Unknown cores are ignored.
pub fn send(core: CoreId, vector: Vector) {
    if let Some(id) = apic_id(core) {
        (0..super::testing::copies()).for_each(|_| command(id, u32::from(vector.0)));
    }
}

/// Sends a non-maskable interrupt: the last word to a core that answers to nothing else.
pub fn send_nmi(core: CoreId) {
    if let Some(id) = apic_id(core) {
        command(id, 0b100 << 8);
    }
}

/// Resets a core, first half of the start sequence (SDM vol 3, 9.4.4).
pub fn send_init(core: CoreId) {
    if let Some(id) = apic_id(core) {
        command(id, 0b101 << 8 | 1 << 14);
    }
}

/// Starts a core at `page * 4096` in real mode, second half of the start sequence.
pub fn send_startup(core: CoreId, page: u8) {
    if let Some(id) = apic_id(core) {
        command(id, 0b110 << 8 | 1 << 14 | u32::from(page));
    }
}

fn command(target: ApicId, low: u32) {
    match mode() {
        Mode::Memory => {
            write(Register::CommandHigh, target.0 << 24);
            write(Register::CommandLow, low);
            for _ in 0..DELIVERY_PATIENCE {
                if read(Register::CommandLow, 0) & DELIVERY_PENDING == 0 {
                    return;
                }
                pause();
            }
        }
        // SAFETY: in x2APIC mode this MSR exists; the write is not serialising, which callers that store before
        // they send rely on fences for (SDM vol 3, 11.12.3).
        Mode::Msr => unsafe { fence_and_write(u64::from(target.0) << 32 | u64::from(low)) },
    }
}

/// # Safety
/// The APIC is in x2APIC mode.
unsafe fn fence_and_write(word: u64) {
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
    // SAFETY: passed on to the caller.
    unsafe { write_msr(X2APIC_COMMAND, word) };
}

/// Whether any interrupt is in service on this core.
#[must_use]
pub fn any_in_service() -> bool {
    (0..8).any(|word| read(Register::InService, word * 16) != 0)
}

/// Whether any interrupt waits to be taken on this core.
#[must_use]
pub fn any_requested() -> bool {
    (0..8).any(|word| read(Register::Requested, word * 16) != 0)
}

/// Whether one of the kernel's own interrupts waits to be taken on this core: all have vectors in the last word. Not inlined,
/// so that the bench can find it: what looks, and ends when one waits, keeps none waiting.
#[must_use]
#[inline(never)]
pub fn interrupt_waits() -> bool {
    read(Register::Requested, 7 * 16) != 0
}

/// Starts the one-shot timer with a count, at least 1.
pub(super) fn start_timer(count: u32) {
    write(Register::Timer, u32::from(Vector::TIMER.0));
    write(Register::InitialCount, count.max(1));
}

/// Stops the timer.
pub(super) fn stop_timer() {
    write(Register::Timer, MASKED | u32::from(Vector::TIMER.0));
    write(Register::InitialCount, 0);
}

/// Lets the timer run down from its largest count, masked, so that it can be compared with another clock.
pub(super) fn run_masked() {
    write(Register::Timer, MASKED | u32::from(Vector::TIMER.0));
    write(Register::InitialCount, u32::MAX);
}

/// How far the timer still has to run.
pub(super) fn counts_left() -> u32 {
    read(Register::CurrentCount, 0)
}
