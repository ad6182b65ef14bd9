//! Random play on the ledger, with every check after every operation.

use std::collections::BTreeSet;

use caps::Error;
use caps::ledger::{ChunkId, CoreId, LedgerChange, LotId, LotRole, Resource, SubOsId};

use super::{LedgerAnswer, LedgerMemory, LedgerModel, LedgerOperation};
use crate::invariant::ledger;
use crate::play::Throw;
use crate::transition::Scrutiny;

/// The ledger and its specification side by side.
#[derive(Clone, Debug)]
pub struct LedgerGame {
    /// The real code's entries.
    pub memory: LedgerMemory,
    /// The specification.
    pub model: LedgerModel,
    /// What happened.
    pub log: Vec<(LedgerOperation, LedgerAnswer)>,
    /// Operations with the errors that they gave.
    pub reached: BTreeSet<(&'static str, Option<Error>)>,
    /// How closely each operation is looked at.
    pub scrutiny: Scrutiny,
}

impl LedgerGame {
    /// A machine of 4 cores and 40 chunks, with room for 36 lots and 4 subOSes; everything is reserved.
    #[must_use]
    pub fn new() -> Self {
        Self::sized(4, 40, 36, 4)
    }

    /// A machine of some size, everything reserved.
    #[must_use]
    pub fn sized(cores: u8, chunks: u32, lots: usize, suboses: usize) -> Self {
        Self::at(LedgerMemory::new(cores, chunks, lots, suboses))
    }

    /// The game that begins in a given state.
    #[must_use]
    pub fn at(memory: LedgerMemory) -> Self {
        Self {
            model: LedgerModel::of(&memory),
            memory,
            log: Vec::new(),
            reached: BTreeSet::new(),
            scrutiny: Scrutiny::asked(),
        }
    }

    /// The same, booted: all but chunk 0 and the last core in the pool, and subOS 0 with a home lot and core 0.
    #[must_use]
    pub fn booted() -> Self {
        let mut game = Self::new();
        let mut boot: Vec<LedgerOperation> =
            (0..3).map(|core| LedgerOperation::ReleaseCore(CoreId(core))).collect();
        boot.extend((1..40).map(|chunk| LedgerOperation::ReleaseChunk(ChunkId(chunk))));
        let boss = SubOsId { index: 0, generation: 0 };
        boot.push(LedgerOperation::Create);
        boot.push(LedgerOperation::Place(4, 3, boss, LotRole::Home));
        boot.push(LedgerOperation::Apply(vec![LedgerChange::GrantCore { core: CoreId(0), to: boss }]));
        for operation in boot {
            let answer = game.apply(&operation);
            assert!(answer.is_ok(), "{answer:?}");
        }
        game
    }

    /// The same, and subOS 0 has as many lots as it can.
    #[must_use]
    pub fn crowded() -> Self {
        let mut game = Self::booted();
        let to = SubOsId { index: 0, generation: 0 };
        let grant = LedgerChange::GrantLot { chunks: 1, to, role: LotRole::Extra };
        let answer = game.apply(&LedgerOperation::Apply(vec![grant; 31]));
        assert!(matches!(answer, Ok(LedgerAnswer::Granted(_))), "{answer:?}");
        game
    }

    /// Carries an operation out on both sides and checks everything.
    pub fn apply(&mut self, operation: &LedgerOperation) -> Result<LedgerAnswer, String> {
        let before = self.memory.clone();
        let answer = self.memory.perform(operation);
        let wrong = examine(&before, &mut self.memory, &mut self.model, operation, &answer, self.scrutiny);
        self.log.push((operation.clone(), answer.clone()));
        self.reached.insert((operation.name(), answer.refusal()));
        wrong.map(|()| answer)
    }

    /// Plays throws until something is wrong.
    pub fn play(&mut self, throws: &[Throw]) -> Result<(), String> {
        for &throw in throws {
            let operation = self.choose(throw);
            let _ = self.apply(&operation).map_err(|why| format!("{why}\n\nafter\n{}", self.story()))?;
        }
        Ok(())
    }

    /// The operations so far, one a line.
    #[must_use]
    pub fn story(&self) -> String {
        self.log.iter().map(|(operation, answer)| format!("{operation:?} -> {answer:?}\n")).collect()
    }

