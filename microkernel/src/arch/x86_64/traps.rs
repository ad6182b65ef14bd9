//! Setting a core up to be entered, and entering the kernel afresh. The entries themselves are in [`super::entry`].

use super::entry::STUB_STRIDE;
use super::instructions::write_msr;
use super::segments::{KERNEL_CODE, KERNEL_DATA, SYSRET_BASE, USER_CODE, USER_DATA};
use super::{area, interrupts, segments};
use crate::types::{CoreId, PhysAddr};

unsafe extern "C" {
    fn syscall_entry();
    static trap_stubs: u8;
    /// Loads a page root and starts on a core's kernel stack, with nothing on it; never returns.
    fn start_on_kernel_stack(top: u64, core: u64, cause: u64, root: u64) -> !;
}

const STAR: u32 = 0xc000_0081;
const LSTAR: u32 = 0xc000_0082;
const FMASK: u32 = 0xc000_0084;
const FS_BASE: u32 = 0xc000_0100;
const GS_BASE: u32 = 0xc000_0101;
const KERNEL_GS_BASE: u32 = 0xc000_0102;
/// Cleared by SYSCALL: TF, IF, DF, IOPL, NT, RF, AC; the arithmetic flags may stay.
const FLAG_MASK: u64 = 0x0005_7700;

/// Builds the interrupt table; once.
pub(crate) fn build() {
    interrupts::build(&raw const trap_stubs as u64, STUB_STRIDE);
    segments::build();
}

/// Makes this core ready to be entered: descriptor tables, SYSCALL registers, GS. Before the seal.
///
/// # Safety
/// [`build`] has run, the core's area is mapped and its `Core` is in place; called once per core, by that core.
pub(crate) unsafe fn load(core: CoreId) {
    // SAFETY: the caller's duties are those of `segments::load`.
    unsafe { segments::load(core) };
    // SAFETY: the stubs handle every vector.
    unsafe { interrupts::load() };
    let star = u64::from(SYSRET_BASE) << 48 | u64::from(KERNEL_CODE) << 32;
    for (register, value) in [
        (STAR, star),
        (LSTAR, syscall_entry as *const () as u64),
        (FMASK, FLAG_MASK),
        (FS_BASE, 0),
        (KERNEL_GS_BASE, 0),
        (GS_BASE, area::base(core) + area::CORE_PAGE),
    ] {
        // SAFETY: all exist in long mode; the entry is real, and GS points to the core's struct as the entry needs.
        unsafe { write_msr(register, value) };
    }
}

/// Sets FS and GS bases to what a parked core has.
///
/// # Safety
/// The area is mapped and its `Core` is in place.
pub(crate) unsafe fn reset_bases(core: CoreId) {
    for (register, value) in
        [(FS_BASE, 0), (KERNEL_GS_BASE, 0), (GS_BASE, area::base(core) + area::CORE_PAGE)]
    {
        // SAFETY: all exist in long mode; GS points to the core's struct as the entry needs.
        unsafe { write_msr(register, value) };
    }
}

/// Loads the user's FS base.
pub(crate) fn set_user_fs(base: u64) {
    // SAFETY: the exit path has checked that the address is canonical; the kernel does not use FS.
    unsafe { write_msr(FS_BASE, base) };
}

/// Loads the user's GS base, which waits in the other register while in the kernel.
pub(crate) fn set_user_gs(base: u64) {
    // SAFETY: as for FS; SWAPGS at exit makes it the user's.
    unsafe { write_msr(KERNEL_GS_BASE, base) };
}

/// Loads a page root, abandons whatever stack this core is on and enters the kernel afresh on its kernel stack.
///
/// # Safety
/// Runs on the core given, whose `Core` names that root as loaded; nothing on any of its stacks is needed any more,
/// and no `&mut Core` is used after. The root maps image, APIC and the core's area.
pub(crate) unsafe fn restart(core: CoreId, cause: u64, root: PhysAddr) -> ! {
    let base = area::base(core);
    // SAFETY: the stack is mapped and unused, as the caller promises.
    unsafe { start_on_kernel_stack(base + area::STACK_TOP, base + area::CORE_PAGE, cause, root.0) }
}

const _: () = assert!(KERNEL_DATA == KERNEL_CODE + 8 && USER_DATA == (SYSRET_BASE + 8) | 3);
const _: () = assert!(USER_CODE == (SYSRET_BASE + 16) | 3);
