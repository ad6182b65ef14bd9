//! Several subOSes at once: the ledger, a forest for each subOS, and the memory that goes from one to the other.
//!
//! What ties them together is what the kernel does between the two: a grant plants a root where the lot's seat is, a reclaim
//! deletes that root step by step before it says *revoked*, what a lot holds goes along when it is quiet, and is cleared
//! before the next owner has it. Each operation on a forest or on the ledger is checked as ever; [`Machine::check`] says what
//! must hold of them together.
//!
//! Reading order: this file (acts and invariants), `play` (random acts), `story` (a failure as a test), `small` (every state of a small machine).

mod play;
mod small;
pub mod story;

use std::collections::BTreeMap;

use caps::bounds::{CHUNK, PAGE};
use caps::ledger::{Holder, LedgerChange, Life, LotEntry, LotId, Phase, Resource, SubOsId, Window};
use caps::{Capability, Kind, Rights, Slot, SlotRef, Step};

use crate::game::{FIRST, Game};
use crate::ledger::{LedgerAnswer, LedgerGame, LedgerOperation};
use crate::operation::{Answer, Operation};

pub use small::SmallMachine;

/// How many slots the root table of a subOS has for the roots of lots; behind them it has a few of its own.
pub const SEATS: u32 = 4;
/// How many slots a root table has in all, without its header.
pub const ROOT_SLOTS: u32 = SEATS + 4;

#[allow(clippy::cast_possible_truncation, reason = "it is 64")]
const SLOTS_PER_PAGE: u32 = (PAGE / Slot::SIZE) as u32;

/// What can happen on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A subOS's own operation, on its own forest.
    Own(SubOsId, Operation),
    /// An operation on the ledger, other than those below.
    Decide(LedgerOperation),
    /// A step of the removal of all that derives from a lot that is being taken back.
    Revoke(LotId, u32),
    /// All cores have acknowledged that they left the lot.
    Quiet(LotId),
    /// What was in the lot is cleared.
    Scrub(LotId),
}

/// The whole machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Who owns what.
    pub ledger: LedgerGame,
    /// What each subOS has.
    pub suboses: BTreeMap<SubOsId, Game>,
    /// What lies in chunks that no subOS can reach.
    pub left: BTreeMap<u32, Vec<(u32, Slot)>>,
    /// How many pages at the beginning of each lot there is memory for: the lot's root capability covers as much.
    pages: u32,
}

impl Machine {
    /// A machine with this many cores and chunks, all in the pool, and one subOS, the supervisor's, that has nothing.
    #[must_use]
    pub fn new(cores: u8, chunks: u32, suboses: usize) -> Self {
        Self::sized(cores, chunks, suboses, 8)
    }

    fn sized(cores: u8, chunks: u32, suboses: usize, pages: u32) -> Self {
        let mut ledger = LedgerGame::sized(cores, chunks + 1, chunks as usize, suboses);
        let released = (0..cores).map(|core| LedgerOperation::ReleaseCore(caps::ledger::CoreId(core)));
        let chunks = (1..=chunks).map(|chunk| LedgerOperation::ReleaseChunk(caps::ledger::ChunkId(chunk)));
        for operation in released.chain(chunks) {
            let answer = ledger.apply(&operation);
            assert_eq!(answer, Ok(LedgerAnswer::Unit));
        }
        let mut machine = Self { ledger, suboses: BTreeMap::new(), left: BTreeMap::new(), pages };
        let created = machine.apply(&Act::Decide(LedgerOperation::Create));
        assert_eq!(created, Ok(true));
        machine
    }

    /// Carries an act out with all checks. Says whether it was not refused; the error says what is wrong.
    pub fn apply(&mut self, act: &Act) -> Result<bool, String> {
        let accepted = match act {
            Act::Own(subos, operation) => {
                // The cores of a subOS that is being destroyed do nothing more.
                let alive = self.ledger.model.suboses.get(subos) == Some(&Life::Alive);
                let Some(game) = self.suboses.get_mut(subos).filter(|_| alive) else { return Ok(false) };
                game.apply(operation)?.is_ok()
            }
            Act::Decide(operation) => self.decide(operation)?,
            Act::Revoke(lot, budget) => self.revoke(*lot, *budget)?,
            Act::Quiet(lot) => self.quiet(*lot)?,
            Act::Scrub(lot) => self.scrub(*lot)?,
        };
        if accepted {
            self.check()?;
        }
        Ok(accepted)
    }

