//! What a record of the journal says, in the words of the specification.

use caps::ledger::{ChunkEntry, Holder, Life, LotEntry, LotId, SubOsEntry, SubOsId};
use caps::{Effect, Error, Found, Handle, Kind, Reset, Rights, SlotRef, Step, Table};
use caps_spec::layout::Fields;
use caps_spec::ledger::{LedgerAnswer, LedgerMemory, LedgerOperation};
use caps_spec::operation::{Answer, Operation, Outcome};
use idl::journal::{Answer as Answered, Code, Head, Journaled, Reader, SLOT_WORDS};

/// What was asked of a forest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// An operation of the specification.
    Operation(Operation),
    /// A lookup of any kind.
    LookupAny(Table, Handle),
    /// A lookup that found this object and this word.
    Peek(Table, Handle, Kind, Rights, (u64, u64)),
}

/// An operation on a forest.
#[derive(Clone, Debug)]
pub struct ForestEntry {
    /// What was asked.
    pub asked: Asked,
    /// What was answered.
    pub outcome: Outcome,
    /// For a lookup, the generation that it found.
    pub generation: Option<u32>,
    /// What the kernel was told to do.
    pub effects: Vec<Effect>,
    /// The slots that were written, as they were afterwards.
    pub written: Vec<(SlotRef, Fields)>,
}

impl ForestEntry {
    /// The slot that a question was about.
    #[must_use]
    pub fn looked_at(&self) -> Option<SlotRef> {
        let (Asked::Operation(Operation::Lookup { table, handle, .. } | Operation::Locate { table, handle })
        | Asked::LookupAny(table, handle)
        | Asked::Peek(table, handle, ..)) = self.asked
        else {
            return None;
        };
        table.first.offset(handle.index().0)
    }
}

/// An operation on the ledger.
#[derive(Clone, Debug)]
pub struct LedgerEntry {
    /// What was asked.
    pub operation: LedgerOperation,
    /// What was answered.
    pub answer: LedgerAnswer,
    /// The ledger afterwards.
    pub after: LedgerMemory,
}

/// What a record says.
#[derive(Clone, Debug)]
pub enum Entry {
    /// Of this kernel's forest.
    Forest(u16, ForestEntry),
    /// What a system call of this kernel was answered.
    Answer(u16, Answered),
    /// Of the ledger.
    Ledger(LedgerEntry),
}

impl Entry {
    /// What the record with this head and these words says; `None` if that is nothing.
    #[must_use]
    pub fn read(head: Head, words: &[u64]) -> Option<Self> {
        let mut from = Reader(words);
        let entry = match head.code {
            code if code.is_of_ledger() => Self::Ledger(ledger(code, &mut from)?),
            Code::Answer => Self::Answer(head.kernel, from.value()?),
            code => Self::Forest(head.kernel, forest(code, &mut from)?),
        };
        from.0.is_empty().then_some(entry)
    }
}

fn forest(code: Code, from: &mut Reader<'_>) -> Option<ForestEntry> {
    let mut generation = None;
    let mut found = |answer: Result<Found, Error>| {
        generation = answer.ok().map(|found| found.generation.0);
        answer.map(|found| Answer::Found(found.slot, found.capability))
    };
    let (asked, outcome) = match code {
        Code::Lookup => {
            let (table, handle, kind, rights) = from.value()?;
            (Asked::Operation(Operation::Lookup { table, handle, kind, rights }), found(from.value()?))
        }
        Code::LookupAny => {
            let (table, handle) = from.value()?;
            (Asked::LookupAny(table, handle), found(from.value()?))
        }
        Code::Locate => {
            let (table, handle) = from.value()?;
            (Asked::Operation(Operation::Locate { table, handle }), found(from.value()?))
        }
        Code::Peek => {
            let (table, handle, kind, rights) = from.value()?;
            (Asked::Peek(table, handle, kind, rights, from.value()?), Ok(Answer::Unit))
        }
        _ => {
            let (operation, outcome) = change(code, from)?;
            (Asked::Operation(operation), outcome)
        }
    };
    let (mut effects, mut written) = (Vec::new(), Vec::new());
    from.each(|effect| effects.push(effect))?;
    for _ in 0..from.word()? {
        let at = from.value()?;
        let words: &[u64; SLOT_WORDS] = from.words(SLOT_WORDS)?.try_into().ok()?;
        written.push((at, Fields::read(words)?));
    }
    Some(ForestEntry { asked, outcome, generation, effects, written })
}

/// An operation that changes something.
fn change(code: Code, from: &mut Reader<'_>) -> Option<(Operation, Outcome)> {
    let operation = operation(code, from)?;
    let outcome = match code {
        Code::Plant | Code::Watch | Code::MarkRevoking | Code::ResetBegin | Code::Replace => {
            answer::<()>(from, |()| Answer::Unit)?
        }
        Code::Lock => answer(from, Answer::Ticket)?,
        Code::Unlock => Ok(Answer::Unit),
        Code::RevokeStep | Code::DeleteStep => answer(from, Answer::Step)?,
        Code::SweepStep => Ok(Answer::Step(from.value::<Step>()?)),
        Code::ResetStep | Code::ResetCleared => answer::<Reset>(from, Answer::Reset)?,
        _ => answer(from, Answer::Capability)?,
    };
    Some((operation, outcome))
}

fn answer<T: Journaled>(from: &mut Reader<'_>, good: impl FnOnce(T) -> Answer) -> Option<Outcome> {
    from.value::<Result<T, Error>>().map(|answer| answer.map(good))
}

