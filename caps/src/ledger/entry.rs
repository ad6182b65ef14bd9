//! What the ledger stores. Every type is such that all bytes zero is its default value.

/// A processor core, by its number in the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct CoreId(pub u8);

/// A chunk: 2 MiB of physical memory, by its number from address 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct ChunkId(pub u32);

impl ChunkId {
    /// Its place in the ledger.
    pub(super) const fn position(self) -> usize {
        self.0 as usize
    }

    /// The address of its first byte.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0 as u64 * crate::bounds::CHUNK
    }
}

/// A subOS. The number is used again when it is gone, with the next generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct SubOsId {
    /// Its number.
    pub index: u8,
    /// How many had the number before.
    pub generation: u32,
}

/// A lot. The number is used again when it is back in the pool, with the next generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct LotId {
    /// Its number.
    pub index: u16,
    /// How many had the number before.
    pub generation: u32,
}

/// Something that a subOS can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// A core.
    Core(CoreId),
    /// A lot.
    Lot(LotId),
}

/// How far a resource is on its way from its holder to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// The holder's capabilities to it are being removed.
    Revoking = 0,
    /// Nobody has authority over it any more; cores may still be using it.
    Quiescing = 1,
    /// Nobody can reach it; what was in it is being cleared.
    Scrubbing = 2,
}

/// Who holds a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Holder {
    /// Nobody ever: the machine's own, or not there.
    #[default]
    Reserved,
    /// Nobody now: it can be granted.
    Pool,
    /// This subOS.
    SubOs(SubOsId),
    /// In transit from this subOS to the pool.
    Leaving(SubOsId, Phase),
    /// Nobody ever again: it did not answer, so it may still be in use.
    Quarantined,
}

impl Holder {
    /// The subOS that holds it, or that it is leaving.
    #[must_use]
    pub const fn subos(self) -> Option<SubOsId> {
        match self {
            Self::SubOs(subos) | Self::Leaving(subos, _) => Some(subos),
            _ => None,
        }
    }
}

/// What a chunk is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum ChunkEntry {
    /// Nobody's ever.
    #[default]
    Reserved,
    /// The pool's.
    Pool,
    /// The lot with this number, or one of the two if it is a window.
    Lot(u16),
    /// Quarantined.
    Quarantined,
}

/// Whether a lot is a window, memory for two subOSes to share. Each has a lot of its own over the same chunks, which it
/// gives back by itself; the chunks are free when both are back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Window {
    /// It is not.
    #[default]
    None,
    /// It is, and its holder has it alone: not shared yet, or the other has given it back.
    Alone,
    /// It is, and the lot with this number is the other's.
    Shared(u16),
    /// It is, and a core that never answered may still use it on the other's behalf.
    Spoilt,
}

/// A lot: chunks `first .. first + count`. With a count of 0 the number is not in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(C)]
pub struct LotEntry {
    /// How many lots had this number before.
    pub generation: u32,
    /// The first chunk.
    pub first: u32,
    /// How many chunks.
    pub count: u32,
    /// Which of its holder's lots it is: 0 is the home lot. The root capability has its slot by this number.
    pub seat: u8,
    /// Who holds it.
    pub holder: Holder,
    /// Whether somebody else has the same chunks.
    pub window: Window,
}

impl LotEntry {
    /// The chunks.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkId> + use<> {
        (self.first..self.first.saturating_add(self.count)).map(ChunkId)
    }

    /// The address of its first byte.
    #[must_use]
    pub const fn address(&self) -> u64 {
        ChunkId(self.first).address()
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.count as u64 * crate::bounds::CHUNK
    }

    /// Whether it is its holder's home lot.
    #[must_use]
    pub const fn is_home(&self) -> bool {
        self.seat == 0
    }
}

/// Whether there is a subOS of some number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Life {
    /// No: the number is free.
    #[default]
    Absent = 0,
    /// It can be granted resources.
    Alive = 1,
    /// It is being destroyed: all that it held is on its way back.
    Dying = 2,
}

/// A subOS, as the ledger knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(C)]
pub struct SubOsEntry {
    /// How many subOSes had this number before.
    pub generation: u32,
    /// Whether there is one.
    pub life: Life,
    /// How many of its cores were quarantined while they might still run on its behalf: as long as there is
    /// one, no memory of this subOS can be known to be quiet.
    pub silent: u8,
}
