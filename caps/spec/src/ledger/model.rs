//! The naive specification of the ledger: a resource is an entry of a map, with who has it. Chunks are the resources;
//! a lot is a set of them.

use std::collections::{BTreeMap, BTreeSet};

use caps::Error;
use caps::bounds::{MAX_CHANGES, MAX_LOTS_PER_SUBOS};
use caps::ledger::{
    ChunkId, CoreId, Holder, Ledger, LedgerChange, Life, LotEntry, LotId, LotRole, Phase, Resource, SubOsId,
    Window,
};

use super::{LedgerAnswer, LedgerOperation};

/// A lot of the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// Its chunks.
    pub chunks: BTreeSet<u32>,
    /// Which of its holder's lots it is.
    pub seat: u8,
    /// Who has it.
    pub holder: Holder,
    /// Whether it can be shared: another lot may have the same chunks.
    pub window: bool,
    /// Whether a core that never answered may still use it, on behalf of somebody who had it too.
    pub spoilt: bool,
}

/// The state of the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerModel {
    /// Who has each core.
    pub cores: BTreeMap<u8, Holder>,
    /// Chunks that nobody ever has.
    pub reserved: BTreeSet<u32>,
    /// Chunks in the pool.
    pub pool: BTreeSet<u32>,
    /// Chunks that were given up.
    pub quarantined: BTreeSet<u32>,
    /// The lots.
    pub lots: BTreeMap<LotId, Lot>,
    /// The subOSes.
    pub suboses: BTreeMap<SubOsId, Life>,
    /// SubOSes with a core that never answered.
    pub silent: BTreeSet<SubOsId>,
    /// How many lots and subOSes had each number.
    pub spent: (Vec<u32>, Vec<u32>),
}

impl LedgerModel {
    /// Everything reserved.
    #[must_use]
    pub fn new(cores: u8, chunks: u32, lots: usize, suboses: usize) -> Self {
        Self {
            cores: (0..cores).map(|core| (core, Holder::Reserved)).collect(),
            reserved: (0..chunks).collect(),
            pool: BTreeSet::new(),
            quarantined: BTreeSet::new(),
            lots: BTreeMap::new(),
            suboses: BTreeMap::new(),
            silent: BTreeSet::new(),
            spent: (vec![0; lots], vec![0; suboses]),
        }
    }

    /// What the operation answers; the state changes only if it is not refused.
    pub fn perform(&mut self, operation: &LedgerOperation) -> LedgerAnswer {
        let unit = |result: Result<(), Error>| result.map(|()| LedgerAnswer::Unit);
        let answer = match operation {
            LedgerOperation::ReleaseCore(core) => unit(self.release_core(*core)),
            LedgerOperation::ReleaseChunk(chunk) => unit(self.release_chunk(*chunk)),
            LedgerOperation::Place(first, count, to, role) => {
                self.place(*first, *count, *to, *role).map(LedgerAnswer::Lot)
            }
            LedgerOperation::Create => self.create().map(LedgerAnswer::SubOs),
            LedgerOperation::Apply(changes) => return self.apply(changes),
            LedgerOperation::Revoked(resource) => {
                unit(self.step(*resource, Phase::Revoking, Some(Phase::Quiescing)))
            }
            LedgerOperation::Quiesced(resource) => unit(self.quiesced(*resource)),
            LedgerOperation::Scrubbed(resource) => unit(self.step(*resource, Phase::Scrubbing, None)),
            LedgerOperation::Quarantine(resource) => unit(self.quarantine(*resource)),
            LedgerOperation::Destroy(subos) => unit(self.destroy(*subos)),
            LedgerOperation::Destroyed(subos) => unit(self.destroyed(*subos)),
        };
        answer.unwrap_or_else(|error| LedgerAnswer::Refused(0, error))
    }

    fn release_core(&mut self, core: CoreId) -> Result<(), Error> {
        match self.cores.get_mut(&core.0) {
            None => Err(Error::OutOfRange),
            Some(holder) if *holder == Holder::Reserved => {
                *holder = Holder::Pool;
                Ok(())
            }
            Some(_) => Err(Error::WrongState),
        }
    }

    fn release_chunk(&mut self, chunk: ChunkId) -> Result<(), Error> {
        if chunk.0 >= self.chunk_count() {
            return Err(Error::OutOfRange);
        }
        if !self.reserved.remove(&chunk.0) {
            return Err(Error::WrongState);
        }
        self.pool.insert(chunk.0);
        Ok(())
    }

