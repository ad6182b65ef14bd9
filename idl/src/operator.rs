//! What an operator on the host can ask of a supervisor, and order: over a line ([`crate::serial`]), when the harness asked
//! for one to be kept up.
//!
//! What is asked is answered at once. What is ordered goes the way of a plan's steps: it is done whole or undone, by the
//! supervisor's own deadlines, and the operator asks by a ticket what came of it.

use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

use crate::plan::{EntryName, Name};
use crate::slots::ROOT_LOTS;

/// The entry of the bundle that says that there is an operator: its contents mean nothing.
pub const OPERATOR: &str = "operator";
/// Most bytes of a reason.
pub const REASON_BYTES: usize = 240;
/// Most bytes of the log in one answer.
pub const LOG_BYTES: usize = 1900;
/// Most runs of the ledger in one answer.
pub const RUNS: usize = 48;
/// Most orders that wait for their turn.
pub const MAX_WAITING: usize = 8;

/// Text that says why not.
pub type Reason = String<REASON_BYTES>;

/// What is known of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, crate::Value)]
pub struct MachineView {
    /// Cores.
    pub cores: u64,
    /// Entries of the ledger for chunks of 2 MiB, whoever has them.
    pub chunks: u64,
    /// Chunks that nobody has.
    pub free: u64,
    /// Ticks of the deadline clock in a second.
    pub hz: u64,
    /// That clock.
    pub now: u64,
    /// SubOSes that the supervisor knows, whether they exist or not: their numbers are below.
    pub suboses: u8,
    /// Steps of the plan that are done.
    pub done: u8,
    /// Steps that it has.
    pub steps: u8,
    /// Orders that wait or are being carried out.
    pub orders: u8,
    /// What came over the line and was no frame, so many times.
    pub rubbish: u64,
}

/// Where a subOS is between birth and death.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, crate::Value)]
pub enum Life {
    /// It does not exist: not yet, or no more.
    Absent,
    /// It exists and does not run yet.
    Building,
    /// It runs.
    Alive,
    /// It has died of itself.
    Dead,
}

/// A lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, crate::Value)]
pub struct LotView {
    /// Its number.
    pub lot: u8,
    /// Its size.
    pub chunks: u32,
    /// With whom it is shared, if it is one side of a window.
    pub peer: Option<u8>,
}

/// What is known of a subOS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, crate::Value)]
pub struct SubOsView {
    /// Its name.
    pub name: Name,
    /// Its first program.
    pub program: EntryName,
    /// Where it is between birth and death.
    pub life: Life,
    /// Its cores: bit n for core n.
    pub cores: u64,
    /// Its lots, the home lot first.
    pub lots: Vec<LotView, { ROOT_LOTS as usize }>,
    /// The progress that it last reported.
    pub progress: Option<u64>,
    /// How often its life ended and began anew.
    pub deaths: u8,
    /// The status with which its first program ended.
    pub ended: Option<u32>,
    /// The owner by which the ledger calls it, if it has anything.
    pub owner: Option<u32>,
}

/// What a subOS did on one core since it was created, as its kernel counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, crate::Value)]
pub struct ActivityView {
    /// The deadline clock when this was read.
    pub now: u64,
    /// System calls.
    pub calls: u64,
    /// Messages passed on.
    pub messages: u64,
    /// Notifications signalled.
    pub signals: u64,
    /// Faults.
    pub faults: u64,
    /// Times a guest was entered.
    pub guests: u64,
    /// Times the core went from one thread to another.
    pub switches: u64,
    /// Timer interrupts.
    pub timers: u64,
    /// Doorbell interrupts.
    pub doorbells: u64,
    /// Ticks for which the subOS had the core.
    pub owned: u64,
    /// Ticks for which a thread ran.
    pub busy: u64,
    /// Ticks in its kernel.
    pub kernel: u64,
    /// Objects that there are now; those of the whole subOS.
    pub live: u64,
}

/// What an operator orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, crate::Value)]
pub enum Change {
    /// Create a subOS of the plan that does not exist.
    Create {
        /// Which.
        name: Name,
    },
    /// End a subOS by force.
    Destroy {
        /// Which.
        name: Name,
    },
    /// End a subOS by force, and create it again with the cores and the memory that it has.
    Restart {
        /// Which.
        name: Name,
    },
    /// Give a free core, or one that another has.
    MoveCore {
        /// Which.
        core: u8,
        /// Who has it; nobody if there is no name.
        from: Option<Name>,
        /// Who gets it; nobody if there is no name.
        to: Option<Name>,
        /// For how many milliseconds it is asked for before it is forced.
        ask: u32,
    },
    /// Give new memory.
    GrantLot {
        /// How much.
        chunks: u32,
        /// Who gets it.
        to: Name,
    },
    /// Take a lot, and give as much to another.
    MoveLot {
        /// Which lot of the owner's.
        lot: u8,
        /// Who has it.
        from: Name,
        /// Who gets as much; nobody if there is no name.
        to: Option<Name>,
        /// For how many milliseconds it is asked for before it is forced.
        ask: u32,
    },
}

