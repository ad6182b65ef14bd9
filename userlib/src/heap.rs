//! The heap: `talc` over memory that grows by regions of this program's own.

use core::alloc::Layout;
use core::sync::atomic::{AtomicU32, Ordering};

use idl::types::Pages;
use talc::TalcLock;
use talc::base::Talc;
use talc::base::binning::Binning;
use talc::source::Source;

use crate::memory;
use crate::sync::RawLock;

/// Pages by which the heap grows first.
const FIRST_GROWTH: u32 = 64;
/// Pages by which it grows at most beyond what is asked for. Each growth is twice the one before, so that its regions
/// do not use up slots and bindings.
const MOST_GROWTH: u32 = 4096;
/// Bytes that talc's own tables and headers may need of a fresh piece.
const OVERHEAD: usize = 16 << 10;

#[global_allocator]
static HEAP: TalcLock<RawLock, Growing> = TalcLock::new(Growing);

static NEXT_GROWTH: AtomicU32 = AtomicU32::new(FIRST_GROWTH);

/// Where the heap's memory comes from.
#[derive(Debug)]
struct Growing;

// SAFETY: `acquire` claims memory that is fresh, mapped for good and used by nothing else, and uses neither the
// heap nor anything that does: `memory` keeps its accounts in fixed arrays.
unsafe impl Source for Growing {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let wanted = layout.size().checked_add(layout.align()).and_then(|size| size.checked_add(OVERHEAD));
        let pages = wanted.and_then(|size| memory::pages_for(size as u64).ok()).ok_or(())?;
        let growth = Pages(pages.0.max(NEXT_GROWTH.load(Ordering::Relaxed)));
        let memory = match memory::allocate(growth) {
            Ok(memory) => memory,
            Err(_) if growth > pages => memory::allocate(pages).map_err(|_| ())?,
            Err(_) => return Err(()),
        };
        // The heap's lock is held: nobody else is here.
        NEXT_GROWTH.store(growth.0.saturating_mul(2).min(MOST_GROWTH), Ordering::Relaxed);
        // SAFETY: the slice is exclusively ours, for good.
        unsafe { talc.claim(memory.as_mut_ptr(), memory.len()) }.map(|_| ()).ok_or(())
    }
}