    /// How many chunks there are: the sum over all that can have them.
    #[must_use]
    pub fn chunk_count(&self) -> u32 {
        let held: BTreeSet<u32> = self.lots.values().flat_map(|lot| lot.chunks.iter().copied()).collect();
        let all = self.reserved.len() + self.pool.len() + self.quarantined.len() + held.len();
        u32::try_from(all).unwrap_or(u32::MAX)
    }

    fn create(&mut self) -> Result<SubOsId, Error> {
        let taken = |index: u8| self.suboses.keys().any(|subos| subos.index == index);
        let (index, &generation) = (0_u8..)
            .zip(&self.spent.1)
            .find(|&(index, &spent)| !taken(index) && spent < u32::MAX)
            .ok_or(Error::NoResource)?;
        let subos = SubOsId { index, generation };
        self.suboses.insert(subos, Life::Alive);
        Ok(subos)
    }

    fn life(&self, subos: SubOsId) -> Result<Life, Error> {
        if usize::from(subos.index) >= self.spent.1.len() {
            return Err(Error::OutOfRange);
        }
        self.suboses.get(&subos).copied().ok_or(Error::StaleHandle)
    }

    fn check_alive(&self, subos: SubOsId) -> Result<(), Error> {
        if self.life(subos)? == Life::Alive { Ok(()) } else { Err(Error::WrongState) }
    }

    fn lot(&self, lot: LotId) -> Result<&Lot, Error> {
        if usize::from(lot.index) >= self.spent.0.len() {
            return Err(Error::OutOfRange);
        }
        self.lots.get(&lot).ok_or(Error::StaleHandle)
    }

    fn holder_mut(&mut self, resource: Resource) -> Result<&mut Holder, Error> {
        match resource {
            Resource::Core(core) => self.cores.get_mut(&core.0).ok_or(Error::OutOfRange),
            Resource::Lot(lot) => {
                self.lot(lot)?;
                self.lots.get_mut(&lot).map(|lot| &mut lot.holder).ok_or(Error::StaleHandle)
            }
        }
    }

    /// A transaction is its changes one after another, on a copy that replaces the state if all went well.
    fn apply(&mut self, changes: &[LedgerChange]) -> LedgerAnswer {
        if changes.len() > MAX_CHANGES {
            return LedgerAnswer::Refused(0, Error::TooLong);
        }
        let mut copy = self.clone();
        let mut granted = Vec::new();
        for (position, change) in changes.iter().enumerate() {
            let named_before = match *change {
                LedgerChange::GrantCore { core, .. } => granted.contains(&Resource::Core(core)),
                LedgerChange::Reclaim { resource, .. } => granted.contains(&resource),
                LedgerChange::Share { lot, .. } => granted.contains(&Resource::Lot(lot)),
                LedgerChange::GrantLot { .. } => false,
            };
            let made = match *change {
                _ if named_before => Err(Error::InvalidArgument),
                LedgerChange::GrantCore { core, to } => copy.grant_core(core, to),
                LedgerChange::GrantLot { chunks, to, role } => copy.grant_lot(chunks, to, role),
                LedgerChange::Share { lot, with } => copy.share(lot, with),
                LedgerChange::Reclaim { resource, from } => copy.reclaim(resource, from),
            };
            match made {
                Ok(resource) => granted.push(resource),
                Err(error) => return LedgerAnswer::Refused(position, error),
            }
        }
        *self = copy;
        LedgerAnswer::Granted(granted)
    }

    fn grant_core(&mut self, core: CoreId, to: SubOsId) -> Result<Resource, Error> {
        self.check_alive(to)?;
        match self.cores.get(&core.0) {
            None => Err(Error::OutOfRange),
            Some(Holder::Pool) => {
                self.cores.insert(core.0, Holder::SubOs(to));
                Ok(Resource::Core(core))
            }
            Some(_) => Err(Error::NoResource),
        }
    }

    /// The lowest place where all chunks are in the pool.
    fn grant_lot(&mut self, count: u32, to: SubOsId, role: LotRole) -> Result<Resource, Error> {
        self.check_alive(to)?;
        if count == 0 {
            return Err(Error::BadSize);
        }
        let fits = |first: &u32| {
            let end = first.saturating_add(count);
            end <= self.chunk_count() && (*first..end).all(|chunk| self.pool.contains(&chunk))
        };
        let first = (0..self.chunk_count()).find(fits).ok_or(Error::NoResource)?;
        self.place(first, count, to, role).map(Resource::Lot)
    }

