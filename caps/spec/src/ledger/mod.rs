//! The ledger: its operations, and the code under test. The specification is in `model`, random play in `play`,
//! every state of a small ledger in `small`.

mod model;
mod play;
mod small;

pub use model::{LedgerModel, Lot};
pub use play::{LedgerGame, examine};
pub use small::SmallLedger;

use caps::Error;
use caps::ledger::{
    ChunkEntry, ChunkId, CoreId, Holder, Ledger, LedgerChange, LotEntry, LotId, LotRole, Resource,
    SubOsEntry, SubOsId,
};

/// One operation on the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerOperation {
    /// Boot: a core goes from *reserved* to the pool.
    ReleaseCore(CoreId),
    /// Boot: a chunk goes from *reserved* to the pool.
    ReleaseChunk(ChunkId),
    /// Boot: a lot of exactly these chunks.
    Place(u32, u32, SubOsId, LotRole),
    /// A new subOS.
    Create,
    /// A transaction.
    Apply(Vec<LedgerChange>),
    /// The end of the first phase of a reclaim.
    Revoked(Resource),
    /// The end of the second.
    Quiesced(Resource),
    /// The end of the third.
    Scrubbed(Resource),
    /// Giving up.
    Quarantine(Resource),
    /// The beginning of a destruction.
    Destroy(SubOsId),
    /// Its end.
    Destroyed(SubOsId),
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerAnswer {
    /// Nothing to say.
    Unit,
    /// The new subOS.
    SubOs(SubOsId),
    /// The new lot.
    Lot(LotId),
    /// What the changes named.
    Granted(Vec<Resource>),
    /// Refused, and at which change.
    Refused(usize, Error),
}

impl LedgerAnswer {
    /// Why it was refused, if it was.
    #[must_use]
    pub const fn refusal(&self) -> Option<Error> {
        match self {
            Self::Refused(_, error) => Some(*error),
            _ => None,
        }
    }
}

impl LedgerOperation {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ReleaseCore(..) => "release_core",
            Self::ReleaseChunk(..) => "release_chunk",
            Self::Place(..) => "place_lot",
            Self::Create => "create",
            Self::Apply(..) => "apply",
            Self::Revoked(..) => "revoked",
            Self::Quiesced(..) => "quiesced",
            Self::Scrubbed(..) => "scrubbed",
            Self::Quarantine(..) => "quarantine",
            Self::Destroy(..) => "destroy",
            Self::Destroyed(..) => "destroyed",
        }
    }

    /// Every error that its documentation in `caps` names.
    #[must_use]
    pub const fn errors(&self) -> &'static [Error] {
        use Error::*;
        match self {
            Self::ReleaseCore(..) | Self::ReleaseChunk(..) => &[OutOfRange, WrongState],
            Self::Place(..) => {
                &[OutOfRange, StaleHandle, WrongState, BadSize, NoResource, AlreadyBound, Full]
            }
            Self::Create => &[NoResource],
            Self::Apply(..) => &[
                TooLong,
                InvalidArgument,
                OutOfRange,
                StaleHandle,
                WrongState,
                NoResource,
                NotOwner,
                BadSize,
                Full,
                AlreadyBound,
                HomeLot,
                Busy,
            ],
            Self::Revoked(..) | Self::Scrubbed(..) | Self::Quarantine(..) => {
                &[OutOfRange, StaleHandle, WrongState]
            }
            Self::Quiesced(..) => &[OutOfRange, StaleHandle, WrongState, Busy, CoreSilent],
            Self::Destroy(..) => &[OutOfRange, StaleHandle, InvalidArgument, WrongState],
            Self::Destroyed(..) => &[OutOfRange, StaleHandle, WrongState, Busy],
        }
    }
}

/// The entries that a ledger needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LedgerMemory {
    /// One per core.
    pub cores: Vec<Holder>,
    /// One per chunk.
    pub chunks: Vec<ChunkEntry>,
    /// Lots.
    pub lots: Vec<LotEntry>,
    /// SubOSes.
    pub suboses: Vec<SubOsEntry>,
}

impl LedgerMemory {
    /// Everything reserved.
    #[must_use]
    pub fn new(cores: u8, chunks: u32, lots: usize, suboses: usize) -> Self {
        Self {
            cores: vec![Holder::default(); usize::from(cores)],
            chunks: vec![ChunkEntry::default(); chunks as usize],
            lots: vec![LotEntry::default(); lots],
            suboses: vec![SubOsEntry::default(); suboses],
        }
    }

    /// The ledger in it.
    pub fn ledger(&mut self) -> Ledger<'_> {
        Ledger::new(&mut self.cores, &mut self.chunks, &mut self.lots, &mut self.suboses)
    }

    /// Carries an operation out.
    pub fn perform(&mut self, operation: &LedgerOperation) -> LedgerAnswer {
        let mut ledger = self.ledger();
        let unit = |result: Result<(), Error>| result.map(|()| LedgerAnswer::Unit);
        let answer = match operation {
            LedgerOperation::ReleaseCore(core) => unit(ledger.release_core(*core)),
            LedgerOperation::ReleaseChunk(chunk) => unit(ledger.release_chunk(*chunk)),
            LedgerOperation::Place(first, count, to, role) => {
                ledger.place_lot(*first, *count, *to, *role).map(LedgerAnswer::Lot)
            }
            LedgerOperation::Create => ledger.create().map(LedgerAnswer::SubOs),
            LedgerOperation::Apply(changes) => {
                return match ledger.apply(changes) {
                    Ok(granted) => LedgerAnswer::Granted(granted.to_vec()),
                    Err((position, error)) => LedgerAnswer::Refused(position, error),
                };
            }
            LedgerOperation::Revoked(resource) => unit(ledger.revoked(*resource)),
            LedgerOperation::Quiesced(resource) => unit(ledger.quiesced(*resource)),
            LedgerOperation::Scrubbed(resource) => unit(ledger.scrubbed(*resource)),
            LedgerOperation::Quarantine(resource) => unit(ledger.quarantine(*resource)),
            LedgerOperation::Destroy(subos) => unit(ledger.destroy(*subos)),
            LedgerOperation::Destroyed(subos) => unit(ledger.destroyed(*subos)),
        };
        answer.unwrap_or_else(|error| LedgerAnswer::Refused(0, error))
    }
}
