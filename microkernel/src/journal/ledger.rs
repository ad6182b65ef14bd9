//! The ledger of a machine that keeps the journal.

use core::ops::Deref;

use caps::Error;
use caps::ledger::{
    ChunkEntry, ChunkId, CoreId, Granted, Holder, LedgerChange, LotEntry, LotId, LotRole, Resource,
    SubOsEntry, SubOsId,
};
use idl::journal::{Code, Journaled, Tail};

use super::log;

/// A ledger that writes down what is done to it. To look at it, use it as the ledger of the model.
pub struct Ledger<'a>(caps::ledger::Ledger<'a>);

impl<'a> Deref for Ledger<'a> {
    type Target = caps::ledger::Ledger<'a>;

    fn deref(&self) -> &caps::ledger::Ledger<'a> {
        &self.0
    }
}

macro_rules! operations {
    ($($(#[doc = $doc:literal])+ $code:ident $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => { $(
        $(#[doc = $doc])+
        pub fn $name(&mut self, $($argument: $type),*) -> Result<$answer, Error> {
            let answer = self.0.$name($($argument),*);
            let asked = ($($argument,)*);
            self.note(Code::$code, &|to| {
                asked.write(to);
                answer.write(to);
            });
            answer
        }
    )+ };
}

impl<'a> Ledger<'a> {
    operations! {
        /// As in the model; errors too.
        ReleaseCore release_core(core: CoreId) -> ();
        /// As in the model; errors too.
        ReleaseChunk release_chunk(chunk: ChunkId) -> ();
        /// As in the model; errors too.
        PlaceLot place_lot(first: u32, chunks: u32, to: SubOsId, role: LotRole) -> LotId;
        /// As in the model; errors too.
        Create create() -> SubOsId;
        /// As in the model; errors too.
        Revoked revoked(resource: Resource) -> ();
        /// As in the model; errors too.
        Quiesced quiesced(resource: Resource) -> ();
        /// As in the model; errors too.
        Scrubbed scrubbed(resource: Resource) -> ();
        /// As in the model; errors too.
        Quarantine quarantine(resource: Resource) -> ();
        /// As in the model; errors too.
        Destroy destroy(subos: SubOsId) -> ();
        /// As in the model; errors too.
        Destroyed destroyed(subos: SubOsId) -> ();
    }

    /// The ledger over these entries.
    pub fn new(
        cores: &'a mut [Holder],
        chunks: &'a mut [ChunkEntry],
        lots: &'a mut [LotEntry],
        suboses: &'a mut [SubOsEntry],
    ) -> Self {
        Self(caps::ledger::Ledger::new(cores, chunks, lots, suboses))
    }

    /// As in the model; errors too.
    pub fn apply(&mut self, changes: &[LedgerChange]) -> Result<Granted, (usize, Error)> {
        let answer = self.0.apply(changes);
        self.note(Code::Apply, &|to| {
            Tail(changes).write(to);
            to(u64::from(answer.is_err()));
            match &answer {
                Ok(granted) => Tail(granted).write(to),
                Err(refused) => refused.write(to),
            }
        });
        answer
    }

    /// Writes down an operation, and the ledger after it.
    fn note(&self, code: Code, operation: log::Body<'_>) {
        log::append(code, 0, &|to| {
            operation(to);
            self.write(to);
        });
    }

    /// All of it: cores; chunks, as runs that one has; lots; subOSes.
    fn write(&self, to: &mut dyn FnMut(u64)) {
        to(self.0.core_count() as u64);
        self.0.cores().for_each(|(_, holder)| holder.write(to));
        let count = u32::try_from(self.0.chunk_count()).unwrap_or(u32::MAX);
        let holder = |chunk: u32| self.0.chunk(ChunkId(chunk)).ok();
        let begins = |&chunk: &u32| chunk == 0 || holder(chunk) != holder(chunk - 1);
        to(u64::from(count));
        to((0..count).filter(begins).count() as u64);
        for chunk in (0..count).filter(begins) {
            (chunk, holder(chunk)).write(to);
        }
        to(self.0.lots().count() as u64);
        self.0.lots().for_each(|lot| lot.write(to));
        to(self.0.suboses().count() as u64);
        self.0.suboses().for_each(|subos| subos.write(to));
    }
}
