//! Memory that belongs to no kernel, or to another one: the machine part reaches it by its physical address.
//! All of this works in the supervisor's kernel only; elsewhere the memory is not mapped, and access faults.

use super::books::Shelf;
use super::windows::Bells;
use crate::arch::physmap;
use crate::arch::x86_64::apic;
use crate::kernel::KernelCell;
use crate::limits::{PAGE, SCRUB_BUDGET, SCRUB_MOST};
use crate::types::PhysAddr;

/// The shelf that boot put here.
pub(super) fn shelf(at: PhysAddr) -> &'static Shelf {
    // SAFETY: boot wrote a Shelf here before it settled the place, and nothing ever moves or ends it.
    unsafe { physmap::reference(at) }
}

/// The kernel that is here.
pub(super) fn cell(at: PhysAddr) -> &'static KernelCell {
    // SAFETY: birth made a cell here, and it stays until the subOS has been destroyed, after every core has left it;
    // what is behind its lock is reached through the lock.
    unsafe { physmap::reference(at) }
}

/// The doorbells of a window. Both its sides' kernels map it, too.
pub(super) fn bells(at: PhysAddr) -> &'static Bells {
    // SAFETY: the page is the doorbells' for as long as the lot is a window, zeroes are valid, and all in it is atomic and
    // used by shared reference alone; whoever has lost its side has been told so under the lock before it is unmapped.
    unsafe { physmap::reference(at) }
}

/// Puts the shelf in its place, at boot.
#[cfg(feature = "image")]
pub(super) fn place_shelf(at: PhysAddr, inventory: super::books::Inventory) {
    // SAFETY: boot took this memory from the system pages for the shelf, and nothing refers to it yet.
    unsafe { physmap::pointer::<Shelf>(at).write(Shelf::new(inventory)) };
}

/// An array in system pages that boot took for it; all zero.
#[cfg(feature = "image")]
pub(super) fn array<T>(at: PhysAddr, length: usize) -> &'static mut [T] {
    // SAFETY: boot took zeroed pages for this array alone, for ever, and zero is valid for its elements.
    unsafe { core::slice::from_raw_parts_mut(physmap::pointer(at), length) }
}

/// Clears pages that nobody uses: of a lot without owner, or of one that is being made.
pub(super) fn clear_pages(start: PhysAddr, count: u64) {
    assert!(start.is_aligned(PAGE), "a page is page-aligned");
    let bytes = usize::try_from(count * PAGE).unwrap_or(0);
    // SAFETY: the ledger says that nobody owns the pages now, so no kernel but the supervisor's maps them, and nothing
    // refers to them.
    unsafe { physmap::pointer::<u8>(start).write_bytes(0, bytes) };
}

/// Clears pages that nobody uses, until all are clear, an interrupt waits, or it has been enough for one call; says how many
/// it cleared. Not inlined, so that the bench can find it: what it takes, the looks for interrupts included, grows with the
/// memory alone, and is counted apart.
#[inline(never)]
pub(super) fn clear_run(start: PhysAddr, pages: u64) -> u64 {
    let (mut cleared, most) = (0, pages.min(SCRUB_MOST));
    while cleared < most && (cleared == 0 || !apic::interrupt_waits()) {
        let count = SCRUB_BUDGET.min(most - cleared);
        clear_pages(start.plus(cleared * PAGE), count);
        cleared += count;
    }
    cleared
}

/// Copies a page of the supervisor's memory, so many bytes of it at most, to one of a subOS that does not run yet, which is
/// zero.
pub(super) fn copy_page(from: PhysAddr, to: PhysAddr, bytes: u64) {
    assert!(from.is_aligned(PAGE) && to.is_aligned(PAGE), "pages are page-aligned");
    let source = physmap::pointer::<u64>(from);
    let target = physmap::pointer::<u64>(to);
    let bytes = bytes.min(PAGE);
    let copy_word = |index: usize, mask: u64| {
        // SAFETY: within the page, which is memory of the supervisor's; volatile, since its programs may write it.
        let word = unsafe { source.wrapping_add(index).read_volatile() };
        // SAFETY: within the page, which is memory of a subOS that has not started, and which nothing refers to.
        unsafe { target.wrapping_add(index).write(word & mask) };
    };
    let words = (bytes / 8) as usize;
    (0..words).for_each(|index| copy_word(index, u64::MAX));
    if !bytes.is_multiple_of(8) {
        copy_word(words, (1 << (8 * (bytes % 8))) - 1);
    }
}

/// The first words of a page of the supervisor's memory, copied.
pub(super) fn read_words<const N: usize>(page: PhysAddr) -> [u64; N] {
    const { assert!(N as u64 * 8 <= PAGE) };
    assert!(page.is_aligned(PAGE), "a page is page-aligned");
    let source = physmap::pointer::<u64>(page);
    let mut words = [0; N];
    for (index, word) in words.iter_mut().enumerate() {
        // SAFETY: within the page, by the assertion; volatile, since programs may write it.
        *word = unsafe { source.wrapping_add(index).read_volatile() };
    }
    words
}

/// The upper half of a home root, to be given to the kernel that it is for.
pub(super) fn upper_half(root: PhysAddr) -> [u64; 256] {
    let mut upper = [0; 256];
    for (index, word) in upper.iter_mut().enumerate() {
        // SAFETY: a page root is a page of 512 words.
        *word = unsafe { physmap::pointer::<u64>(root).wrapping_add(256 + index).read_volatile() };
    }
    upper
}
