//! Two of three mistakes, for the sharing detector to find. Only the build with the feature `shared-counter` has them.
//!
//! The first is a counter for all subOSes, as somebody might add who wants to know how often the kernel is entered. It
//! takes two changes, for the linker script refuses writable statics: the counter lies in the sealed part of the image,
//! and that part stays writable after boot.
//!
//! The second is a supervisor that looks at another subOS's kernel without visiting it. The third is in
//! `machine::planted`.

use super::core::Core;
use super::half::Access;

#[cfg(feature = "shared-counter")]
pub(crate) use mistakes::{SEALED, entered};

/// What may be done with the sealed part of the image after boot.
#[cfg(not(feature = "shared-counter"))]
pub(crate) const SEALED: Access = Access::Read;

/// Nothing is shared.
#[cfg(not(feature = "shared-counter"))]
#[inline(always)]
#[cfg_attr(feature = "hooks", track_caller)]
pub(crate) fn entered(_: &Core) {
    super::testing::passage();
}

#[cfg(feature = "shared-counter")]
mod mistakes {
    use core::sync::atomic::{AtomicU64, Ordering};

    use super::super::physmap;
    use super::{Access, Core};
    use crate::kernel::KernelCell;
    use crate::machine::places;
    use crate::types::{PhysAddr, SubOsId};

    pub(crate) const SEALED: Access = Access::Write;

    /// How often any kernel was entered.
    #[unsafe(link_section = ".sealed")]
    static ENTRIES: AtomicU64 = AtomicU64::new(0);

    /// A kernel is entered on this core.
    pub(crate) fn entered(core: &Core) {
        count_entry();
        crate::machine::planted::looked(core);
        if core.subos() == Some(SubOsId::SUPERVISOR) {
            peek_at_kernel(places().shelf().visited());
        }
    }

    #[inline(never)]
    fn count_entry() {
        ENTRIES.fetch_add(1, Ordering::Relaxed);
    }

    /// Reads a word of each line of the kernel that was visited last.
    #[inline(never)]
    fn peek_at_kernel(cell: PhysAddr) {
        for offset in (0..size_of::<KernelCell>() as u64).step_by(64).filter(|_| cell.0 != 0) {
            // SAFETY: the supervisor maps all memory, and nothing depends on what is read.
            let _ =
                core::hint::black_box(unsafe { physmap::pointer::<u64>(cell.plus(offset)).read_volatile() });
        }
    }
}
