//! The ledger adds up: counts, and the agreement of chunks and lots.

use super::{ChunkEntry, ChunkId, CoreId, Holder, Ledger, Life, LotId, SubOsId, Window};

/// How many cores and chunks are where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tally {
    /// Never granted.
    pub reserved: usize,
    /// Free.
    pub pool: usize,
    /// Held by subOSes.
    pub owned: usize,
    /// On the way to the pool.
    pub leaving: usize,
    /// Given up.
    pub quarantined: usize,
}

impl Tally {
    /// How many there are: all that the machine has, at every instant.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.reserved + self.pool + self.owned + self.leaving + self.quarantined
    }

    fn of(holders: impl Iterator<Item = Holder>) -> Self {
        let mut tally = Self::default();
        for holder in holders {
            match holder {
                Holder::Reserved => tally.reserved += 1,
                Holder::Pool => tally.pool += 1,
                Holder::SubOs(_) => tally.owned += 1,
                Holder::Leaving(..) => tally.leaving += 1,
                Holder::Quarantined => tally.quarantined += 1,
            }
        }
        tally
    }
}

/// In what the ledger contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inconsistency {
    /// A chunk names a lot that does not cover it, or a lot covers a chunk that does not name it.
    Chunk(ChunkId),
    /// A lot is held by nobody, or by a subOS that is not there, or two of a holder's lots have one seat.
    Lot(LotId),
    /// A core is held by a subOS that is not there, or a dying one has it still.
    Core(CoreId),
}

impl Ledger<'_> {
    /// How many cores are where.
    #[must_use]
    pub fn tally_cores(&self) -> Tally {
        Tally::of(self.cores.iter().copied())
    }

    /// How many chunks are where.
    #[must_use]
    pub fn tally_chunks(&self) -> Tally {
        let chunks = u32::try_from(self.chunks.len()).unwrap_or(u32::MAX);
        Tally::of((0..chunks).filter_map(|chunk| self.chunk(ChunkId(chunk)).ok()))
    }

    /// Length of the longest run of chunks in the pool.
    #[must_use]
    pub fn longest_run(&self) -> usize {
        self.chunks.split(|&chunk| chunk != ChunkEntry::Pool).map(<[_]>::len).max().unwrap_or(0)
    }

    /// Looks for a contradiction. Both directions: every chunk of a lot lies within that lot, and every chunk
    /// within a lot is of that lot.
    pub fn audit(&self) -> Result<(), Inconsistency> {
        for (id, lot) in self.lots() {
            let other = match lot.window {
                Window::Shared(other) => other,
                _ => id.index,
            };
            let twin = self
                .lots
                .get(usize::from(other))
                .filter(|twin| (twin.first, twin.count) == (lot.first, lot.count));
            if twin.is_none_or(|twin| other != id.index && twin.window != Window::Shared(id.index)) {
                return Err(Inconsistency::Lot(id));
            }
            for chunk in lot.chunks() {
                let entry = self.chunks.get(chunk.position());
                if ![Some(&ChunkEntry::Lot(id.index)), Some(&ChunkEntry::Lot(other))].contains(&entry) {
                    return Err(Inconsistency::Chunk(chunk));
                }
            }
            let same_seat = |(other, entry): (LotId, super::LotEntry)| {
                other != id && entry.holder.subos() == lot.holder.subos() && entry.seat == lot.seat
            };
            if !self.is_sound(lot.holder) || lot.holder.subos().is_none() || self.lots().any(same_seat) {
                return Err(Inconsistency::Lot(id));
            }
        }
        for (chunk, &entry) in (0_u32..).map(ChunkId).zip(self.chunks.iter()) {
            let ChunkEntry::Lot(index) = entry else { continue };
            let inside = self
                .lots
                .get(usize::from(index))
                .is_some_and(|lot| lot.chunks().any(|covered| covered == chunk));
            if !inside {
                return Err(Inconsistency::Chunk(chunk));
            }
        }
        match self.cores().find(|&(_, holder)| !self.is_sound(holder)) {
            Some((core, _)) => Err(Inconsistency::Core(core)),
            None => Ok(()),
        }
    }

    /// Whether the subOS that this names is there, and alive if it holds.
    fn is_sound(&self, holder: Holder) -> bool {
        let life = |subos: SubOsId| self.life(subos);
        match holder {
            Holder::SubOs(subos) => life(subos) == Ok(Life::Alive),
            Holder::Leaving(subos, _) => life(subos).is_ok(),
            _ => true,
        }
    }
}
