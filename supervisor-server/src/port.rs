//! The border between what decides and what performs: everything the supervisor can do to a machine.

use alloc::vec::Vec;

use caps::Error;
use idl::abi::REGISTER_WORDS;
use idl::kernel::machine::{AuditReport, LedgerEntry};
use idl::kernel::subos::SubOsInfo;
use idl::plan::{Chunks, CoreNumber, LotNumber, MAX_GIVEN, Scrub, SubOsIndex};
use idl::types::{Progress, ResourceKind, StatisticsQuestion, Ticks};

use crate::order::Moment;

/// How large the machine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Cores.
    pub cores: u64,
    /// Entries of the ledger for chunks, whoever has them.
    pub chunks: u64,
    /// Chunks that nobody has.
    pub free: u64,
}

/// What the supervisor itself did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Times its core went from one thread to another.
    pub switches: u64,
    /// Interrupts that its core took.
    pub interrupts: u64,
    /// Cores that were moved.
    pub core_moves: u64,
    /// Lots that were moved.
    pub lot_moves: u64,
    /// Audits.
    pub audits: u64,
}

/// Where in memory that lies which two kernels reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The core areas, one after the other.
    pub areas: u64,
    /// Bytes of one.
    pub area: u64,
    /// The shares, one after the other.
    pub shares: u64,
    /// Bytes of one.
    pub share: u64,
    /// The books.
    pub books: u64,
}

/// What came of granting several things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// All was: the lots under these numbers.
    All(Vec<LotNumber>),
    /// Nothing was, because of the one in this place, from 0: the cores by their numbers, then the lots.
    Nothing(usize, Error),
}

/// A machine to supervise. SubOSes go by their number in the plan. No method waits but [`MachinePort::rest`]; those
/// that answer with [`Progress`] do a bounded amount and want to be called again.
///
/// The errors are the kernel's: those that `docs/syscalls.md` lists for the method of the same name, and
/// `EmptySlot` for a subOS that was not created.
#[allow(clippy::missing_errors_doc, reason = "said once, above")]
pub trait MachinePort {
    /// Now, on the deadline clock.
    fn now(&self) -> Ticks;
    /// How fast that clock goes.
    fn ticks_per_second(&self) -> u64;
    /// How large the machine is.
    fn totals(&mut self) -> Result<Totals, Error>;
    /// What the supervisor itself did.
    fn own(&mut self) -> Result<Own, Error>;
    /// Where that lies which two kernels reach.
    fn places(&mut self) -> Result<Places, Error>;
    /// Who has a resource.
    fn ledger(&mut self, kind: ResourceKind, index: u64) -> Result<LedgerEntry, Error>;
    /// Compares everything with the ledger.
    fn audit(&mut self) -> Result<AuditReport, Error>;

    /// Writes into the notes, so many bytes from their beginning on.
    fn note(&mut self, at: usize, bytes: &[u8]);
    /// Reads what the notes hold there.
    fn noted(&mut self, at: usize, bytes: &mut [u8]);
    /// What a subOS is about that a supervisor before this one made, if it did. From then on it can be dealt with.
    fn found(&mut self, subos: SubOsIndex) -> Result<Option<SubOsInfo>, Error>;

    /// Makes a subOS with a home lot.
    fn create(&mut self, subos: SubOsIndex, home: Chunks) -> Result<(), Error>;
    /// Copies an entry of the boot bundle into its home lot.
    fn attach(&mut self, subos: SubOsIndex, entry: &str) -> Result<Progress, Error>;
    /// Loads an entry of the boot bundle as its program.
    fn load(&mut self, subos: SubOsIndex, entry: &str, arguments: &str) -> Result<(), Error>;
    /// Lets it run.
    fn start(&mut self, subos: SubOsIndex) -> Result<(), Error>;
    /// Gives it a core.
    fn grant_core(&mut self, subos: SubOsIndex, core: CoreNumber) -> Result<(), Error>;
    /// Takes a core from it by force.
    fn reclaim_core(&mut self, subos: SubOsIndex, core: CoreNumber) -> Result<Progress, Error>;
    /// Gives it a lot.
    fn grant_lot(&mut self, subos: SubOsIndex, size: Chunks) -> Result<LotNumber, Error>;
    /// Gives it these cores, bit n for core n, and lots of these sizes, 0 for none: all, or nothing.
    fn grant(&mut self, subos: SubOsIndex, cores: u64, lots: [Chunks; MAX_GIVEN]) -> Result<Given, Error>;
    /// What it is about and what it has.
    fn info(&mut self, subos: SubOsIndex) -> Result<SubOsInfo, Error>;
    /// Says when what is taken from it from now on is cleared.
    fn scrub(&mut self, subos: SubOsIndex, when: Scrub) -> Result<(), Error>;
    /// Takes a lot from it.
    fn reclaim_lot(&mut self, subos: SubOsIndex, lot: LotNumber) -> Result<Progress, Error>;
    /// Opens a window between two of this size; the lots are its sides.
    fn share(&mut self, between: [SubOsIndex; 2], size: Chunks) -> Result<[LotNumber; 2], Error>;
    /// Takes everything from it and ends it.
    fn destroy(&mut self, subos: SubOsIndex) -> Result<Progress, Error>;

    /// Sends it five words.
    fn tell(&mut self, subos: SubOsIndex, words: [u64; REGISTER_WORDS]) -> Result<(), Error>;
    /// Takes the oldest five words that it sent; `Empty` if there are none.
    fn hear(&mut self, subos: SubOsIndex) -> Result<[u64; REGISTER_WORDS], Error>;
    /// Takes bytes that it wrote; as many as there are and fit.
    fn console(&mut self, subos: SubOsIndex, bytes: &mut [u8]) -> Result<usize, Error>;
    /// What it did on a core.
    fn statistics(
        &mut self,
        subos: SubOsIndex,
        core: CoreNumber,
        which: StatisticsQuestion,
    ) -> Result<[u64; REGISTER_WORDS], Error>;
    /// What its kernel said when it died; as many bytes as fit.
    fn epitaph(&mut self, subos: SubOsIndex, bytes: &mut [u8]) -> Result<usize, Error>;

    /// Marks this moment for those who watch the machine from outside.
    fn mark(&mut self, moment: Moment);
    /// Waits until then, or until a subOS says something.
    fn rest(&mut self, until: Ticks);
    /// Writes to the machine's console.
    fn write(&mut self, text: &str);
    /// Takes what has come over the operator's line, as far as there is room for it; never waits. A machine without such a
    /// line never has anything.
    fn line_receive(&mut self, room: &mut [u8]) -> usize {
        let _ = room;
        0
    }
    /// Sends as many of these bytes over the operator's line as it takes now; never waits.
    fn line_send(&mut self, bytes: &[u8]) -> usize {
        bytes.len()
    }
    /// Ends the machine with this status.
    fn exit(&mut self, status: u8);
}
