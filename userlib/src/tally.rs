//! How much a server does, on a page that its init can see.
//!
//! Three words: how many things it has done, when it did the last, and the longest time between two of them, which whoever
//! reads it sets to 0.

use core::sync::atomic::{AtomicU64, Ordering};

use caps::{Error, Handle, Rights};
use idl::types::Ticks;

use crate::memory::Mapping;
use crate::{cap, time};

const COUNT: usize = 0;
const LAST: usize = 1;
const LONGEST: usize = 2;

/// A server's tally.
#[derive(Debug)]
pub struct Tally(Mapping);

impl Tally {
    /// The tally on the page that this capability names, as its server sees it.
    ///
    /// # Errors
    /// Those of mapping it.
    pub fn on(page: Handle) -> Result<Self, Error> {
        Mapping::of(cap(page), Rights::READ | Rights::WRITE).map(Self)
    }

    /// The tally on this page, as whoever looks after the server sees it.
    #[must_use]
    pub const fn of(page: Mapping) -> Self {
        Self(page)
    }

    /// The page.
    #[must_use]
    pub const fn page(&self) -> &Mapping {
        &self.0
    }

    /// Another thing is done.
    pub fn add(&self) {
        let now = time::now().0;
        let last = self.read(LAST);
        if last != 0 {
            let between = now.saturating_sub(last);
            self.word(LONGEST, |word| word.fetch_max(between, Ordering::Relaxed));
        }
        self.word(LAST, |word| {
            word.store(now, Ordering::Relaxed);
            now
        });
        self.word(COUNT, |word| word.fetch_add(1, Ordering::Relaxed));
    }

    /// How many things are done.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.read(COUNT)
    }

    /// The longest time between two things, of those times that ended since this was last asked and the one that still
    /// lasts `now`.
    #[must_use]
    pub fn longest(&self, now: Ticks) -> Ticks {
        let ended = self.word(LONGEST, |word| word.swap(0, Ordering::Relaxed));
        let last = self.read(LAST);
        // Who has done nothing yet has nothing to be late with.
        let lasts = if last == 0 { 0 } else { now.0.saturating_sub(last) };
        Ticks(ended.max(lasts))
    }

    fn read(&self, index: usize) -> u64 {
        self.word(index, |word| word.load(Ordering::Relaxed))
    }

    /// A page has these words; one that has not counts nothing.
    fn word(&self, index: usize, work: impl FnOnce(&AtomicU64) -> u64) -> u64 {
        self.0.word(index).map_or(0, work)
    }
}