    fn place(&mut self, first: u32, count: u32, to: SubOsId, role: LotRole) -> Result<LotId, Error> {
        self.check_alive(to)?;
        if count == 0 {
            return Err(Error::BadSize);
        }
        if u64::from(first) + u64::from(count) > u64::from(self.chunk_count()) {
            return Err(Error::OutOfRange);
        }
        let chunks: BTreeSet<u32> = (first..first + count).collect();
        if !chunks.is_subset(&self.pool) {
            return Err(Error::NoResource);
        }
        let id = self.add_lot(chunks, to, role)?;
        self.pool.retain(|chunk| !self.lots[&id].chunks.contains(chunk));
        Ok(id)
    }

    /// A lot over these chunks: at the first free seat of its holder, with the first free number.
    fn add_lot(&mut self, chunks: BTreeSet<u32>, to: SubOsId, role: LotRole) -> Result<LotId, Error> {
        let seats: BTreeSet<u8> =
            self.lots.values().filter(|lot| lot.holder.subos() == Some(to)).map(|lot| lot.seat).collect();
        let seat = match role {
            LotRole::Home if seats.contains(&0) => return Err(Error::AlreadyBound),
            LotRole::Home => 0,
            LotRole::Extra | LotRole::Window => {
                (1..MAX_LOTS_PER_SUBOS).find(|seat| !seats.contains(seat)).ok_or(Error::Full)?
            }
        };
        let taken = |index: u16| self.lots.keys().any(|lot| lot.index == index);
        let (index, &generation) = (0_u16..)
            .zip(&self.spent.0)
            .find(|&(index, &spent)| !taken(index) && spent < u32::MAX)
            .ok_or(Error::NoResource)?;
        let id = LotId { index, generation };
        let window = role == LotRole::Window;
        self.lots.insert(id, Lot { chunks, seat, holder: Holder::SubOs(to), window, spoilt: false });
        Ok(id)
    }

    /// The other lot with the same chunks.
    fn other_side(&self, lot: LotId) -> Option<LotId> {
        let chunks = &self.lots.get(&lot)?.chunks;
        self.lots.iter().find(|&(&id, other)| id != lot && other.chunks == *chunks).map(|(&id, _)| id)
    }

    /// Gives a window's chunks to another as well.
    fn share(&mut self, lot: LotId, with: SubOsId) -> Result<Resource, Error> {
        self.check_alive(with)?;
        let Lot { chunks, holder, window, spoilt, .. } = self.lot(lot)?.clone();
        if !matches!(holder, Holder::SubOs(_)) {
            return Err(Error::Busy);
        }
        if !window || spoilt || self.other_side(lot).is_some() {
            return Err(Error::WrongState);
        }
        if holder == Holder::SubOs(with) {
            return Err(Error::InvalidArgument);
        }
        self.add_lot(chunks, with, LotRole::Window).map(Resource::Lot)
    }

    fn reclaim(&mut self, resource: Resource, from: SubOsId) -> Result<Resource, Error> {
        self.check_alive(from)?;
        if let Resource::Lot(lot) = resource {
            let lot = self.lot(lot)?;
            if lot.seat == 0 && lot.holder.subos() == Some(from) {
                return Err(Error::HomeLot);
            }
        }
        let holder = self.holder_mut(resource)?;
        if holder.subos() != Some(from) {
            return Err(Error::NotOwner);
        }
        if *holder != Holder::SubOs(from) {
            return Err(Error::Busy);
        }
        *holder = Holder::Leaving(from, Phase::Revoking);
        Ok(resource)
    }

    fn step(&mut self, resource: Resource, now: Phase, next: Option<Phase>) -> Result<(), Error> {
        let holder = self.holder_mut(resource)?;
        let Holder::Leaving(from, phase) = *holder else { return Err(Error::WrongState) };
        if phase != now {
            return Err(Error::WrongState);
        }
        *holder = next.map_or(Holder::Pool, |next| Holder::Leaving(from, next));
        if let (None, Resource::Lot(lot)) = (next, resource) {
            let chunks = self.dissolve(lot);
            self.pool.extend(chunks);
        }
        Ok(())
    }

    /// A lot is quiet when no core can still be at work for its holder.
    fn quiesced(&mut self, resource: Resource) -> Result<(), Error> {
        let holder = *self.holder_mut(resource)?;
        let Holder::Leaving(from, Phase::Quiescing) = holder else { return Err(Error::WrongState) };
        if let Resource::Lot(lot) = resource {
            if self.silent.contains(&from) || self.lot(lot)?.spoilt {
                return Err(Error::CoreSilent);
            }
            let running = |holder: &Holder| {
                holder.subos() == Some(from) && *holder != Holder::Leaving(from, Phase::Scrubbing)
            };
            if self.life(from)? == Life::Dying && self.cores.values().any(running) {
                return Err(Error::Busy);
            }
            // One side of a window is gone when it is quiet; the memory stays with the other.
            if self.other_side(lot).is_some() {
                self.dissolve(lot);
                return Ok(());
            }
        }
        self.step(resource, Phase::Quiescing, Some(Phase::Scrubbing))
    }

