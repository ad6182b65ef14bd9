//! Measuring and reporting.

use alloc::vec::Vec;

use userlib::{println, time};

/// How often each operation is done. The first few warm up whatever is made once.
pub(super) const TIMES: usize = 64;
/// How many of them do not count.
const WARM: usize = 8;

/// What two readings of the clock cost, one after the other.
fn overhead() -> u64 {
    let pairs = (0..16).map(|_| {
        let begin = time::now().0;
        time::now().0 - begin
    });
    pairs.min().unwrap_or(0)
}

/// The ticks that an operation takes, less those of reading the clock.
#[inline(always)]
pub(super) fn timed<T>(operation: impl FnOnce() -> T) -> (u64, T) {
    let begin = time::now().0;
    let value = operation();
    (time::now().0 - begin, value)
}

/// Does something so often, each time with a figure, and reports the median and the worst.
///
/// # Errors
/// The first error of the operation.
pub(super) fn report<E>(name: &str, mut once: impl FnMut(usize) -> Result<u64, E>) -> Result<(), E> {
    let overhead = overhead();
    let mut figures = Vec::with_capacity(TIMES);
    for round in 0..TIMES + WARM {
        let ticks = once(round)?;
        if round >= WARM {
            figures.push(ticks.saturating_sub(overhead));
        }
    }
    figures.sort_unstable();
    let (median, worst) = (figures[TIMES / 2], figures[TIMES - 1]);
    println!("@bench name={name} median={median} worst={worst}");
    Ok(())
}