fn operation(code: Code, from: &mut Reader<'_>) -> Option<Operation> {
    Some(match code {
        Code::Plant => Operation::Plant { dest: from.value()?, capability: from.value()? },
        Code::Derive => {
            Operation::Derive { parent: from.value()?, dest: from.value()?, change: from.value()? }
        }
        Code::Replace => Operation::Replace { parent: from.value()?, dest: from.value()? },
        Code::Retype => Operation::Retype {
            untyped: from.value()?,
            dest: from.value()?,
            kind: from.value()?,
            bytes: from.value()?,
            align: from.value()?,
        },
        Code::Bind => Operation::Bind {
            region: from.value()?,
            space: from.value()?,
            dest: from.value()?,
            number: from.value()?,
        },
        Code::Move => Operation::Move { source: from.value()?, dest: from.value()? },
        Code::Lock => Operation::Lock { source: from.value()? },
        Code::Unlock => Operation::Unlock { ticket: from.value()? },
        Code::Land => Operation::Land { ticket: from.value()?, dest: from.value()? },
        Code::Watch => Operation::Watch { at: from.value()? },
        Code::MarkRevoking => Operation::MarkRevoking { root: from.value()? },
        Code::RevokeStep => Operation::RevokeStep { root: from.value()?, budget: from.value()? },
        Code::DeleteStep => Operation::DeleteStep { at: from.value()?, budget: from.value()? },
        Code::SweepStep => Operation::SweepStep { budget: from.value()? },
        Code::ResetBegin => Operation::ResetBegin { untyped: from.value()? },
        Code::ResetStep => Operation::ResetStep { untyped: from.value()?, budget: from.value()? },
        Code::ResetCleared => Operation::ResetCleared { untyped: from.value()?, bytes: from.value()? },
        _ => return None,
    })
}

fn ledger(code: Code, from: &mut Reader<'_>) -> Option<LedgerEntry> {
    let operation = match code {
        Code::ReleaseCore => LedgerOperation::ReleaseCore(from.value()?),
        Code::ReleaseChunk => LedgerOperation::ReleaseChunk(from.value()?),
        Code::PlaceLot => LedgerOperation::Place(from.value()?, from.value()?, from.value()?, from.value()?),
        Code::Create => LedgerOperation::Create,
        Code::Apply => {
            let mut changes = Vec::new();
            from.each(|change| changes.push(change))?;
            LedgerOperation::Apply(changes)
        }
        Code::Revoked => LedgerOperation::Revoked(from.value()?),
        Code::Quiesced => LedgerOperation::Quiesced(from.value()?),
        Code::Scrubbed => LedgerOperation::Scrubbed(from.value()?),
        Code::Quarantine => LedgerOperation::Quarantine(from.value()?),
        Code::Destroy => LedgerOperation::Destroy(from.value()?),
        Code::Destroyed => LedgerOperation::Destroyed(from.value()?),
        _ => return None,
    };
    let answer = ledger_answer(code, from)?;
    Some(LedgerEntry { operation, answer, after: ledger_state(from)? })
}

fn ledger_answer(code: Code, from: &mut Reader<'_>) -> Option<LedgerAnswer> {
    let refused = |error| LedgerAnswer::Refused(0, error);
    Some(match code {
        Code::Create => from.value::<Result<_, Error>>()?.map_or_else(refused, LedgerAnswer::SubOs),
        Code::PlaceLot => from.value::<Result<_, Error>>()?.map_or_else(refused, LedgerAnswer::Lot),
        Code::Apply => match from.word()? {
            0 => {
                let mut granted = Vec::new();
                from.each(|resource| granted.push(resource))?;
                LedgerAnswer::Granted(granted)
            }
            _ => LedgerAnswer::Refused(from.value()?, from.value()?),
        },
        _ => from.value::<Result<(), Error>>()?.map_or_else(refused, |()| LedgerAnswer::Unit),
    })
}

/// The whole ledger, as much of it as can be asked for: entries that are not in use have generation 0 here.
fn ledger_state(from: &mut Reader<'_>) -> Option<LedgerMemory> {
    let mut cores: Vec<Holder> = Vec::new();
    from.each(|holder| cores.push(holder))?;
    let count: u32 = from.value()?;
    let mut memory = LedgerMemory::new(0, count, caps::bounds::MAX_LOTS, caps::bounds::MAX_SUBOSES);
    memory.cores = cores;
    let mut runs: Vec<(u32, Option<Holder>)> = Vec::new();
    from.each(|run| runs.push(run))?;
    let ends = runs.iter().skip(1).map(|run| run.0).chain([count]);
    for (&(first, holder), end) in runs.iter().zip(ends) {
        let entry = match holder? {
            Holder::Pool => ChunkEntry::Pool,
            Holder::Quarantined => ChunkEntry::Quarantined,
            // What is held is filled in below, by its lot.
            _ => ChunkEntry::Reserved,
        };
        memory.chunks.get_mut(first as usize..end as usize)?.fill(entry);
    }
    let mut lots: Vec<(LotId, LotEntry)> = Vec::new();
    from.each(|lot| lots.push(lot))?;
    for (id, lot) in lots {
        *memory.lots.get_mut(usize::from(id.index))? = lot;
        let (first, end) = (lot.first as usize, lot.first.checked_add(lot.count)? as usize);
        memory.chunks.get_mut(first..end)?.fill(ChunkEntry::Lot(id.index));
    }
    let mut suboses: Vec<(SubOsId, Life)> = Vec::new();
    from.each(|subos| suboses.push(subos))?;
    for (id, life) in suboses {
        *memory.suboses.get_mut(usize::from(id.index))? =
            SubOsEntry { generation: id.generation, life, silent: 0 };
    }
    Some(memory)
}
