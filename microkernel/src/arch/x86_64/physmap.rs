//! The physical map: the only place that turns a physical address into a pointer.
//!
//! On the target the map is at [`PHYSMAP`](super::layout::PHYSMAP). Compiled for the host there is no such map; tests lend a piece of
//! memory that stands for physical memory from address 0 on ([`lend`]), so that kernel code which works through this
//! module can be tested there.

#[cfg(feature = "image")]
use super::layout;
use crate::limits::PAGE_BYTES;
use crate::types::PhysAddr;

#[cfg(feature = "image")]
#[inline(always)]
fn base() -> u64 {
    layout::PHYSMAP
}

#[cfg(not(feature = "image"))]
use host::base;
#[cfg(not(feature = "image"))]
pub use host::lend;

/// Physical memory for tests.
#[cfg(not(feature = "image"))]
mod host {
    use core::sync::atomic::{AtomicU64, Ordering};

    static BASE: AtomicU64 = AtomicU64::new(0);

    pub(super) fn base() -> u64 {
        BASE.load(Ordering::Relaxed)
    }

    /// Lends memory that is to stand for physical memory from address 0 on; page-aligned, for the whole process.
    pub fn lend(memory: &'static mut [u8]) {
        let address = memory.as_mut_ptr() as u64;
        assert!(address.is_multiple_of(crate::limits::PAGE), "lent memory is page-aligned");
        BASE.store(address, Ordering::Relaxed);
    }
}

/// Where the kernel sees a physical address. The result may be followed only under the rules of the functions below.
#[inline(always)]
#[must_use]
pub fn pointer<T>(address: PhysAddr) -> *mut T {
    base().wrapping_add(address.0) as *mut T
}

/// The physical address of something seen through the map.
#[inline(always)]
#[must_use]
pub fn physical<T: ?Sized>(value: *const T) -> PhysAddr {
    PhysAddr((value.cast::<u8>() as u64).wrapping_sub(base()))
}

/// Borrows what lies at a physical address.
///
/// # Safety
/// A valid `T` lies there, aligned, in memory that this kernel maps, and nobody writes it for as long as `'a`.
#[inline(always)]
#[must_use]
pub unsafe fn reference<'a, T>(address: PhysAddr) -> &'a T {
    // SAFETY: passed on to the caller.
    unsafe { &*pointer(address) }
}

/// Borrows what lies at a physical address, exclusively.
///
/// # Safety
/// As for [`reference()`], and nobody else reads or writes it for as long as `'a`.
#[inline(always)]
#[must_use]
pub unsafe fn exclusive<'a, T>(address: PhysAddr) -> &'a mut T {
    // SAFETY: passed on to the caller.
    unsafe { &mut *pointer(address) }
}

/// Fills one page with zeroes.
///
/// # Safety
/// The page is mapped by this kernel and nothing refers to what it holds.
pub unsafe fn zero_page(page: PhysAddr) {
    let start: *mut u8 = pointer(page);
    // SAFETY: passed on to the caller; a page of bytes may hold anything.
    unsafe { start.write_bytes(0, PAGE_BYTES) };
}
