//! The steps by which a resource returns to the pool, and the destruction of a subOS.

use super::{
    ChunkEntry, Holder, Ledger, Life, LotEntry, LotId, Phase, Resource, SubOsEntry, SubOsId, Window,
};
use crate::Error;

impl Ledger<'_> {
    /// Who holds this. `OutOfRange`, `StaleHandle`.
    pub fn holder(&self, resource: Resource) -> Result<Holder, Error> {
        match resource {
            Resource::Core(core) => self.core(core),
            Resource::Lot(lot) => self.lot(lot).map(|lot| lot.holder),
        }
    }

    /// Revoking is done: no capability to it is left in its holder. `OutOfRange`, `StaleHandle`, `WrongState`.
    pub fn revoked(&mut self, resource: Resource) -> Result<(), Error> {
        let (from, holder) = self.leaving(resource, Phase::Revoking)?;
        *holder = Holder::Leaving(from, Phase::Quiescing);
        Ok(())
    }

    /// Quiescing is done: a core has parked; for a lot, every core of its holder has acknowledged that it cannot
    /// reach it. `OutOfRange`, `StaleHandle`, `WrongState`; for a lot of a dying subOS `Busy` while one of its
    /// cores has not parked; for a lot `CoreSilent` if a core of its holder never answered: it cannot become
    /// quiet then, only be quarantined. A window that the other still has is the other's alone from then on.
    pub fn quiesced(&mut self, resource: Resource) -> Result<(), Error> {
        let (from, _) = self.leaving(resource, Phase::Quiescing)?;
        if let Resource::Lot(lot) = resource {
            let (entry, window) = (self.subos(from)?, self.lot(lot)?.window);
            if entry.silent > 0 || window == Window::Spoilt {
                return Err(Error::CoreSilent);
            }
            if entry.life == Life::Dying && self.has_core_to_park(from) {
                return Err(Error::Busy);
            }
            if let Window::Shared(other) = window {
                self.leave(lot, other, Window::Alone);
                return Ok(());
            }
        }
        *self.holder_mut(resource)? = Holder::Leaving(from, Phase::Scrubbing);
        Ok(())
    }

    /// Scrubbing is done: the resource is in the pool. `OutOfRange`, `StaleHandle`, `WrongState`.
    pub fn scrubbed(&mut self, resource: Resource) -> Result<(), Error> {
        let (_, holder) = self.leaving(resource, Phase::Scrubbing)?;
        match resource {
            Resource::Core(_) => *holder = Holder::Pool,
            Resource::Lot(lot) => self.dissolve(lot, ChunkEntry::Pool),
        }
        Ok(())
    }

    /// Gives up on something that is on its way to the pool: it is never granted again. If a core has not parked
    /// by then, it may go on running for its holder, so none of the holder's memory can become quiet.
    /// `OutOfRange`, `StaleHandle`, `WrongState` (it is not on its way, or it is a lot that its holder still has
    /// capabilities to: removing those asks nobody for an answer).
    pub fn quarantine(&mut self, resource: Resource) -> Result<(), Error> {
        let Holder::Leaving(from, phase) = self.holder(resource)? else {
            return Err(Error::WrongState);
        };
        match resource {
            Resource::Core(_) => {
                *self.holder_mut(resource)? = Holder::Quarantined;
                if let (Some(entry), true) =
                    (self.suboses.get_mut(usize::from(from.index)), phase != Phase::Scrubbing)
                {
                    entry.silent = entry.silent.saturating_add(1);
                }
            }
            Resource::Lot(_) if phase == Phase::Revoking => return Err(Error::WrongState),
            Resource::Lot(lot) => match self.lot(lot)?.window {
                Window::Shared(other) => self.leave(lot, other, Window::Spoilt),
                _ => self.dissolve(lot, ChunkEntry::Quarantined),
            },
        }
        Ok(())
    }

    /// Begins to destroy a subOS: all that it holds goes to *quiescing* at once, whatever was made of it. Touches
    /// nothing but ledger entries. `OutOfRange`, `StaleHandle`, `InvalidArgument` (subOS 0), `WrongState` (it is
    /// dying already).
    pub fn destroy(&mut self, subos: SubOsId) -> Result<(), Error> {
        let life = self.life(subos)?;
        if subos.index == 0 {
            return Err(Error::InvalidArgument);
        }
        if life != Life::Alive {
            return Err(Error::WrongState);
        }
        let lots = self.lots.iter_mut().filter(|lot| lot.count != 0).map(|lot| &mut lot.holder);
        for holder in self.cores.iter_mut().chain(lots) {
            match *holder {
                Holder::SubOs(owner) | Holder::Leaving(owner, Phase::Revoking) if owner == subos => {
                    *holder = Holder::Leaving(subos, Phase::Quiescing);
                }
                _ => {}
            }
        }
        self.suboses[usize::from(subos.index)].life = Life::Dying;
        Ok(())
    }

    /// Ends the destruction: the number can be used again. `OutOfRange`, `StaleHandle`, `WrongState` (not
    /// dying), `Busy` (something that it held is still on its way).
    pub fn destroyed(&mut self, subos: SubOsId) -> Result<(), Error> {
        if self.life(subos)? != Life::Dying {
            return Err(Error::WrongState);
        }
        if self.resources_of(subos).next().is_some() {
            return Err(Error::Busy);
        }
        self.suboses[usize::from(subos.index)] =
            SubOsEntry { generation: subos.generation.saturating_add(1), ..SubOsEntry::default() };
        Ok(())
    }

    /// From whom the resource is leaving, if it is in this phase.
    fn leaving(&mut self, resource: Resource, expected: Phase) -> Result<(SubOsId, &mut Holder), Error> {
        let holder = self.holder_mut(resource)?;
        match *holder {
            Holder::Leaving(from, phase) if phase == expected => Ok((from, holder)),
            _ => Err(Error::WrongState),
        }
    }

    fn subos(&self, subos: SubOsId) -> Result<SubOsEntry, Error> {
        self.life(subos)?;
        self.suboses.get(usize::from(subos.index)).copied().ok_or(Error::OutOfRange)
    }

    /// Whether a core has yet to park for this subOS: it is dying, and all the cores that it has are leaving.
    fn has_core_to_park(&self, subos: SubOsId) -> bool {
        self.cores.iter().any(|&holder| match holder {
            Holder::Leaving(owner, phase) => owner == subos && phase != Phase::Scrubbing,
            _ => false,
        })
    }

    /// Ends one side of a window: the other's is this from now on.
    fn leave(&mut self, id: LotId, other: u16, window: Window) {
        self.lots[usize::from(other)].window = window;
        self.dissolve(id, ChunkEntry::Lot(other));
    }

    /// Ends a lot: its chunks become this, its number is free again.
    fn dissolve(&mut self, id: LotId, entry: ChunkEntry) {
        let position = usize::from(id.index);
        let lot = self.lots[position];
        for chunk in lot.chunks() {
            self.chunks[chunk.position()] = entry;
        }
        let generation = lot.generation.saturating_add(1);
        self.lots[position] = LotEntry { generation, ..LotEntry::default() };
    }
}