    /// The operation that a throw means in this state.
    #[must_use]
    pub fn choose(&self, throw: Throw) -> LedgerOperation {
        let [what, a, b, c, d] = throw;
        match what % 32 {
            0 => LedgerOperation::ReleaseCore(core(a)),
            1 => LedgerOperation::ReleaseChunk(ChunkId(u32::from(a % 42))),
            2 => LedgerOperation::Place(u32::from(a % 42), u32::from(b % 5), self.subos(c), role(d)),
            3..=5 => LedgerOperation::Create,
            6..=13 => LedgerOperation::Apply(
                [(a, b, c, d), (b, c, d, a), (c, d, a, b), (d, a, b, c)]
                    .map(|(a, b, c, d)| self.change(a, b, c, d))
                    .into_iter()
                    .take(1 + usize::from(d % 4))
                    .collect(),
            ),
            14 if d.is_multiple_of(64) => LedgerOperation::Apply(vec![self.change(a, b, c, d); 65]),
            14..=17 => LedgerOperation::Revoked(self.resource(a)),
            18..=22 => LedgerOperation::Quiesced(self.resource(a)),
            23..=27 => LedgerOperation::Scrubbed(self.resource(a)),
            28 => LedgerOperation::Quarantine(self.resource(a)),
            29 => LedgerOperation::Destroy(self.subos(a)),
            _ => LedgerOperation::Destroyed(self.subos(a)),
        }
    }

    fn change(&self, a: u16, b: u16, c: u16, d: u16) -> LedgerChange {
        match a % 4 {
            0 => LedgerChange::GrantCore { core: core(b), to: self.subos(c) },
            1 if b.is_multiple_of(5) => match self.resource(b / 80 * 16 + 7) {
                Resource::Lot(lot) => LedgerChange::Share { lot, with: self.subos(c) },
                Resource::Core(core) => LedgerChange::GrantCore { core, to: self.subos(c) },
            },
            1 => LedgerChange::GrantLot { chunks: u32::from(b % 4), to: self.subos(c), role: role(d) },
            _ => {
                let resource = self.resource(b);
                let holder = match resource {
                    Resource::Core(core) => self.model.cores.get(&core.0).and_then(|holder| holder.subos()),
                    Resource::Lot(lot) => self.model.lots.get(&lot).and_then(|lot| lot.holder.subos()),
                };
                let from = holder.filter(|_| !d.is_multiple_of(8)).unwrap_or(self.subos(c));
                LedgerChange::Reclaim { resource, from }
            }
        }
    }

    fn subos(&self, a: u16) -> SubOsId {
        let all: Vec<SubOsId> = self.model.suboses.keys().copied().collect();
        let nobody = SubOsId { index: u8::try_from(a % 5).unwrap_or(0), generation: u32::from(a / 5 % 2) };
        if a.is_multiple_of(16) {
            nobody
        } else {
            all.get(usize::from(a) % all.len().max(1)).copied().unwrap_or(nobody)
        }
    }

    fn resource(&self, a: u16) -> Resource {
        let lots: Vec<LotId> = self.model.lots.keys().copied().collect();
        let nothing = LotId { index: a % 37, generation: u32::from(a / 37 % 2) };
        match a % 16 {
            0 => Resource::Lot(nothing),
            1..=6 => Resource::Core(core(a / 16)),
            _ => Resource::Lot(lots.get(usize::from(a / 16) % lots.len().max(1)).copied().unwrap_or(nothing)),
        }
    }
}

/// Everything that is to be said of one operation on the ledger: `model` is the specification's state before, and
/// becomes that after.
pub fn examine(
    before: &LedgerMemory,
    after: &mut LedgerMemory,
    model: &mut LedgerModel,
    operation: &LedgerOperation,
    answer: &LedgerAnswer,
    scrutiny: Scrutiny,
) -> Result<(), String> {
    let expected = model.perform(operation);
    if *answer != expected {
        return Err(format!("I23 refines: answered {answer:?}, expected {expected:?}"));
    }
    if let Some(error) = answer.refusal() {
        if !operation.errors().contains(&error) {
            return Err(format!("I25 total: {error} is not documented for {}", operation.name()));
        }
        // What is as it was needs no further look.
        return if after == before {
            Ok(())
        } else {
            Err(format!("I23 refines: answered {error} and changed something"))
        };
    }
    let ledger = after.ledger();
    model.compare(&ledger).map_err(|why| format!("I23 refines: {why}"))?;
    if scrutiny == Scrutiny::Refinement {
        return Ok(());
    }
    ledger.audit().map_err(|found| format!("I11 exclusive: {found:?}"))?;
    ledger::exclusive(after)?;
    ledger::conserved(before, after)?;
    ledger::lawful(before, after)
}

impl Default for LedgerGame {
    fn default() -> Self {
        Self::new()
    }
}

fn core(a: u16) -> CoreId {
    CoreId(u8::try_from(a % 5).unwrap_or(0))
}

fn role(d: u16) -> LotRole {
    [LotRole::Home, LotRole::Extra, LotRole::Window][usize::from(d % 3)]
}