    fn decide(&mut self, operation: &LedgerOperation) -> Result<bool, String> {
        let left = match operation {
            LedgerOperation::Quarantine(Resource::Lot(lot)) => self.lot(*lot),
            _ => None,
        };
        let answer = self.ledger.apply(operation)?;
        match (operation, &answer) {
            (_, LedgerAnswer::Refused(..)) => return Ok(false),
            (_, LedgerAnswer::SubOs(subos)) => {
                let chunks = u32::try_from(self.ledger.memory.chunks.len()).unwrap_or(0);
                let game = Game::spread(ROOT_SLOTS + 1, chunks, self.pages * SLOTS_PER_PAGE);
                self.suboses.insert(*subos, game);
            }
            (LedgerOperation::Apply(changes), LedgerAnswer::Granted(granted)) => {
                for (change, resource) in changes.iter().zip(granted) {
                    let (to, lot) = match (change, resource) {
                        (LedgerChange::GrantLot { to, .. }, Resource::Lot(lot))
                        | (LedgerChange::Share { with: to, .. }, Resource::Lot(lot)) => (*to, *lot),
                        _ => continue,
                    };
                    self.plant(to, lot)?;
                }
            }
            (LedgerOperation::Quarantine(_), _) => {
                if let Some(lot) = left {
                    self.carry_away(&lot);
                }
            }
            (LedgerOperation::Destroyed(subos), _) => drop(self.suboses.remove(subos)),
            _ => {}
        }
        Ok(true)
    }

    /// A lot, if it is one.
    fn lot(&mut self, lot: LotId) -> Option<LotEntry> {
        self.ledger.memory.ledger().lot(lot).ok()
    }

    /// Brings a lot to its new holder: with what lies in it, and with a root capability at its seat.
    fn plant(&mut self, to: SubOsId, lot: LotId) -> Result<(), String> {
        let entry = self.lot(lot).ok_or("granted, and not there")?;
        let bytes = self.root_bytes();
        let game = self.suboses.get_mut(&to).ok_or("granted to nobody")?;
        for chunk in entry.chunks() {
            game.bring(self.left.remove(&chunk.0).unwrap_or_default());
        }
        let dest = seat(entry.seat).ok_or("a seat without a slot")?;
        // What two share can be mapped, and nothing is made of it.
        let kind = if entry.window == Window::None { Kind::Untyped } else { Kind::Region };
        let capability = Capability::new(kind, Rights::all(), entry.address(), bytes);
        let planted = game.apply(&Operation::Plant { dest, capability })?;
        planted.map(|_| ()).map_err(|error| format!("a lot's root is refused: {error}"))
    }

    /// Removes some of what derives from a lot that is being taken back; at the end the ledger hears of it.
    fn revoke(&mut self, lot: LotId, budget: u32) -> Result<bool, String> {
        let Some(entry) = self.lot(lot) else { return Ok(false) };
        let Holder::Leaving(from, Phase::Revoking) = entry.holder else { return Ok(false) };
        let game = self.suboses.get_mut(&from).ok_or("a lot of nobody")?;
        let at = seat(entry.seat).ok_or("a seat without a slot")?;
        let operation = if game.subject.memory.peek(at).is_free() {
            Operation::SweepStep { budget }
        } else {
            Operation::DeleteStep { at, budget }
        };
        match game.apply(&operation)? {
            Ok(Answer::Step(Step::Done)) => {
                let revoked = self.ledger.apply(&LedgerOperation::Revoked(Resource::Lot(lot)))?;
                Ok(revoked == LedgerAnswer::Unit)
            }
            other => Ok(other.is_ok()),
        }
    }

    fn quiet(&mut self, lot: LotId) -> Result<bool, String> {
        let Some(entry) = self.lot(lot) else { return Ok(false) };
        if self.ledger.apply(&LedgerOperation::Quiesced(Resource::Lot(lot)))? != LedgerAnswer::Unit {
            return Ok(false);
        }
        self.carry_away(&entry);
        Ok(true)
    }

    /// Takes what lies in a lot out of its holder's reach.
    fn carry_away(&mut self, lot: &LotEntry) {
        let Some(game) = lot.holder.subos().and_then(|from| self.suboses.get_mut(&from)) else { return };
        for chunk in lot.chunks() {
            self.left.insert(chunk.0, game.carry_away(chunk.address()..chunk.address() + CHUNK));
        }
    }

    fn scrub(&mut self, lot: LotId) -> Result<bool, String> {
        let Some(entry) = self.lot(lot) else { return Ok(false) };
        if self.ledger.apply(&LedgerOperation::Scrubbed(Resource::Lot(lot)))? != LedgerAnswer::Unit {
            return Ok(false);
        }
        for chunk in entry.chunks() {
            self.left.remove(&chunk.0);
        }
        Ok(true)
    }

    /// What must hold of ledger and forests together.
    pub fn check(&self) -> Result<(), String> {
        self.authority_is_owned().map_err(|why| format!("I11 exclusive, I7 confined: {why}"))?;
        self.pool_is_clear().map_err(|why| format!("I22 scrubbed: {why}"))
    }

