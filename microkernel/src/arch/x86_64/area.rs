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
use crate::limits::{AREA_STRIDE, KERNEL_STACK, MAX_CORES, PAGE};
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

/// The mapped pages.
const MAPPED: [u64; 17] = [1, 2, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 18, 20, 21, 22, 23];

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
    MAPPED.iter().map(|page| page * PAGE)
}
