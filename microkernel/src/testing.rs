//! Memory that stands for physical memory in host tests.

use std::boxed::Box;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::vec;

use crate::arch::physmap;
use crate::limits::PAGE;
use crate::memory::{Memory, Ref};
use crate::object::thread::{SIZE, Thread};
use crate::types::{CoreId, PhysAddr};

const PAGES: u64 = 256;

/// The one piece of lent memory: whoever holds the guard has it for itself.
pub(crate) fn physical_memory() -> MutexGuard<'static, ()> {
    static LENT: OnceLock<Mutex<()>> = OnceLock::new();
    let lent = LENT.get_or_init(|| {
        let memory = vec![0_u8; usize::try_from((PAGES + 1) * PAGE).expect("small")];
        let memory = Box::leak(memory.into_boxed_slice());
        let skip = memory.as_ptr().align_offset(usize::try_from(PAGE).expect("small"));
        physmap::lend(memory.get_mut(skip..).expect("one page more than needed"));
        Mutex::new(())
    });
    lent.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// So many fresh threads.
pub(crate) fn threads(memory: &mut Memory, count: u64) -> std::vec::Vec<Ref<Thread>> {
    assert!(count < PAGES, "threads fit");
    let place = |page| {
        memory.create(PhysAddr(page * SIZE), Thread::new(CoreId::BOOT));
        Ref::at(PhysAddr(page * SIZE))
    };
    (1..=count).map(place).collect()
}
