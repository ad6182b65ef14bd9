//! A core's area: its stacks and its own pages, at an address fixed by the core's number.
//!
//! | page | what |
//! | --- | --- |
//! | 1 to 4 | kernel stack |
//! | 6 to 7 | interrupt stack of NMI |
//! | 9 to 10 | of double fault |
//! | 12 to 13 | of machine check |
//! | 15 to 16 | of page fault |
//! | 18 | [`Core`](super::core::Core) |
//! | 20 | [`Mailbox`](super::mailbox::Mailbox): the supervisor's orders; its owner can only read it |
//! | 21 | what the core notes for itself |
//! | 22 | [trace ring](crate::trace) |
//! | 23 | [epitaph](crate::panic) |
//!
//! All other pages are guards: never mapped, so that an overflow faults.

use super::layout::CORE_AREAS;
use crate::limits::{AREA_STRIDE, INTERRUPT_STACK, KERNEL_STACK, MAX_CORES, PAGE};
use crate::types::CoreId;

/// Where the kernel stack ends (its first push lands below).
pub const STACK_TOP: u64 = PAGE + KERNEL_STACK;
/// Where each interrupt stack ends: NMI, double fault, machine check, page fault.
pub const IST_TOPS: [u64; 4] = [8 * PAGE, 11 * PAGE, 14 * PAGE, 17 * PAGE];
/// The page of the [`Core`](super::core::Core).
pub const CORE_PAGE: u64 = 18 * PAGE;
/// The page of the [`Mailbox`](super::mailbox::Mailbox).
pub const MAILBOX_PAGE: u64 = 20 * PAGE;
/// The page of what the core notes for itself.
pub const NOTES_PAGE: u64 = 21 * PAGE;
/// The page of the trace ring.
pub const TRACE_PAGE: u64 = 22 * PAGE;
/// The page of the epitaph.
pub const EPITAPH_PAGE: u64 = 23 * PAGE;

/// The mapped pages: first page and how many.
pub const MAPPED: [(u64, u64); 9] = [
    (1, KERNEL_STACK / PAGE),
    (6, INTERRUPT_STACK / PAGE),
    (9, INTERRUPT_STACK / PAGE),
    (12, INTERRUPT_STACK / PAGE),
    (15, INTERRUPT_STACK / PAGE),
    (18, 1),
    (20, 2),
    (22, 1),
    (23, 1),
];

/// Where a core's area begins.
#[must_use]
pub const fn base(core: CoreId) -> u64 {
    CORE_AREAS + core.index() as u64 * AREA_STRIDE
}

/// The core whose area an address lies in.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "areas exist for cores only, whose numbers fit")]
pub const fn owner(address: u64) -> CoreId {
    CoreId((address.wrapping_sub(CORE_AREAS) / AREA_STRIDE % MAX_CORES as u64) as u8)
}

/// The offsets of all mapped pages.
pub fn mapped_pages() -> impl Iterator<Item = u64> {
    MAPPED.into_iter().flat_map(|(first, count)| (first..first + count).map(|page| page * PAGE))
}
