//! The ledger: who owns each core and each chunk of memory of the machine.
//!
//! One entry per resource, so ownership is exclusive by representation. Only the supervisor's operations read or
//! write it. Memory is held in lots, contiguous runs of chunks; a chunk's entry names its lot and the lot's entry
//! its holder. What is taken back goes *owned -> revoking -> quiescing -> scrubbing -> free*, one operation per
//! step, and is granted again only from *free*; what does not answer ends in *quarantined*.
//!
//! Reading order: `entry` (what is stored), this file (construction, questions), `transact` (grants and
//! reclaims, whole or not at all), `phase` (the steps of a reclaim, destruction), `audit` (it adds up).

mod audit;
mod entry;
mod phase;
#[cfg(test)]
mod tests;
mod transact;

pub use audit::{Inconsistency, Tally};
pub use entry::{
    ChunkEntry, ChunkId, CoreId, Holder, Life, LotEntry, LotId, Phase, Resource, SubOsEntry, SubOsId, Window,
};
pub use transact::{Change as LedgerChange, Granted, LotRole};

use crate::Error;

/// The ledger, over entries that the caller stores. All bytes zero is a machine in which everything is reserved
/// and no subOS exists.
#[derive(Debug, PartialEq, Eq)]
pub struct Ledger<'a> {
    cores: &'a mut [Holder],
    chunks: &'a mut [ChunkEntry],
    lots: &'a mut [LotEntry],
    suboses: &'a mut [SubOsEntry],
}

impl<'a> Ledger<'a> {
    /// A ledger over these entries: one per core and chunk of the machine, and room for as many lots and subOSes
    /// as shall be. Entries beyond [`MAX_CORES`](crate::bounds::MAX_CORES),
    /// [`MAX_LOTS`](crate::bounds::MAX_LOTS) and [`MAX_SUBOSES`](crate::bounds::MAX_SUBOSES) are not used.
    #[must_use]
    pub fn new(
        cores: &'a mut [Holder],
        chunks: &'a mut [ChunkEntry],
        lots: &'a mut [LotEntry],
        suboses: &'a mut [SubOsEntry],
    ) -> Self {
        let (core_count, lot_count, subos_count) = (
            cores.len().min(crate::bounds::MAX_CORES),
            lots.len().min(crate::bounds::MAX_LOTS),
            suboses.len().min(crate::bounds::MAX_SUBOSES),
        );
        Self {
            cores: &mut cores[..core_count],
            chunks,
            lots: &mut lots[..lot_count],
            suboses: &mut suboses[..subos_count],
        }
    }

    /// Boot only: puts a reserved core into the pool. `OutOfRange`, `WrongState` (not reserved).
    pub fn release_core(&mut self, core: CoreId) -> Result<(), Error> {
        let holder = self.cores.get_mut(usize::from(core.0)).ok_or(Error::OutOfRange)?;
        if *holder != Holder::Reserved {
            return Err(Error::WrongState);
        }
        *holder = Holder::Pool;
        Ok(())
    }

    /// Boot only: puts a reserved chunk into the pool. `OutOfRange`, `WrongState` (not reserved).
    pub fn release_chunk(&mut self, chunk: ChunkId) -> Result<(), Error> {
        let entry = self.chunks.get_mut(chunk.position()).ok_or(Error::OutOfRange)?;
        if *entry != ChunkEntry::Reserved {
            return Err(Error::WrongState);
        }
        *entry = ChunkEntry::Pool;
        Ok(())
    }

    /// Makes room for a subOS, which owns nothing yet. The first is subOS 0, the supervisor's. `NoResource`.
    pub fn create(&mut self) -> Result<SubOsId, Error> {
        let free = |entry: &SubOsEntry| entry.life == Life::Absent && entry.generation != u32::MAX;
        let index = self.suboses.iter().position(free).ok_or(Error::NoResource)?;
        let entry = &mut self.suboses[index];
        entry.life = Life::Alive;
        entry.silent = 0;
        Ok(SubOsId { index: u8::try_from(index).unwrap_or(u8::MAX), generation: entry.generation })
    }

    /// Who holds a core. `OutOfRange`.
    pub fn core(&self, core: CoreId) -> Result<Holder, Error> {
        self.cores.get(usize::from(core.0)).copied().ok_or(Error::OutOfRange)
    }

    /// Who holds a chunk; of a window, one of the two. `OutOfRange`.
    pub fn chunk(&self, chunk: ChunkId) -> Result<Holder, Error> {
        let entry = self.chunks.get(chunk.position()).ok_or(Error::OutOfRange)?;
        Ok(match entry {
            ChunkEntry::Reserved => Holder::Reserved,
            ChunkEntry::Pool => Holder::Pool,
            ChunkEntry::Quarantined => Holder::Quarantined,
            ChunkEntry::Lot(index) => {
                self.lots.get(usize::from(*index)).map_or(Holder::Reserved, |lot| lot.holder)
            }
        })
    }

    /// A lot. `OutOfRange`, `StaleHandle` (it went back to the pool).
    pub fn lot(&self, lot: LotId) -> Result<LotEntry, Error> {
        let entry = self.lots.get(usize::from(lot.index)).ok_or(Error::OutOfRange)?;
        if entry.count == 0 || entry.generation != lot.generation {
            return Err(Error::StaleHandle);
        }
        Ok(*entry)
    }

    /// Whether a subOS lives or is going. `OutOfRange`, `StaleHandle` (it is gone).
    pub fn life(&self, subos: SubOsId) -> Result<Life, Error> {
        let entry = self.suboses.get(usize::from(subos.index)).ok_or(Error::OutOfRange)?;
        if entry.life == Life::Absent || entry.generation != subos.generation {
            return Err(Error::StaleHandle);
        }
        Ok(entry.life)
    }

    /// How many cores the ledger covers.
    #[must_use]
    pub fn core_count(&self) -> usize {
        self.cores.len()
    }

    /// How many chunks the ledger covers.
    #[must_use]
    pub fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// The subOSes that live or are going.
    pub fn suboses(&self) -> impl Iterator<Item = (SubOsId, Life)> + '_ {
        (0_u8..)
            .zip(self.suboses.iter())
            .filter(|(_, entry)| entry.life != Life::Absent)
            .map(|(index, entry)| (SubOsId { index, generation: entry.generation }, entry.life))
    }

    /// All cores and who holds them.
    pub fn cores(&self) -> impl Iterator<Item = (CoreId, Holder)> + '_ {
        (0_u8..).zip(self.cores.iter()).map(|(index, &holder)| (CoreId(index), holder))
    }

    /// All lots that are held or going.
    pub fn lots(&self) -> impl Iterator<Item = (LotId, LotEntry)> + '_ {
        (0_u16..)
            .zip(self.lots.iter())
            .filter(|(_, lot)| lot.count != 0)
            .map(|(index, lot)| (LotId { index, generation: lot.generation }, *lot))
    }

    /// What a subOS holds, or what is on its way from it.
    pub fn resources_of(&self, subos: SubOsId) -> impl Iterator<Item = (Resource, Holder)> + '_ {
        let cores = self.cores().map(|(core, holder)| (Resource::Core(core), holder));
        let lots = self.lots().map(|(id, lot)| (Resource::Lot(id), lot.holder));
        cores.chain(lots).filter(move |(_, holder)| holder.subos() == Some(subos))
    }
}
