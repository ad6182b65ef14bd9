//! A ring of records from several senders to one receiver, in memory that both sides write.
//!
//! A sender reserves a place, fills it, and sets its sequence number, which is how the receiver knows that it is whole.
//! The other side may be mad: every index is masked or bounded before use, and no loop depends on what it writes.

use super::mailbox::Line;
use crate::atomic::{AtomicU64, Ordering};
use crate::limits::{RING_PATIENCE, RING_RECORDS, RING_RESERVE};
use crate::types::Ticks;

/// Words of a record.
pub const WORDS: usize = 5;

/// As a length of arrays.
#[allow(clippy::cast_possible_truncation, reason = "it is small")]
const RECORDS: usize = RING_RECORDS as usize;

/// The ring. Zeroes are an empty one.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Ring {
    /// How many records were reserved by senders.
    reserved: Line<AtomicU64>,
    /// How many records the receiver took.
    taken: Line<AtomicU64>,
    /// Sequence, ticks, the words, one unused.
    records: [[AtomicU64; 8]; RECORDS],
}

/// The ring holds as many records as it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Who writes a record: the kernel's own are let into the last places of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// A program.
    Program,
    /// A kernel, for an event.
    Kernel,
}

impl Ring {
    /// Adds a record. Several senders may do so at the same time.
    ///
    /// # Errors
    /// [`Full`].
    pub fn push(&self, words: [u64; WORDS], now: Ticks, author: Author) -> Result<(), Full> {
        let position = self.reserve(match author {
            Author::Program => RING_RECORDS - RING_RESERVE,
            Author::Kernel => RING_RECORDS,
        })?;
        let [sequence, when, places @ ..] = self.record(position);
        when.store(now.0, Ordering::Relaxed);
        places.iter().zip(words).for_each(|(place, word)| place.store(word, Ordering::Relaxed));
        sequence.store(position.wrapping_add(1), Ordering::Release);
        Ok(())
    }

    /// Reserves a place, if fewer than `room` are waiting.
    fn reserve(&self, room: u64) -> Result<u64, Full> {
        let mut position = self.reserved.0.load(Ordering::Relaxed);
        for _ in 0..RING_PATIENCE {
            let waiting = position.wrapping_sub(self.taken.0.load(Ordering::Acquire));
            let next = if waiting < room { position.wrapping_add(1) } else { position };
            // Full, too, it is only if nobody has left this position behind meanwhile: the receiver may have taken more.
            match self.reserved.0.compare_exchange(position, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if waiting < room => return Ok(position),
                Ok(_) => return Err(Full),
                Err(newer) => position = newer,
            }
        }
        Err(Full)
    }

    /// The oldest record, if there is one. One receiver at a time.
    #[must_use]
    pub fn peek(&self) -> Option<[u64; WORDS]> {
        let position = self.taken.0.load(Ordering::Relaxed);
        let [sequence, _, places @ ..] = self.record(position);
        (sequence.load(Ordering::Acquire) == position.wrapping_add(1))
            .then(|| core::array::from_fn(|index| places[index].load(Ordering::Relaxed)))
    }

    /// Takes the oldest record off, which the receiver has read.
    pub fn drop_oldest(&self) {
        let position = self.taken.0.load(Ordering::Relaxed);
        self.taken.0.store(position.wrapping_add(1), Ordering::Release);
    }

    fn record(&self, position: u64) -> &[AtomicU64; 8] {
        // The number of records is a power of two, so the mask is below it.
        &self.records[(position & (RING_RECORDS - 1)) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(first: u64) -> [u64; WORDS] {
        [first, 1, 2, 3, 4]
    }

    #[test]
    fn records_come_out_in_order_and_the_last_places_are_the_kernels() {
        let ring = Ring::default();
        for index in 0..RING_RECORDS - RING_RESERVE {
            assert_eq!(ring.push(words(index), Ticks(0), Author::Program), Ok(()));
        }
        assert_eq!(ring.push(words(99), Ticks(0), Author::Program), Err(Full));
        for index in RING_RECORDS - RING_RESERVE..RING_RECORDS {
            assert_eq!(ring.push(words(index), Ticks(0), Author::Kernel), Ok(()));
        }
        assert_eq!(ring.push(words(99), Ticks(0), Author::Kernel), Err(Full));
        for index in 0..RING_RECORDS {
            assert_eq!(ring.peek(), Some(words(index)));
            ring.drop_oldest();
        }
        assert_eq!(ring.peek(), None);
    }

    #[test]
    fn a_lying_index_neither_panics_nor_reads_outside() {
        let ring = Ring::default();
        assert_eq!(ring.push(words(7), Ticks(0), Author::Program), Ok(()));
        ring.reserved.0.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(ring.push(words(8), Ticks(0), Author::Kernel), Err(Full));
        ring.taken.0.store(u64::MAX - 3, Ordering::Relaxed);
        assert_eq!(ring.peek(), None);
        assert_eq!(ring.push(words(8), Ticks(0), Author::Kernel), Ok(()));
    }
}
