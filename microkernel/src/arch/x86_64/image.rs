//! Where the linker put the image's parts (see `kernel.ld`).

use super::core::Core;
use super::layout;
use crate::limits::PAGE_BYTES;
use crate::panic::Epitaph;
use crate::trace::{self, Ring};
use crate::types::CoreId;
use crate::types::PhysAddr;

unsafe extern "C" {
    static __text_start: u8;
    static __text_end: u8;
    static __rodata_start: u8;
    static __rodata_end: u8;
    static __sealed_start: u8;
    static __sealed_end: u8;
    static __image_end: u8;
    static __image_physical_start: u8;
    static boot_pml4: u8;
}

/// A part of the image, by virtual addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its first byte.
    pub start: u64,
    /// The first byte after it.
    pub end: u64,
}

/// Code.
#[must_use]
pub fn text() -> Part {
    Part { start: &raw const __text_start as u64, end: &raw const __text_end as u64 }
}

/// Constants.
#[must_use]
pub fn rodata() -> Part {
    Part { start: &raw const __rodata_start as u64, end: &raw const __rodata_end as u64 }
}

/// What boot writes and the seal makes read-only.
#[must_use]
pub fn sealed() -> Part {
    Part { start: &raw const __sealed_start as u64, end: &raw const __sealed_end as u64 }
}

/// The image in physical memory: start and end, page-aligned.
#[must_use]
pub fn physical() -> (PhysAddr, PhysAddr) {
    (PhysAddr(&raw const __image_physical_start as u64), physical_of(&raw const __image_end as u64))
}

/// The root of the boot page tables.
#[must_use]
pub fn boot_root() -> PhysAddr {
    physical_of(&raw const boot_pml4 as u64)
}

/// The physical address of something in the image.
#[must_use]
pub fn physical_of(address: u64) -> PhysAddr {
    PhysAddr(address - layout::IMAGE)
}

/// This core's trace ring.
pub(crate) fn trace_ring(core: &mut Core) -> &mut Ring {
    let place = trace::address(core.id()) as *mut Ring;
    // SAFETY: the page is mapped wherever the core runs, zeroes are a valid ring, and the exclusive reference to the
    // core stands for exclusive use of the ring.
    unsafe { &mut *place }
}

/// This core's epitaph page.
pub(crate) fn epitaph(core: &mut Core) -> &mut Epitaph {
    let place = (super::area::base(core.id()) + super::area::EPITAPH_PAGE) as *mut Epitaph;
    // SAFETY: as for the trace ring; a page of zeroes is a valid, empty epitaph.
    unsafe { &mut *place }
}

/// The core this code runs on, for those who hold nothing: only the panic handler.
///
/// # Safety
/// Boot has set GS on this core, and whoever holds the core's struct never runs again.
pub(crate) unsafe fn seize_core() -> &'static mut Core {
    let core: *mut Core;
    // SAFETY: GS points to the core's struct, whose first field is its own address.
    unsafe {
        core::arch::asm!(
            "mov {}, gs:[{this}]",
            out(reg) core,
            this = const super::core::CORE_THIS,
            options(nostack, readonly, preserves_flags)
        );
    }
    // SAFETY: the caller's promise.
    unsafe { &mut *core }
}

/// Fills a page of this core's area with zeroes.
pub(crate) fn clear_epitaph_page(core: CoreId) {
    let place = (super::area::base(core) + super::area::EPITAPH_PAGE) as *mut u8;
    // SAFETY: the page is mapped wherever its core runs, and no reference to it lives on a parked core.
    unsafe { place.write_bytes(0, PAGE_BYTES) };
}
