//! Which slots of this program's table are free.
//!
//! Only this program puts capabilities into its table (or who built it, before it started), so it can keep the
//! account itself. The account is a bit for each slot, without a lock.

use core::sync::atomic::{AtomicU64, Ordering};

use caps::{Error, Handle, SlotIndex};
use idl::slots::INIT_SLOTS;
use idl::types::Progress;

use crate::cap::complete;
use crate::environment::environment;

const BITS: u32 = u64::BITS;
const WORDS: usize = (INIT_SLOTS / BITS) as usize;

/// An account of slots.
pub struct Slots {
    used: [AtomicU64; WORDS],
}

impl Slots {
    /// An account in which all slots below this one are taken, and all others free.
    #[must_use]
    pub const fn starting_at(first: SlotIndex) -> Self {
        let mut used = [const { AtomicU64::new(0) }; WORDS];
        let mut index = 0;
        while index < first.0 && index < BITS {
            used[0] = AtomicU64::new((1 << (index + 1)) - 1);
            index += 1;
        }
        Self { used }
    }

    /// Takes a free slot.
    ///
    /// # Errors
    /// `OutOfRange` when all are taken.
    #[allow(clippy::cast_possible_truncation, reason = "there are sixteen words")]
    pub fn allocate(&self) -> Result<SlotIndex, Error> {
        for (index, word) in self.used.iter().enumerate() {
            let mut seen = word.load(Ordering::Relaxed);
            while seen != u64::MAX {
                let bit = seen.trailing_ones();
                match word.compare_exchange_weak(seen, seen | 1 << bit, Ordering::Relaxed, Ordering::Relaxed)
                {
                    Ok(_) => return Ok(SlotIndex(index as u32 * BITS + bit)),
                    Err(now) => seen = now,
                }
            }
        }
        Err(Error::OutOfRange)
    }

    /// How many slots are taken.
    pub fn taken(&self) -> u32 {
        self.used.iter().map(|word| word.load(Ordering::Relaxed).count_ones()).sum()
    }

    /// Marks a slot as taken, whoever filled it.
    pub fn take(&self, slot: SlotIndex) {
        if let Some(word) = self.used.get((slot.0 / BITS) as usize) {
            word.fetch_or(1 << (slot.0 % BITS), Ordering::Relaxed);
        }
    }

    /// Gives a slot back. It must be empty, or soon be.
    pub fn release(&self, slot: SlotIndex) {
        if let Some(word) = self.used.get((slot.0 / BITS) as usize) {
            word.fetch_and(!(1 << (slot.0 % BITS)), Ordering::Relaxed);
        }
    }
}

/// This program's account. Slots beyond the first thousand or so, if its table has them, are for it to manage.
static OWN: Slots = Slots::starting_at(idl::slots::FIRST_FREE);

/// Takes a free slot of this program's table.
///
/// # Errors
/// `OutOfRange` when all are taken.
pub fn allocate() -> Result<SlotIndex, Error> {
    OWN.allocate()
}

/// How many slots of this program's table are taken: what does not come back to where it was is a leak.
#[must_use]
pub fn taken() -> u32 {
    OWN.taken()
}

/// Marks a slot of this program's table as taken.
pub fn take(slot: SlotIndex) {
    OWN.take(slot);
}

/// Gives back a slot of this program's table that is empty.
pub fn release(slot: SlotIndex) {
    OWN.release(slot);
}

/// Fills a free slot; gives it back if filling fails.
///
/// # Errors
/// `OutOfRange` when no slot is free; what `fill` fails with.
pub fn fill(fill: impl FnOnce(SlotIndex) -> Result<Handle, Error>) -> Result<Handle, Error> {
    let slot = allocate()?;
    fill(slot).inspect_err(|_| release(slot))
}

/// Deletes a capability of this program's table, and all that was derived from it, and gives its slot back.
///
/// # Errors
/// As `CSpace.delete`.
pub fn delete(handle: Handle) -> Result<(), Error> {
    let table = environment().cspace();
    let mut begun = false;
    complete(|| match table.delete(handle) {
        // It went in an earlier step, and another thread has seen to what was left.
        Err(Error::EmptySlot | Error::StaleHandle) if begun => Ok(Progress::Done),
        progress => {
            begun = true;
            progress
        }
    })?;
    release(handle.index());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_is_given_once_and_again_after_release() {
        let slots = Slots::starting_at(SlotIndex(16));
        for expected in 16..INIT_SLOTS {
            assert_eq!(slots.allocate(), Ok(SlotIndex(expected)));
        }
        assert_eq!(slots.allocate(), Err(Error::OutOfRange));
        slots.release(SlotIndex(700));
        slots.release(SlotIndex(5000));
        assert_eq!(slots.allocate(), Ok(SlotIndex(700)));
        assert_eq!(slots.allocate(), Err(Error::OutOfRange));
    }

    #[test]
    fn a_taken_slot_is_not_given() {
        let slots = Slots::starting_at(SlotIndex(1));
        slots.take(SlotIndex(1));
        assert_eq!(slots.taken(), 2);
        assert_eq!(slots.allocate(), Ok(SlotIndex(2)));
    }
}
