//! Which instructions a core executes between two markers, in order: where the time goes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::log;

/// The core that is followed, plus one; 0 is none.
static FOLLOWED: AtomicU64 = AtomicU64::new(0);

/// Follows this core from now on, instead of any other.
pub(crate) fn begin(core: u32) {
    FOLLOWED.store(u64::from(core) + 1, Relaxed);
}

/// Follows no core any more.
pub(crate) fn end() {
    FOLLOWED.store(0, Relaxed);
}

/// A core is about to execute the instruction at this address.
pub(crate) fn instruction(core: u32, address: u64) {
    if FOLLOWED.load(Relaxed) == u64::from(core) + 1 {
        log::line(format_args!("at {address:#x}"));
    }
}
