//! The ledger as it was, to compare with.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use idl::kernel::machine::LedgerEntry;
use idl::plan::{CoreNumber, LotNumber};
use idl::types::{LedgerState, ResourceKind, SubOsNumber};

use crate::member::bit;
use crate::order::Changes;
use crate::port::MachinePort;

/// A copy of the whole ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    cores: Vec<LedgerEntry>,
    chunks: Vec<LedgerEntry>,
}

/// Resources of one kind with consecutive numbers, of which the ledger says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The first.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// What it says.
    pub entry: LedgerEntry,
}

impl Snapshot {
    /// Reads the ledger, every entry.
    ///
    /// # Errors
    /// The machine's.
    pub fn take(port: &mut impl MachinePort) -> Result<Self, caps::Error> {
        let totals = port.totals()?;
        Ok(Self {
            cores: read(port, ResourceKind::Core, totals.cores)?,
            chunks: read(port, ResourceKind::Chunk, totals.chunks)?,
        })
    }

    /// Whether this is a core of the subOS with this number, or nobody's if there is none.
    #[must_use]
    pub fn has_core(&self, core: CoreNumber, number: Option<SubOsNumber>) -> bool {
        let entry = self.cores.get(usize::from(core.0));
        entry.is_some_and(|entry| match number {
            None => entry.state == LedgerState::Free,
            Some(number) => entry.state == LedgerState::Owned && entry.owner == number,
        })
    }

    /// The chunks of a lot that this subOS alone has.
    #[must_use]
    pub fn chunks_of(&self, number: SubOsNumber, lot: LotNumber) -> Vec<usize> {
        let its = |entry: &LedgerEntry| {
            entry.state == LedgerState::Owned && entry.owner == number && entry.lot.0 == u32::from(lot.0)
        };
        let all = self.chunks.iter().enumerate();
        all.filter(|(_, entry)| its(entry)).map(|(index, _)| index).collect()
    }

    /// Which chunks are nobody's.
    #[must_use]
    pub fn free(&self) -> Vec<bool> {
        self.chunks.iter().map(|entry| entry.state == LedgerState::Free).collect()
    }

    /// The first entry in which a later copy differs, if any.
    #[must_use]
    pub fn difference(&self, later: &Self) -> Option<String> {
        first("core", &self.cores, &later.cores).or_else(|| first("chunk", &self.chunks, &later.chunks))
    }

    /// What the ledger says, with neighbours of which it says the same taken together.
    #[must_use]
    pub fn holdings(&self) -> Vec<(ResourceKind, Holding)> {
        let mut all = Vec::new();
        for (kind, entries) in [(ResourceKind::Core, &self.cores), (ResourceKind::Chunk, &self.chunks)] {
            let mut first = 0;
            for run in entries.chunk_by(|a, b| a == b) {
                let count = run.len() as u64;
                all.extend(run.first().map(|entry| (kind, Holding { first, count, entry: *entry })));
                first += count;
            }
        }
        all
    }

    /// What is in other hands in a later copy; what only one of the copies has is not counted.
    #[must_use]
    pub fn changes(&self, later: &Self) -> Changes {
        let changed = |before: &[LedgerEntry], after: &[LedgerEntry]| {
            let pairs = (0u64..).zip(before.iter().zip(after));
            pairs.filter(|(_, pair)| differs(pair)).map(|(index, _)| index).collect::<Vec<_>>()
        };
        let cores = changed(&self.cores, &later.cores).into_iter();
        let bit = |core| u8::try_from(core).map_or(0, |core| bit(CoreNumber(core)));
        Changes {
            cores: cores.fold(0, |mask, core| mask | bit(core)),
            chunks: changed(&self.chunks, &later.chunks),
        }
    }

    /// The cores that belong to nobody because they do not answer.
    #[must_use]
    pub fn quarantined_cores(&self) -> usize {
        self.cores.iter().filter(|entry| entry.state == LedgerState::Quarantined).count()
    }
}

fn read(
    port: &mut impl MachinePort,
    kind: ResourceKind,
    count: u64,
) -> Result<Vec<LedgerEntry>, caps::Error> {
    (0..count).map(|index| port.ledger(kind, index)).collect()
}

/// Entries are the same when they are in the same state, and have the same owner if they have one: the ledger
/// remembers of a free entry who had it last, and that is no difference.
fn differs((a, b): &(&LedgerEntry, &LedgerEntry)) -> bool {
    a.state != b.state || (a.state == LedgerState::Owned && (a.owner, a.lot) != (b.owner, b.lot))
}

fn first(what: &str, before: &[LedgerEntry], after: &[LedgerEntry]) -> Option<String> {
    if before.len() != after.len() {
        return Some(format!("there were {} entries of kind {what}, and are {}", before.len(), after.len()));
    }
    let at = before.iter().zip(after).position(|pair| differs(&pair))?;
    let (before, after) = (before.get(at)?, after.get(at)?);
    Some(format!("{what} {at} was {}, is {}", show(before), show(after)))
}

fn show(entry: &LedgerEntry) -> String {
    match entry.state {
        LedgerState::Owned => format!("Owned by subOS {} in its lot {}", entry.owner.0, entry.lot.0),
        state => state.name().into(),
    }
}
