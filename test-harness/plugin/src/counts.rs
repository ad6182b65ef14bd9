//! The counters of each core.
//!
//! Only the host thread that runs a core changes that core's counters, so a load and a store do, without a locked
//! instruction. Another thread may read a value that is a few instructions old; under `-icount` all cores run in one
//! thread and every value is exact.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The most cores that can be counted.
pub(crate) const CORES: usize = 64;
/// The longest round of a loop that waits, in instructions. Two executions of one PAUSE that lie further apart are
/// two waits and not one.
const LONGEST_ROUND: u64 = 256;

/// What a core has executed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// All instructions.
    pub(crate) instructions: u64,
    /// Those of them that were rounds of a loop that waits: from one execution of a PAUSE to the next of the same.
    pub(crate) waits: u64,
    /// Those of them that lie in the address ranges that were to be counted apart.
    pub(crate) apart: u64,
}

/// One core's counters, on a cache line of their own.
#[repr(align(64))]
struct Counter {
    instructions: AtomicU64,
    waits: AtomicU64,
    apart: AtomicU64,
    /// The address of the last PAUSE, and `instructions` when it was executed.
    paused_at: AtomicU64,
    paused_when: AtomicU64,
}

impl Counter {
    const fn new() -> Self {
        Self {
            instructions: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            apart: AtomicU64::new(0),
            paused_at: AtomicU64::new(u64::MAX),
            paused_when: AtomicU64::new(0),
        }
    }
}

static COUNTERS: [Counter; CORES] = [const { Counter::new() }; CORES];

fn increase(counter: &AtomicU64, by: u64) -> u64 {
    let value = counter.load(Relaxed).wrapping_add(by);
    counter.store(value, Relaxed);
    value
}

/// A core is about to execute an instruction.
#[inline]
pub(crate) fn instruction(core: u32) {
    if let Some(counter) = COUNTERS.get(core as usize) {
        increase(&counter.instructions, 1);
    }
}

/// A core is about to execute an instruction that is counted apart as well.
#[inline]
pub(crate) fn apart(core: u32) {
    if let Some(counter) = COUNTERS.get(core as usize) {
        increase(&counter.instructions, 1);
        increase(&counter.apart, 1);
    }
}

/// A core is about to execute the PAUSE at this address.
pub(crate) fn pause(core: u32, address: u64) {
    let Some(counter) = COUNTERS.get(core as usize) else { return };
    let now = increase(&counter.instructions, 1);
    let round = now.wrapping_sub(counter.paused_when.load(Relaxed));
    if counter.paused_at.load(Relaxed) == address && round <= LONGEST_ROUND {
        increase(&counter.waits, round);
    }
    counter.paused_at.store(address, Relaxed);
    counter.paused_when.store(now, Relaxed);
}

/// How many instructions of a core were rounds of a loop that waits, so far.
pub(crate) fn waits(core: u32) -> u64 {
    COUNTERS.get(core as usize).map_or(0, |counter| counter.waits.load(Relaxed))
}

/// What the first `cores` cores have executed so far.
pub(crate) fn so_far(cores: usize) -> impl Iterator<Item = Counts> {
    COUNTERS.iter().take(cores).map(|core| Counts {
        instructions: core.instructions.load(Relaxed),
        waits: core.waits.load(Relaxed),
        apart: core.apart.load(Relaxed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core(number: usize) -> Counts {
        so_far(CORES).nth(number).expect("it exists")
    }

    #[test]
    fn cores_count_apart_and_too_many_cores_are_ignored() {
        (0..3).for_each(|_| instruction(63));
        apart(63);
        instruction(64);
        assert_eq!(core(63), Counts { instructions: 4, waits: 0, apart: 1 });
        assert_eq!(so_far(2).count(), 2);
    }

    #[test]
    fn rounds_of_a_wait_are_told_from_what_lies_before_and_after() {
        let work = |count| (0..count).for_each(|_| instruction(5));
        work(10);
        for _ in 0..4 {
            pause(5, 0x100);
            work(2);
        }
        assert_eq!(core(5), Counts { instructions: 22, waits: 9, apart: 0 }, "three rounds of three");
        work(1000);
        pause(5, 0x100);
        assert_eq!(core(5).waits, 9, "another wait at the same place, much later");
        pause(5, 0x200);
        assert_eq!(core(5).waits, 9, "a wait at another place");
        pause(5, 0x200);
        assert_eq!(core(5).waits, 10);
    }
}
