//! Timing one operation: the TSC before and after, less what reading it costs.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

use idl::record::RecordWriter;
use userlib::testing::mark;
use userlib::{console, time};

use crate::Outcome;

/// Markers around what is timed, for the plugin to follow instruction by instruction when it was asked to. They are
/// executed before and after the clock is read.
const FOLLOW: i32 = 0xfff2;
const FOLLOWED: i32 = 0xfff3;
/// One of so many is enough. Odd, since some rows are timed in pairs.
const FOLLOWED_OF: u32 = 7;

/// How often an operation is timed where nothing limits it.
pub(super) const ROUNDS: usize = 200;

/// A clock that knows what reading it costs.
pub(super) struct Clock {
    overhead: u64,
    /// How often something was timed.
    times: Cell<u32>,
}

/// Now, in executed instructions.
#[inline(always)]
pub(super) fn now() -> u64 {
    time::now().0
}

impl Clock {
    /// Measures what reading the clock costs, and takes the least: nothing can make it look cheaper than it is.
    pub(super) fn new() -> Self {
        let overhead = (0..ROUNDS)
            .map(|_| {
                let begin = now();
                let end = now();
                end.wrapping_sub(begin)
            })
            .min();
        Self { overhead: overhead.unwrap_or(0), times: Cell::new(0) }
    }

    /// How long something took.
    #[inline(always)]
    pub(super) fn between(&self, begin: u64, end: u64) -> u64 {
        end.wrapping_sub(begin).saturating_sub(self.overhead)
    }

    /// Does something and says how long it took.
    #[inline(always)]
    pub(super) fn time<R>(&self, operation: impl FnOnce() -> R) -> (u64, R) {
        let times = self.times.replace(self.times.get().wrapping_add(1));
        if times.is_multiple_of(FOLLOWED_OF) {
            mark::<FOLLOW>();
        }
        let begin = now();
        let result = operation();
        let end = now();
        mark::<FOLLOWED>();
        (self.between(begin, end), result)
    }
}

/// What was measured of one operation.
pub(super) struct Row {
    name: &'static str,
    samples: Vec<u64>,
}

impl Row {
    /// An operation of this name, with room for so many samples: none is made while something is timed.
    pub(super) fn new(name: &'static str, rounds: usize) -> Self {
        Self { name, samples: Vec::with_capacity(rounds) }
    }

    pub(super) fn add(&mut self, sample: u64) {
        self.samples.push(sample);
    }

    /// Forgets the first sample, for what is different the first time.
    pub(super) fn forget_first(&mut self) {
        if !self.samples.is_empty() {
            self.samples.remove(0);
        }
    }

    /// Reports the median and the worst, as a record.
    pub(super) fn report(mut self) -> Outcome {
        self.samples.sort_unstable();
        let middle = self.samples.get(self.samples.len() / 2).copied();
        let median = middle.ok_or_else(|| String::from("nothing was measured"))?;
        let worst = self.samples.last().copied().unwrap_or(median);
        let mut writer = console::Writer::new();
        let written = RecordWriter::begin(&mut writer, "bench")
            .and_then(|record| record.field("name", self.name))
            .and_then(|record| record.field("median", median))
            .and_then(|record| record.field("worst", worst))
            .and_then(|record| record.field("samples", self.samples.len()))
            .and_then(RecordWriter::end);
        written.map_err(|_| String::from("the record cannot be written"))
    }
}