    /// I11 and I7 for memory: every capability of a living subOS to memory, and every slot that it uses but for its root
    /// table, lies in a lot that it holds or whose capabilities are being removed; so nothing of a lot is left when that is
    /// *revoked*. Conversely a lot that is held has its root at its seat.
    pub fn authority_is_owned(&self) -> Result<(), String> {
        for (subos, life) in self.lives() {
            let Some(game) = self.suboses.get(&subos).filter(|_| life == Life::Alive) else { continue };
            let lots: Vec<LotEntry> = self.lots_of(subos).collect();
            let within = |from: u64, bytes: u64| {
                let covers =
                    |lot: &LotEntry| from >= lot.address() && from + bytes <= lot.address() + lot.bytes();
                lots.iter().any(covers)
            };
            for (at, slot) in game.subject.memory.occupied() {
                let Some(says) = slot.capability() else { continue };
                let memory = says.kind.granule().is_some() || says.kind == Kind::Binding;
                let own_table = at.number() < FIRST.number() + 1 + ROOT_SLOTS;
                if (memory && !within(says.object, says.bytes())) || !(own_table || within(at.address(), 64))
                {
                    return Err(format!("{subos:?} has {says:?} in {at:?}, and the lots {lots:?}"));
                }
            }
            for lot in lots.iter().filter(|lot| lot.holder == Holder::SubOs(subos)) {
                let root = seat(lot.seat).and_then(|at| game.subject.memory.peek(at).capability());
                if root.map(|root| (root.object, root.size)) != Some((lot.address(), self.root_bytes())) {
                    return Err(format!("{subos:?} holds {lot:?} and has {root:?} for it"));
                }
            }
        }
        Ok(())
    }

    /// I22 for memory: what lies in a chunk of the pool is nothing.
    pub fn pool_is_clear(&self) -> Result<(), String> {
        for (&chunk, slots) in &self.left {
            let pool = self.ledger.model.pool.contains(&chunk);
            if let (true, Some((number, slot))) = (pool, slots.iter().find(|(_, slot)| *slot != Slot::FREE)) {
                return Err(format!("chunk {chunk} is free, and slot {number} of it holds {slot:?}"));
            }
        }
        Ok(())
    }

    fn root_bytes(&self) -> u64 {
        u64::from(self.pages) * PAGE
    }

    fn lives(&self) -> impl Iterator<Item = (SubOsId, Life)> {
        self.ledger.model.suboses.iter().map(|(&subos, &life)| (subos, life))
    }

    /// The lots whose memory a subOS may still refer to.
    fn lots_of(&self, subos: SubOsId) -> impl Iterator<Item = LotEntry> {
        let held =
            move |holder| holder == Holder::SubOs(subos) || holder == Holder::Leaving(subos, Phase::Revoking);
        self.ledger.memory.lots.iter().copied().filter(move |lot| lot.count > 0 && held(lot.holder))
    }

    /// What a subOS sees: all that is in its slots, and which lots and cores are its.
    #[must_use]
    pub fn view(&self, subos: SubOsId) -> String {
        let Some(game) = self.suboses.get(&subos) else { return String::new() };
        let slots: Vec<_> = game.subject.memory.written().filter(|(_, slot)| **slot != Slot::FREE).collect();
        let lots: Vec<LotEntry> = self.lots_of(subos).map(|lot| LotEntry { generation: 0, ..lot }).collect();
        let cores: Vec<bool> =
            self.ledger.memory.cores.iter().map(|core| core.subos() == Some(subos)).collect();
        format!("{:?} {slots:?} {lots:?} {cores:?}", game.subject.forest)
    }

    /// Forgets what happened: for searches, which keep many machines.
    pub fn forget_stories(&mut self) {
        self.ledger.log.clear();
        for game in self.suboses.values_mut() {
            game.log.clear();
        }
    }
}

/// The slot of the root table for a lot with this seat.
#[must_use]
pub fn seat(seat: u8) -> Option<SlotRef> {
    FIRST.offset(u32::from(seat) + 1).filter(|_| u32::from(seat) < SEATS)
}

/// Whether a subOS may do this itself: the roots of its lots are not its to move, to delete or to plant.
#[must_use]
pub fn is_its_own(operation: &Operation) -> bool {
    let root = |at: SlotRef| (FIRST.number() + 1..=FIRST.number() + SEATS).contains(&at.number());
    match *operation {
        Operation::Plant { .. } => false,
        Operation::Move { source, dest } => !root(source) && !root(dest),
        Operation::Lock { source } => !root(source),
        Operation::Unlock { ticket } => !root(ticket.slot),
        Operation::Land { ticket, dest } => !root(ticket.slot) && !root(dest),
        Operation::DeleteStep { at, .. } => !root(at),
        Operation::Derive { dest, .. } | Operation::Retype { dest, .. } | Operation::Bind { dest, .. } => {
            !root(dest)
        }
        _ => true,
    }
}
