//! Grants and reclaims: a list of changes is made whole or not at all.

use super::{ChunkEntry, CoreId, Holder, Ledger, Life, LotEntry, LotId, Phase, Resource, SubOsId, Window};
use crate::Error;
use crate::bounds::{MAX_CHANGES, MAX_LOTS_PER_SUBOS};

/// What a lot is to its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LotRole {
    /// The one that holds its kernel: it stays until the subOS is destroyed.
    Home,
    /// Any other.
    Extra,
    /// Any other that can be shared.
    Window,
}

/// One change of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Gives a core from the pool.
    GrantCore {
        /// The core.
        core: CoreId,
        /// To whom.
        to: SubOsId,
    },
    /// Gives the first run of this many chunks in the pool as a lot.
    GrantLot {
        /// How many chunks.
        chunks: u32,
        /// To whom.
        to: SubOsId,
        /// As what.
        role: LotRole,
    },
    /// Gives the chunks of a window that somebody has alone to another as well.
    Share {
        /// The window.
        lot: LotId,
        /// To whom.
        with: SubOsId,
    },
    /// Begins to take something back.
    Reclaim {
        /// What.
        resource: Resource,
        /// From whom.
        from: SubOsId,
    },
}

impl Change {
    /// The resource that it names. A grant of a lot names none: the ledger chooses.
    const fn names(self) -> Option<Resource> {
        match self {
            Self::GrantCore { core, .. } => Some(Resource::Core(core)),
            Self::GrantLot { .. } => None,
            Self::Share { lot, .. } => Some(Resource::Lot(lot)),
            Self::Reclaim { resource, .. } => Some(resource),
        }
    }
}

/// The resources that a transaction named, in the order of its changes.
pub type Granted = heapless::Vec<Resource, MAX_CHANGES>;

