//! Single instructions as functions: the ones that the `x86_64` crate lacks or wraps in checks we do not want on a
//! hot path. Each is `unsafe` exactly when misuse can break the kernel.

use core::arch::asm;

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
    let (low, high): (u32, u32);
    // SAFETY: the caller vouches for the register; reading has no effect on memory.
    unsafe {
        asm!("rdmsr", in("ecx") number, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    (u64::from(high) << 32) | u64::from(low)
}

/// Writes a model-specific register.
///
/// # Safety
/// The register must exist, and the value must keep the kernel's assumptions.
#[inline(always)]
pub unsafe fn write_msr(number: u32, value: u64) {
    let (low, high) = halves(value);
    // SAFETY: the caller vouches for the register and the value.
    unsafe {
        asm!("wrmsr", in("ecx") number, in("eax") low, in("edx") high, options(nostack, preserves_flags));
    }
}

/// The low and the high half of a word.
#[inline(always)]
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "cutting the word in two is the purpose")]
pub const fn halves(value: u64) -> (u32, u32) {
    (value as u32, (value >> 32) as u32)
}

/// Reads CR3: the physical address of the page root.
#[inline(always)]
#[must_use]
pub fn read_cr3() -> u64 {
    let value: u64;
    // SAFETY: reading CR3 in the kernel has no side effect.
    unsafe { asm!("mov {}, cr3", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Loads CR3, which flushes the TLB except for global entries (SDM vol 3, 4.10.4.1).
///
/// # Safety
/// The root must map the running code, this core's area and all that the kernel refers to.
#[inline(always)]
pub unsafe fn write_cr3(root: u64) {
    // SAFETY: the caller vouches for the root.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
}

/// Reads CR2: the address of the last page fault.
#[inline(always)]
#[must_use]
pub fn read_cr2() -> u64 {
    let value: u64;
    // SAFETY: reading CR2 has no side effect.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Reads CR4.
#[inline(always)]
#[must_use]
pub fn read_cr4() -> u64 {
    let value: u64;
    // SAFETY: reading CR4 has no side effect.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Writes CR4.
///
/// # Safety
/// Every bit set must be one that CPUID offers, and none that the kernel relies on may be cleared.
#[inline(always)]
pub unsafe fn write_cr4(value: u64) {
    // SAFETY: the caller vouches for the value.
    unsafe { asm!("mov cr4, {}", in(reg) value, options(nostack, preserves_flags)) };
}

/// Reads CR0.
#[inline(always)]
#[must_use]
pub fn read_cr0() -> u64 {
    let value: u64;
    // SAFETY: reading CR0 has no side effect.
    unsafe { asm!("mov {}, cr0", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Writes CR0.
///
/// # Safety
/// Paging, protection and write protection must stay on.
#[inline(always)]
pub unsafe fn write_cr0(value: u64) {
    // SAFETY: the caller vouches for the value.
    unsafe { asm!("mov cr0, {}", in(reg) value, options(nostack, preserves_flags)) };
}

/// Forgets the translation of one page (SDM vol 3, 4.10.4.1). Harmless at worst: the next access walks again.
#[inline(always)]
pub fn invlpg(address: u64) {
    // SAFETY: removing a TLB entry changes no translation that the page tables hold.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) };
}

/// Writes one byte to an I/O port.
///
/// # Safety
/// The device behind the port must not be able to break the kernel by this.
#[inline(always)]
pub unsafe fn out_byte(port: u16, value: u8) {
    // SAFETY: the caller vouches for the port.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) };
}

/// Reads one byte from an I/O port.
///
/// # Safety
/// Reading must have no effect that can break the kernel.
#[inline(always)]
#[must_use]
pub unsafe fn in_byte(port: u16) -> u8 {
    let value: u8;
    // SAFETY: the caller vouches for the port.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags)) };
    value
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

/// Stops this core for good.
pub fn halt_for_ever() -> ! {
    loop {
        // SAFETY: stopping with interrupts off is what is wanted; an NMI only runs the loop again.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// A hundred instructions that do nothing, for the bench to notice.
#[cfg(feature = "bench-padding")]
#[inline(always)]
pub fn hundred_nops() {
    // SAFETY: it does nothing, a hundred times.
    unsafe { core::arch::asm!(".rept 100", "nop", ".endr", options(nomem, nostack, preserves_flags)) };
}
