//! The counters: for each core, instructions executed and how many of them were PAUSE.
//!
//! Only the host thread that runs a core changes that core's counters, so a load and a store do, without a locked
//! instruction. Another thread may read a value that is a few instructions old; under `-icount` all cores run in one
//! thread and every value is exact.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The most cores that can be counted.
pub(crate) const CORES: usize = 64;

/// One core's counters, on a cache line of their own.
#[repr(align(64))]
struct Counter {
    instructions: AtomicU64,
    pauses: AtomicU64,
}

static COUNTERS: [Counter; CORES] =
    [const { Counter { instructions: AtomicU64::new(0), pauses: AtomicU64::new(0) } }; CORES];

fn increase(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed).wrapping_add(1), Relaxed);
}

/// A core is about to execute an instruction.
#[inline]
pub(crate) fn instruction(core: u32) {
    if let Some(counter) = COUNTERS.get(core as usize) {
        increase(&counter.instructions);
    }
}

/// A core is about to execute a PAUSE.
#[inline]
pub(crate) fn pause(core: u32) {
    if let Some(counter) = COUNTERS.get(core as usize) {
        increase(&counter.instructions);
        increase(&counter.pauses);
    }
}

/// Instructions and pauses so far of the first `cores` cores.
pub(crate) fn so_far(cores: usize) -> impl Iterator<Item = (u64, u64)> {
    COUNTERS.iter().take(cores).map(|core| (core.instructions.load(Relaxed), core.pauses.load(Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_count_apart_and_too_many_cores_are_ignored() {
        let core = |number| so_far(CORES).nth(number).expect("it exists");
        let before = core(63);
        (0..3).for_each(|_| instruction(63));
        pause(63);
        instruction(64);
        assert_eq!(core(63), (before.0 + 4, before.1 + 1));
        assert_eq!(core(62), (0, 0));
        assert_eq!(so_far(2).count(), 2);
    }
}
