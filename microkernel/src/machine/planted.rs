//! A third mistake for the sharing detector to find (the others are in `arch/x86_64/planted.rs`): whoever opens a
//! window makes its memory visible to a third subOS as well, and that one's kernel looks at it. Only the build with the feature
//! `shared-counter` has it.

#[cfg(all(feature = "shared-counter", feature = "image"))]
pub(crate) use mistake::{looked, opened};

/// A window is the affair of two.
#[cfg(not(all(feature = "shared-counter", feature = "image")))]
pub(super) const fn opened(_: &mut super::books::Books, _: &caps::ledger::LotEntry) {}

#[cfg(all(feature = "shared-counter", feature = "image"))]
mod mistake {
    use core::sync::atomic::{AtomicU64, Ordering};

    use caps::ledger::LotEntry;

    use crate::arch::{Core, physmap};
    use crate::limits::PAGE;
    use crate::machine::books::Books;
    use crate::machine::{create, lots, number_of};
    use crate::types::PhysAddr;

    /// Where the window's memory is.
    #[unsafe(link_section = ".sealed")]
    static WINDOW: AtomicU64 = AtomicU64::new(0);
    /// The number of the third.
    #[unsafe(link_section = ".sealed")]
    static THIRD: AtomicU64 = AtomicU64::new(0);

    /// A window is about to be opened, of which this is one side.
    pub(crate) fn opened(books: &mut Books, side: &LotEntry) {
        let holders: heapless::Vec<_, 2> = {
            let ledger = books.ledger();
            let sides = ledger.lots().filter(|(_, lot)| lot.first == side.first);
            sides.filter_map(|(_, lot)| lot.holder.subos()).take(2).collect()
        };
        let others = books.records.iter().filter_map(|record| record.id);
        let third = others.into_iter().find(|id| !create::is_supervisor(*id) && !holders.contains(id));
        if let Some(third) = third.filter(|_| WINDOW.load(Ordering::Relaxed) == 0)
            && lots::map(books, third, side).is_ok()
        {
            THIRD.store(number_of(third).0.into(), Ordering::Relaxed);
            WINDOW.store(side.address(), Ordering::Release);
        }
    }

    /// A kernel is entered on this core: the third's looks at the window.
    pub(crate) fn looked(core: &Core) {
        let window = WINDOW.load(Ordering::Acquire);
        let me = core.subos().map(|subos| u64::from(subos.0));
        if window != 0 && me == Some(THIRD.load(Ordering::Relaxed)) {
            peek_at_window(PhysAddr(window));
        }
    }

    /// Reads a word of each line of the window's first pages.
    #[inline(never)]
    fn peek_at_window(window: PhysAddr) {
        for offset in (0..2 * PAGE).step_by(64) {
            // SAFETY: the memory was mapped into this kernel's half, and nothing depends on what is read.
            let _ = core::hint::black_box(unsafe {
                physmap::pointer::<u64>(window.plus(offset)).read_volatile()
            });
        }
    }
}