impl Ledger<'_> {
    /// Makes all changes in order, or none: then the position of the first that could not be made is in the
    /// error, and the ledger is as before.
    ///
    /// Errors: `TooLong` (more than [`MAX_CHANGES`] changes; position 0); `InvalidArgument` (the change names a
    /// resource that one before it named or granted); for a subOS `OutOfRange`,
    /// `StaleHandle`, `WrongState` (it is dying); for a core `OutOfRange`, `NoResource` (not in the pool),
    /// `NotOwner`; for a lot `BadSize` (no chunks), `NoResource` (no such run, or no number for it), `Full`
    /// (the subOS has as many lots as it can), `AlreadyBound` (it has a home lot), `OutOfRange`, `StaleHandle`,
    /// `NotOwner`, `HomeLot`; `WrongState` (it is no window that somebody has alone); `Busy` (it is
    /// being taken back already).
    pub fn apply(&mut self, changes: &[Change]) -> Result<Granted, (usize, Error)> {
        if changes.len() > MAX_CHANGES {
            return Err((0, Error::TooLong));
        }
        let mut made = Granted::new();
        for (position, &change) in changes.iter().enumerate() {
            let twice = change.names().is_some_and(|resource| made.contains(&resource));
            let outcome = if twice { Err(Error::InvalidArgument) } else { self.make(change) };
            match outcome {
                // There is room: the number of changes was checked.
                Ok(resource) => drop(made.push(resource)),
                Err(error) => {
                    for (&change, &resource) in changes.iter().zip(&made).rev() {
                        self.undo(change, resource);
                    }
                    return Err((position, error));
                }
            }
        }
        Ok(made)
    }

    /// Boot only: makes a lot of exactly these chunks of the pool. The errors of a grant of a lot.
    pub fn place_lot(&mut self, first: u32, chunks: u32, to: SubOsId, role: LotRole) -> Result<LotId, Error> {
        self.check_alive(to)?;
        if chunks == 0 {
            return Err(Error::BadSize);
        }
        let end = first.checked_add(chunks).ok_or(Error::OutOfRange)?;
        let run = self.chunks.get(first as usize..end as usize).ok_or(Error::OutOfRange)?;
        if run.iter().any(|&chunk| chunk != ChunkEntry::Pool) {
            return Err(Error::NoResource);
        }
        self.fill_lot(first, chunks, to, role)
    }

    fn make(&mut self, change: Change) -> Result<Resource, Error> {
        match change {
            Change::GrantCore { core, to } => self.grant_core(core, to),
            Change::GrantLot { chunks, to, role } => self.grant_lot(chunks, to, role).map(Resource::Lot),
            Change::Share { lot, with } => self.share(lot, with).map(Resource::Lot),
            Change::Reclaim { resource, from } => self.begin_reclaim(resource, from),
        }
    }

    fn grant_core(&mut self, core: CoreId, to: SubOsId) -> Result<Resource, Error> {
        self.check_alive(to)?;
        let holder = self.cores.get_mut(usize::from(core.0)).ok_or(Error::OutOfRange)?;
        if *holder != Holder::Pool {
            return Err(Error::NoResource);
        }
        *holder = Holder::SubOs(to);
        Ok(Resource::Core(core))
    }

    fn grant_lot(&mut self, chunks: u32, to: SubOsId, role: LotRole) -> Result<LotId, Error> {
        self.check_alive(to)?;
        if chunks == 0 {
            return Err(Error::BadSize);
        }
        let first = self.first_fit(chunks).ok_or(Error::NoResource)?;
        self.fill_lot(first, chunks, to, role)
    }

    fn fill_lot(&mut self, first: u32, count: u32, to: SubOsId, role: LotRole) -> Result<LotId, Error> {
        let window = if role == LotRole::Window { Window::Alone } else { Window::None };
        let id = self.add_lot(first, count, to, role, window)?;
        self.chunks[first as usize..][..count as usize].fill(ChunkEntry::Lot(id.index));
        Ok(id)
    }

    /// Makes a lot over these chunks, which do not know of it yet.
    fn add_lot(
        &mut self,
        first: u32,
        count: u32,
        to: SubOsId,
        role: LotRole,
        window: Window,
    ) -> Result<LotId, Error> {
        let seat = self.seat(to, role)?;
        let unused = |lot: &LotEntry| lot.count == 0 && lot.generation != u32::MAX;
        let position = self.lots.iter().position(unused).ok_or(Error::NoResource)?;
        let index = u16::try_from(position).map_err(|_| Error::NoResource)?;
        let generation = self.lots[position].generation;
        self.lots[position] = LotEntry { generation, first, count, seat, holder: Holder::SubOs(to), window };
        Ok(LotId { index, generation })
    }

    fn share(&mut self, lot: LotId, with: SubOsId) -> Result<LotId, Error> {
        self.check_alive(with)?;
        let LotEntry { first, count, holder, window, .. } = self.lot(lot)?;
        let Holder::SubOs(holder) = holder else { return Err(Error::Busy) };
        if window != Window::Alone {
            return Err(Error::WrongState);
        }
        if holder == with {
            return Err(Error::InvalidArgument);
        }
        let side = self.add_lot(first, count, with, LotRole::Window, Window::Shared(lot.index))?;
        self.lots[usize::from(lot.index)].window = Window::Shared(side.index);
        Ok(side)
    }

    /// The number that the subOS's next lot gets.
    fn seat(&self, to: SubOsId, role: LotRole) -> Result<u8, Error> {
        let taken = |seat| self.lots().any(|(_, lot)| lot.holder.subos() == Some(to) && lot.seat == seat);
        match role {
            LotRole::Home if taken(0) => Err(Error::AlreadyBound),
            LotRole::Home => Ok(0),
            _ => (1..MAX_LOTS_PER_SUBOS).find(|&seat| !taken(seat)).ok_or(Error::Full),
        }
    }

    /// The start of the first run of this many chunks in the pool. What is not free in a run is looked for from its end: no
    /// run before that one's successor will do.
    fn first_fit(&self, count: u32) -> Option<u32> {
        let (mut start, count) = (0, count as usize);
        while let Some(run) = self.chunks.get(start..start + count) {
            match run.iter().rposition(|chunk| !matches!(chunk, ChunkEntry::Pool)) {
                Some(taken) => start += taken + 1,
                None => return u32::try_from(start).ok(),
            }
        }
        None
    }

    fn begin_reclaim(&mut self, resource: Resource, from: SubOsId) -> Result<Resource, Error> {
        self.check_alive(from)?;
        if let Resource::Lot(lot) = resource {
            let lot = self.lot(lot)?;
            if lot.is_home() && lot.holder.subos() == Some(from) {
                return Err(Error::HomeLot);
            }
        }
        let holder = self.holder_mut(resource)?;
        match *holder {
            Holder::SubOs(owner) if owner == from => {
                *holder = Holder::Leaving(from, Phase::Revoking);
                Ok(resource)
            }
            Holder::Leaving(owner, _) if owner == from => Err(Error::Busy),
            _ => Err(Error::NotOwner),
        }
    }

    /// Takes a change back that was just made.
    fn undo(&mut self, change: Change, resource: Resource) {
        match (change, resource) {
            (Change::GrantCore { .. }, Resource::Core(core)) => {
                self.cores[usize::from(core.0)] = Holder::Pool;
            }
            (Change::GrantLot { .. }, Resource::Lot(id)) => {
                let position = usize::from(id.index);
                let lot = self.lots[position];
                for chunk in lot.chunks() {
                    self.chunks[chunk.position()] = ChunkEntry::Pool;
                }
                self.lots[position] = LotEntry { generation: lot.generation, ..LotEntry::default() };
            }
            (Change::Share { lot, .. }, Resource::Lot(side)) => {
                let generation = side.generation;
                self.lots[usize::from(side.index)] = LotEntry { generation, ..LotEntry::default() };
                self.lots[usize::from(lot.index)].window = Window::Alone;
            }
            (Change::Reclaim { from, .. }, resource) => {
                if let Ok(holder) = self.holder_mut(resource) {
                    *holder = Holder::SubOs(from);
                }
            }
            // A grant names what it granted.
            _ => {}
        }
    }

    pub(super) fn check_alive(&self, subos: SubOsId) -> Result<(), Error> {
        match self.life(subos)? {
            Life::Alive => Ok(()),
            _ => Err(Error::WrongState),
        }
    }

    /// The entry that says who holds this.
    pub(super) fn holder_mut(&mut self, resource: Resource) -> Result<&mut Holder, Error> {
        match resource {
            Resource::Core(core) => self.cores.get_mut(usize::from(core.0)).ok_or(Error::OutOfRange),
            Resource::Lot(lot) => {
                self.lot(lot)?;
                Ok(&mut self.lots[usize::from(lot.index)].holder)
            }
        }
    }
}