/// What became of an order as it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, crate::Value)]
#[allow(
    clippy::large_enum_variant,
    reason = "it travels whole, and there is no allocator to put a part elsewhere"
)]
pub enum Ordered {
    /// It is taken: `outcome` says what comes of it.
    Taken(u32),
    /// It cannot be carried out, for this reason.
    Refused(Reason),
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, crate::Value)]
#[allow(
    clippy::large_enum_variant,
    reason = "it travels whole, and there is no allocator to put a part elsewhere"
)]
pub enum Outcome {
    /// It waits, or is being carried out.
    Waiting,
    /// It is done.
    Done,
    /// It failed for this reason, and what was done of it is undone.
    Failed(Reason),
    /// There is no such order, or it is forgotten.
    Unknown,
}

/// A part of what the supervisor wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, crate::Value)]
pub struct LogPart {
    /// How many bytes it had written before the first of these.
    pub first: u64,
    /// The bytes.
    pub bytes: Vec<u8, LOG_BYTES>,
    /// How many it has written by now.
    pub end: u64,
}

/// What kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, crate::Value)]
pub enum Resource {
    /// Cores.
    Core,
    /// Chunks of 2 MiB.
    Chunk,
}

/// In whose hands a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, crate::Value)]
pub enum Hands {
    /// Nobody's.
    Free,
    /// Nobody's, for good: it does not answer, or is not memory.
    Unusable,
    /// On their way from one to another.
    Moving,
    /// The machine's own.
    System,
    /// Somebody's: the owner's number, 0 is the supervisor, and his lot.
    Owned(u32, u32),
    /// Both sides' of a window: one owner's number, and his lot.
    Shared(u32, u32),
}

/// Neighbouring resources in the same hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, crate::Value)]
pub struct Run {
    /// The first.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Whose.
    pub hands: Hands,
}

/// A part of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, crate::Value)]
pub struct LedgerPart {
    /// What it says, in the order of numbers.
    pub runs: Vec<Run, RUNS>,
    /// Where it goes on, if it does.
    pub next: Option<u64>,
}

/// Where in memory the cores' areas lie, each with a [trace](crate::trace).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, crate::Value)]
pub struct PlacesView {
    /// The first.
    pub areas: u64,
    /// Bytes of one.
    pub area: u64,
}

/// Why the supervisor does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, crate::Word)]
pub enum OperatorError {
    /// There is no subOS with this number.
    NoSubOs = 1,
    /// It never had this core, or does not exist.
    NotThere,
    /// The kernel does not say.
    Kernel,
}

impl core::fmt::Display for OperatorError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoSubOs => "there is no subOS with this number",
            Self::NotThere => "it does not exist, or never had this core",
            Self::Kernel => "the kernel does not say",
        })
    }
}

/// What a supervisor does for an operator.
#[crate::interface(version = 1, rights(SEE, CHANGE))]
pub trait Operator {
    /// What machine this is.
    #[bytes]
    #[requires(SEE)]
    fn machine(&self) -> MachineView;

    /// A subOS, by its number.
    #[bytes]
    #[requires(SEE)]
    fn subos(&self, number: u8) -> Result<SubOsView, OperatorError>;

    /// What a subOS did on a core.
    #[bytes]
    #[requires(SEE)]
    fn activity(&self, number: u8, core: u8) -> Result<ActivityView, OperatorError>;

    /// What the ledger says, from this core or chunk on.
    #[bytes]
    #[requires(SEE)]
    fn ledger(&self, kind: Resource, first: u64) -> Result<LedgerPart, OperatorError>;

    /// What the supervisor has written since it had written so many bytes, as far as it remembers.
    #[bytes]
    #[requires(SEE)]
    fn log(&self, from: u64) -> LogPart;

    /// Orders a change.
    #[bytes]
    #[requires(CHANGE)]
    fn order(&self, change: Change) -> Ordered;

    /// What came of an order.
    #[bytes]
    #[requires(SEE)]
    fn outcome(&self, ticket: u32) -> Outcome;

    /// Ends the run, once what is in hand is done: everything is destroyed, the ledger compared, the machine audited.
    #[requires(CHANGE)]
    fn end(&self);

    /// Where the cores' traces are, for one who can read the machine's memory from outside.
    #[bytes]
    #[requires(SEE)]
    fn places(&self) -> Result<PlacesView, OperatorError>;
}

/// As much of a text as there is room for.
#[must_use]
pub fn fitted<const N: usize>(text: &str) -> String<N> {
    let mut short = String::new();
    for character in text.chars() {
        if short.push(character).is_err() {
            break;
        }
    }
    short
}
