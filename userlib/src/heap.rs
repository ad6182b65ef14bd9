//! The heap: `talc` over memory that grows by regions of this program's own.

use core::alloc::Layout;

use idl::types::Pages;
use talc::TalcLock;
use talc::base::Talc;
use talc::base::binning::Binning;
use talc::source::Source;

use crate::memory;
use crate::sync::RawLock;

/// Pages by which the heap grows at least: rarely enough that its regions do not use up slots and bindings.
const GROWTH: u32 = 128;
/// Bytes that talc's own tables and headers may need of a fresh piece.
const OVERHEAD: usize = 16 << 10;

#[global_allocator]
static HEAP: TalcLock<RawLock, Growing> = TalcLock::new(Growing);

/// Where the heap's memory comes from.
#[derive(Debug)]
struct Growing;

// SAFETY: `acquire` claims memory that is fresh, mapped for good and used by nothing else, and uses neither the
// heap nor anything that does: `memory` keeps its accounts in fixed arrays.
unsafe impl Source for Growing {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let wanted = layout.size().checked_add(layout.align()).and_then(|size| size.checked_add(OVERHEAD));
        let pages = wanted.and_then(|size| memory::pages_for(size as u64).ok()).ok_or(())?;
        let pages = Pages(pages.0.max(GROWTH));
        let memory = memory::allocate(pages).map_err(|_| ())?;
        // SAFETY: the slice is exclusively ours, for good.
        unsafe { talc.claim(memory.as_mut_ptr(), memory.len()) }.map(|_| ()).ok_or(())
    }
}
