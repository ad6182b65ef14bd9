//! Single instructions as functions, over the `x86_64` crate; those that it lacks, or wraps in a promise that our red
//! zone breaks, are spelled out. Each is `unsafe` exactly when misuse can break the kernel.

use core::arch::asm;

use ::x86_64::instructions::port::{PortReadOnly, PortWriteOnly};
use ::x86_64::instructions::{hlt, interrupts, tlb};
use ::x86_64::registers::control::{Cr0, Cr3, Cr3Flags, Cr4};
use ::x86_64::registers::model_specific::Msr;
use ::x86_64::structures::paging::PhysFrame;
use ::x86_64::{PhysAddr, VirtAddr};

/// Tells the processor (and an emulator that runs several cores in turn) that this is a spin loop.
#[inline(always)]
pub fn pause() {
    core::hint::spin_loop();
}

/// Reads the time-stamp counter (SDM vol 3, 17.17).
#[inline(always)]
#[must_use]
pub fn read_tsc() -> u64 {
    // SAFETY: RDTSC has no effect but its result, and CR4.TSD does not apply to the kernel.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Reads a model-specific register.
///
/// # Safety
/// The register must exist on this processor.
#[inline(always)]
#[must_use]
pub unsafe fn read_msr(number: u32) -> u64 {
    // SAFETY: the caller vouches for the register.
    unsafe { Msr::new(number).read() }
}

/// Writes a model-specific register.
///
/// # Safety
/// The register must exist, and the value must keep the kernel's assumptions.
#[inline(always)]
pub unsafe fn write_msr(number: u32, value: u64) {
    // SAFETY: the caller vouches for the register and the value.
    unsafe { Msr::new(number).write(value) };
}

/// The low and the high half of a word.
#[inline(always)]
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "cutting the word in two is the purpose")]
pub const fn halves(value: u64) -> (u32, u32) {
    (value as u32, (value >> 32) as u32)
}

/// Loads CR3, which flushes the TLB except for global entries (SDM vol 3, 4.10.4.1).
///
/// # Safety
/// The root must map the running code, this core's area and all that the kernel refers to.
#[inline(always)]
pub unsafe fn write_cr3(root: u64) {
    let frame = PhysFrame::containing_address(PhysAddr::new_truncate(root));
    // SAFETY: the caller vouches for the root.
    unsafe { Cr3::write(frame, Cr3Flags::empty()) };
}

/// Reads CR4.
#[inline(always)]
#[must_use]
pub fn read_cr4() -> u64 {
    Cr4::read_raw()
}

/// Writes CR4.
///
/// # Safety
/// Every bit set must be one that CPUID offers, and none that the kernel relies on may be cleared.
#[inline(always)]
pub unsafe fn write_cr4(value: u64) {
    // SAFETY: the caller vouches for the value.
    unsafe { Cr4::write_raw(value) };
}

/// Reads CR0.
#[inline(always)]
#[must_use]
pub fn read_cr0() -> u64 {
    Cr0::read_raw()
}

/// Writes CR0.
///
/// # Safety
/// Paging, protection and write protection must stay on.
#[inline(always)]
pub unsafe fn write_cr0(value: u64) {
    // SAFETY: the caller vouches for the value.
    unsafe { Cr0::write_raw(value) };
}

/// Forgets the translation of one page (SDM vol 3, 4.10.4.1). Harmless at worst: the next access walks again.
#[inline(always)]
pub fn invlpg(address: u64) {
    tlb::flush(VirtAddr::new_truncate(address));
}

/// Writes one byte to an I/O port.
///
/// # Safety
/// The device behind the port must not be able to break the kernel by this.
#[inline(always)]
pub unsafe fn out_byte(port: u16, value: u8) {
    // SAFETY: the caller vouches for the port.
    unsafe { PortWriteOnly::new(port).write(value) };
}

/// Reads one byte from an I/O port.
///
/// # Safety
/// Reading must have no effect that can break the kernel.
#[inline(always)]
#[must_use]
pub unsafe fn in_byte(port: u16) -> u8 {
    // SAFETY: the caller vouches for the port.
    unsafe { PortReadOnly::new(port).read() }
}

/// Sleeps until an interrupt and takes it. Interrupts are off again on return.
///
/// # Safety
/// The interrupt table must be loaded, and the caller must expect its handler to run here.
pub unsafe fn sleep() {
    // SAFETY: STI's shadow makes the pair atomic, so that no wake-up is lost (SDM vol 2, STI). Without the option
    // `nostack` the compiler keeps its red zone out of the way of the interrupt's frame.
    // The handler may use what any function may.
    unsafe { asm!("sti", "hlt", "cli", clobber_abi("C")) };
}

/// Takes whatever interrupt is pending, without sleeping.
///
/// # Safety
/// As for [`sleep`].
pub unsafe fn take_pending() {
    // SAFETY: as in `sleep`; the NOP gives the interrupt its window after STI's shadow.
    // The handler may use what any function may.
    unsafe { asm!("sti", "nop", "nop", "cli", clobber_abi("C")) };
}

/// Stops this core for good; an NMI only runs the loop again.
pub fn halt_for_ever() -> ! {
    loop {
        interrupts::disable();
        hlt();
    }
}