    fn quarantine(&mut self, resource: Resource) -> Result<(), Error> {
        let holder = self.holder_mut(resource)?;
        let Holder::Leaving(from, phase) = *holder else { return Err(Error::WrongState) };
        if phase == Phase::Revoking && matches!(resource, Resource::Lot(_)) {
            return Err(Error::WrongState);
        }
        *holder = Holder::Quarantined;
        match resource {
            Resource::Core(_) if phase != Phase::Scrubbing => drop(self.silent.insert(from)),
            Resource::Core(_) => {}
            Resource::Lot(lot) => match self.other_side(lot) {
                Some(other) => {
                    self.dissolve(lot);
                    self.lots.entry(other).and_modify(|other| other.spoilt = true);
                }
                None => {
                    let chunks = self.dissolve(lot);
                    self.quarantined.extend(chunks);
                }
            },
        }
        Ok(())
    }

    fn dissolve(&mut self, lot: LotId) -> BTreeSet<u32> {
        self.spent.0[usize::from(lot.index)] += 1;
        self.lots.remove(&lot).map(|lot| lot.chunks).unwrap_or_default()
    }

    fn destroy(&mut self, subos: SubOsId) -> Result<(), Error> {
        let life = self.life(subos)?;
        if subos.index == 0 {
            return Err(Error::InvalidArgument);
        }
        if life == Life::Dying {
            return Err(Error::WrongState);
        }
        self.suboses.insert(subos, Life::Dying);
        let lots = self.lots.values_mut().map(|lot| &mut lot.holder);
        for holder in self.cores.values_mut().chain(lots) {
            if matches!(*holder, Holder::SubOs(owner) | Holder::Leaving(owner, Phase::Revoking) if owner == subos)
            {
                *holder = Holder::Leaving(subos, Phase::Quiescing);
            }
        }
        Ok(())
    }

    fn destroyed(&mut self, subos: SubOsId) -> Result<(), Error> {
        if self.life(subos)? != Life::Dying {
            return Err(Error::WrongState);
        }
        let lots = self.lots.values().map(|lot| lot.holder);
        if self.cores.values().copied().chain(lots).any(|holder| holder.subos() == Some(subos)) {
            return Err(Error::Busy);
        }
        self.suboses.remove(&subos);
        self.silent.remove(&subos);
        self.spent.1[usize::from(subos.index)] += 1;
        Ok(())
    }

    /// Whether the ledger says exactly what the specification says.
    pub fn compare(&self, ledger: &Ledger<'_>) -> Result<(), String> {
        let cores: BTreeMap<u8, Holder> = ledger.cores().map(|(core, holder)| (core.0, holder)).collect();
        let suboses: BTreeMap<SubOsId, Life> = ledger.suboses().collect();
        let lots: BTreeMap<LotId, Lot> = ledger
            .lots()
            .map(|(id, lot)| {
                let chunks = lot.chunks().map(|chunk| chunk.0).collect();
                let window = lot.window != Window::None;
                let spoilt = lot.window == Window::Spoilt;
                (id, Lot { chunks, seat: lot.seat, holder: lot.holder, window, spoilt })
            })
            .collect();
        let shared = |id: LotId, lot: LotEntry| match (lot.window, self.other_side(id)) {
            (Window::Shared(other), Some(side)) => other == side.index,
            (Window::Shared(_), None) | (_, Some(_)) => false,
            (_, None) => true,
        };
        let with = |wanted: Holder| -> BTreeSet<u32> {
            (0..self.chunk_count()).filter(|&chunk| ledger.chunk(ChunkId(chunk)) == Ok(wanted)).collect()
        };
        let chunks = (with(Holder::Reserved), with(Holder::Pool), with(Holder::Quarantined));
        let expected = (self.reserved.clone(), self.pool.clone(), self.quarantined.clone());
        let same = cores == self.cores
            && suboses == self.suboses
            && lots == self.lots
            && ledger.lots().all(|(id, lot)| shared(id, lot))
            && chunks == expected
            && u32::try_from(ledger.chunk_count()) == Ok(self.chunk_count());
        if same { Ok(()) } else { Err(format!("{ledger:?}\nis not\n{self:?}")) }
    }
}
