//! What the director orders, and what it is answered: one bounded piece of work each.

use alloc::string::String;
use alloc::vec::Vec;

use idl::dialogue::Request;
use idl::plan::{Chunks, CoreNumber, LotNumber, MAX_GIVEN, Part, Resize, Scrub, SubOsIndex, WindowIndex};
use idl::types::Ticks;
use serde::{Deserialize, Serialize};

use crate::activity::Activity;

/// A piece of work that comes back in bounded time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Make a subOS with its home lot.
    Create(SubOsIndex, Chunks),
    /// Say when what is taken from it is cleared.
    Scrub(SubOsIndex, Scrub),
    /// Give it a new lot.
    GrantLot(SubOsIndex, Chunks),
    /// Copy the files that it is to see into its home lot; again until it is done.
    Attach(SubOsIndex),
    /// Load its program.
    Load(SubOsIndex),
    /// Let it run.
    Start(SubOsIndex),
    /// Give it a core.
    GrantCore(SubOsIndex, CoreNumber),
    /// Take a core by force; again until it is done.
    ReclaimCore(SubOsIndex, CoreNumber),
    /// Take a lot; again until it is done.
    ReclaimLot(SubOsIndex, LotNumber),
    /// Say what stands in the way of a resize.
    Foresee(Resize),
    /// Give it these cores, bit n for core n, and lots of these sizes, 0 for none: all, or nothing.
    Grant(SubOsIndex, u64, [Chunks; MAX_GIVEN]),
    /// Open a window.
    Share(WindowIndex),
    /// End it and take everything it has; again until it is done.
    Destroy(SubOsIndex),
    /// Say something to it.
    Tell(SubOsIndex, Request),
    /// Read what it did on these cores: bit n for core n.
    Measure(SubOsIndex, u64),
    /// Read what its kernel said when it died.
    Epitaph(SubOsIndex),
    /// Say what has changed hands since this was last asked.
    Survey,
    /// Remember the ledger.
    Snapshot,
    /// Compare the ledger with what is remembered.
    Compare,
    /// Audit all page tables, cores and routes.
    Audit,
    /// Say who has what, and where it lies.
    Holdings,
    /// Mark this moment for those who watch the machine from outside.
    Mark(Moment),
    /// Nothing before then, unless somebody says something.
    Rest(Ticks),
    /// The run is over.
    Finish(Verdict),
}

/// A moment of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Moment {
    /// From now on nothing is created, moved or asked.
    Begin,
    /// It may be again.
    End,
}

/// How the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Everything went as the plan says.
    Success,
    /// Something did not.
    Failure,
}

/// What the ledger shows to have changed hands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Cores: bit n for core n.
    pub cores: u64,
    /// Chunks.
    pub chunks: Vec<u64>,
}

/// What stands in the way of a resize.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What of it.
    pub part: Part,
    /// What is wrong with that.
    pub why: String,
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// A part is done: give the order again.
    More,
    /// A lot was granted under this number.
    Lot(LotNumber),
    /// This stands in the way, if anything does.
    Foreseen(Option<Obstacle>),
    /// Everything was granted, the lots under these numbers.
    Given(Vec<LotNumber>),
    /// Nothing was granted, because of one: its position among what was wished for, from 0.
    NotGiven(usize, caps::Error),
    /// A window is open: these lots are its sides.
    Shared([LotNumber; 2]),
    /// These cores do not answer and are given to nobody; the rest is done.
    Lost(Vec<CoreNumber>),
    /// What it did on each core.
    Activity(Vec<(CoreNumber, Activity)>),
    /// What its kernel said.
    Text(String),
    /// This has changed hands.
    Changed(Changes),
    /// What the comparison found different first, if anything.
    Compared(Option<String>),
    /// How many entries the audit looked at, and what it found wrong first, if anything.
    Audited(u64, Option<String>),
    /// The machine refused.
    Refused(caps::Error),
}
