//! How user space names a capability.

/// The number of a slot within one table of capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SlotIndex(pub u32);

/// How often a slot has been emptied. It only rises; a slot whose generation is [`Generation::LAST`] retires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u32);

impl Generation {
    /// The generation at which a slot is never used again.
    pub const LAST: Self = Self(u32::MAX);

    /// The generation after this one, or [`Generation::LAST`].
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A capability as user space names it: a slot of the caller's own table, and the generation that it had when
/// the capability was put there. A handle that outlives its capability is stale for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Handle(pub u64);

impl Handle {
    /// Names nothing. Slot 0 of every table is never used.
    pub const NONE: Self = Self(0);

    /// The handle for this slot and generation.
    #[must_use]
    pub const fn new(index: SlotIndex, generation: Generation) -> Self {
        Self(index.0 as u64 | (generation.0 as u64) << 32)
    }

    /// The slot.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the low half is the field")]
    pub const fn index(self) -> SlotIndex {
        SlotIndex(self.0 as u32)
    }

    /// The generation.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the high half is the field")]
    pub const fn generation(self) -> Generation {
        Generation((self.0 >> 32) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::{Generation, Handle, SlotIndex};

    #[test]
    fn the_last_generation_stays_the_last() {
        assert_eq!(Generation(0).next(), Generation(1));
        assert_eq!(Generation::LAST.next(), Generation::LAST);
    }

    #[test]
    fn a_handle_is_its_two_parts() {
        let handle = Handle::new(SlotIndex(0x89ab_cdef), Generation(0x0123_4567));
        assert_eq!(handle, Handle(0x0123_4567_89ab_cdef));
        assert_eq!((handle.index(), handle.generation()), (SlotIndex(0x89ab_cdef), Generation(0x0123_4567)));
    }
}
