//! The ledger as it was, to compare with.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use idl::kernel::machine::LedgerEntry;
use idl::plan::{CoreNumber, LotNumber};
use idl::types::{LedgerState, ResourceKind, SubOsNumber};
use serde::{Deserialize, Serialize, Serializer};

use crate::member::bit;
use crate::order::Changes;
use crate::port::MachinePort;

/// A copy of the whole ledger. It is written down as what neighbours have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Runs")]
pub struct Snapshot {
    cores: Vec<LedgerEntry>,
    chunks: Vec<LedgerEntry>,
    /// The same, as it is written down, which is often.
    runs: Runs,
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
        Ok(Self::of(
            read(port, ResourceKind::Core, totals.cores)?,
            read(port, ResourceKind::Chunk, totals.chunks)?,
        ))
    }

    fn of(cores: Vec<LedgerEntry>, chunks: Vec<LedgerEntry>) -> Self {
        let runs = Runs::of(&cores, &chunks);
        Self { cores, chunks, runs }
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

    /// The ledger as it will be when all that subOSes have is taken back, if nothing is lost meanwhile.
    #[must_use]
    pub fn without_suboses(mut self) -> Self {
        let leaves = [
            LedgerState::Owned,
            LedgerState::Revoking,
            LedgerState::Quiescing,
            LedgerState::Scrubbing,
            LedgerState::Shared,
        ];
        for entry in self.cores.iter_mut().chain(&mut self.chunks) {
            if entry.owner != SubOsNumber(0) && leaves.contains(&entry.state) {
                entry.state = LedgerState::Free;
            }
        }
        Self::of(self.cores, self.chunks)
    }

    /// The lots that the ledger shows this subOS to have, each with how many chunks.
    #[must_use]
    pub fn lots_of(&self, owner: SubOsNumber) -> BTreeMap<u32, u32> {
        let mut lots = BTreeMap::new();
        let gone = [LedgerState::Reserved, LedgerState::Free, LedgerState::Quarantined];
        for entry in &self.chunks {
            if entry.owner == owner && !gone.contains(&entry.state) {
                *lots.entry(entry.lot.0).or_default() += 1;
            }
        }
        lots
    }

    /// The cores that belong to nobody because they do not answer.
    #[must_use]
    pub fn quarantined_cores(&self) -> usize {
        self.cores.iter().filter(|entry| entry.state == LedgerState::Quarantined).count()
    }
}

/// Most entries of one kind that there can be: a chunk each of 256 GiB.
const MOST: usize = 1 << 17;

/// So many entries in a row: state, owner, lot. Of what nobody owns the ledger remembers who had it, which does not matter.
type Run = (u32, u32, u32, u32);

/// A copy of the ledger as it is written down: cores, then chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Runs([Vec<Run>; 2]);

impl Runs {
    fn of(cores: &[LedgerEntry], chunks: &[LedgerEntry]) -> Self {
        let run = |run: &[LedgerEntry]| {
            let (count, entry) = (u32::try_from(run.len()).ok()?, run.first()?);
            let owned = entry.state == LedgerState::Owned;
            let (owner, lot) = if owned { (entry.owner.0, entry.lot.0) } else { (0, 0) };
            Some((count, entry.state as u32, owner, lot))
        };
        Self([cores, chunks].map(|all| all.chunk_by(|a, b| !differs(&(a, b))).filter_map(run).collect()))
    }
}

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.runs.serialize(serializer)
    }
}

impl TryFrom<Runs> for Snapshot {
    type Error = &'static str;

    fn try_from(Runs([cores, chunks]): Runs) -> Result<Self, &'static str> {
        let entries = |runs: Vec<Run>| {
            let mut entries = Vec::new();
            for (count, state, owner, lot) in runs {
                let state = LedgerState::ALL.get(state as usize).copied().ok_or("no such state")?;
                let count = count as usize;
                if count > MOST - entries.len() {
                    return Err("more entries than any ledger has");
                }
                let entry = LedgerEntry { state, owner: SubOsNumber(owner), lot: idl::types::LotNumber(lot) };
                entries.extend(core::iter::repeat_n(entry, count));
            }
            Ok(entries)
        };
        Ok(Self::of(entries(cores)?, entries(chunks)?))
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
