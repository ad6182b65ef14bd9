//! A mistake, for the sharing detector to find: one counter for all subOSes, as somebody might add who wants to know how
//! often the kernel is entered. Only the build with the feature `shared-counter` has it.
//!
//! It takes two changes, for the linker script refuses writable statics: the counter lies in the sealed part of the image,
//! and that part stays writable after boot.

use super::half::Access;

#[cfg(feature = "shared-counter")]
pub(crate) use mistake::{SEALED, count_entry};

/// What may be done with the sealed part of the image after boot.
#[cfg(not(feature = "shared-counter"))]
pub(crate) const SEALED: Access = Access::Read;

/// Nothing is counted.
#[cfg(not(feature = "shared-counter"))]
#[inline(always)]
pub(crate) fn count_entry() {}

#[cfg(feature = "shared-counter")]
mod mistake {
    use core::sync::atomic::{AtomicU64, Ordering};

    use super::Access;

    pub(crate) const SEALED: Access = Access::Write;

    /// How often any kernel was entered.
    #[unsafe(link_section = ".sealed")]
    static ENTRIES: AtomicU64 = AtomicU64::new(0);

    /// Counts an entry.
    #[inline(never)]
    pub(crate) fn count_entry() {
        ENTRIES.fetch_add(1, Ordering::Relaxed);
    }
}
