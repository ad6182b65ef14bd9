//! The plan: what the supervisor is to build and to do, as the harness hands it over.
//!
//! A manifest is a text for people; the harness reads it, finds what is wrong with it, and sends the supervisor
//! this: names resolved to numbers, every bound checked, encoded with `postcard` in the bundle entry
//! [`crate::bundle::PLAN`]. The supervisor still believes nothing: [`decode`] checks it all again, since a
//! supervisor must not fall over a bad plan.

use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

/// Most subOSes of a plan.
pub const MAX_SUBOSES: usize = 16;
/// Most lots that a plan gives one subOS.
pub const MAX_LOTS: usize = 16;
/// Most steps of a script.
pub const MAX_STEPS: usize = 64;
/// Most windows of a plan.
pub const MAX_WINDOWS: usize = 16;
/// Cores have numbers below this.
pub const MAX_CORES: u8 = 64;
/// Longest encoding of a plan, in bytes.
pub const MAX_ENCODED: usize = 32 * 1024;

/// A subOS's name: 1 to 16 characters.
pub type Name = String<16>;
/// The name of an entry of the bundle.
pub type EntryName = String<48>;
/// Text for a program.
pub type Arguments = String<512>;

/// The number of a subOS in the plan, from 0. (The supervisor itself is not in the plan.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SubOsIndex(pub u8);

/// The number of a window in the plan, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WindowIndex(pub u8);

/// The number of a core of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CoreNumber(pub u8);

/// The number of a lot among those that one subOS holds, from 0, the home lot. A lot that is taken leaves its
/// number free, and the next one granted gets the lowest free number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LotNumber(pub u8);

/// A size in chunks of 2 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunks(pub u32);

/// Everything that the supervisor is to build and to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The subOSes, each to be created at the start or by a step.
    pub suboses: Vec<SubOsPlan, MAX_SUBOSES>,
    /// The windows that they may have, each opened by a step when both sides have asked for it.
    pub windows: Vec<WindowPlan, MAX_WINDOWS>,
    /// What to do, one after the other. When the last is done the supervisor ends the machine.
    pub steps: Vec<Step, MAX_STEPS>,
}

/// One subOS as it is to be created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubOsPlan {
    /// What people call it.
    pub name: Name,
    /// The bundle entry with its first program.
    pub program: EntryName,
    /// Text for that program.
    pub arguments: Arguments,
    /// The bundle entry, itself a bundle, with the files that it sees; empty if it sees none.
    pub files: EntryName,
    /// Its cores: bit n for core n.
    pub cores: u64,
    /// Its lots; the first is the home lot.
    pub lots: Vec<Chunks, MAX_LOTS>,
    /// When it is created.
    pub start: Start,
    /// What is expected of it while the steps are carried out.
    pub duty: Duty,
    /// How often it is built again when it dies of itself; beyond that its death is a failure of the run.
    pub restarts: u8,
    /// With what status it may end.
    pub ends: Ends,
    /// When memory that is taken from it is cleared.
    pub scrub: Scrub,
}

/// When memory that is taken from a subOS is cleared. Nobody can read it before that, either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scrub {
    /// Before it is free.
    AtOnce,
    /// When somebody gets it.
    AtGrant,
}

/// A window that two subOSes may have. No two windows are between the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowPlan {
    /// The two sides. The ledger shows the first as the owner, while it has its side.
    pub between: [SubOsIndex; 2],
    /// How large.
    pub size: Chunks,
}

/// With what status a subOS may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ends {
    /// With 0: any other is a failure of the run.
    Well,
    /// With any: what it loses may cost its first program the life.
    Anyhow,
}

/// When a subOS is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// Before the first step.
    AtBoot,
    /// By an [`Action::Create`].
    ByStep,
}

/// What is expected of a subOS while steps are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Duty {
    /// Nothing.
    None,
    /// Its progress, which it reports, and the messages that its kernel counts grow while any operation is under way; one
    /// during which they do not is a failure.
    Progress,
    /// Its foreign programs run while any operation is under way, as its kernel counts, in every step before the first that
    /// waits for its end or kills it; an operation that comes after its end is a failure.
    Programs,
}

/// Something to do, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What to wait for, after the step before is done.
    pub when: When,
    /// How long to wait for that, in milliseconds, before the run has failed. 0 for as long as the run lasts.
    pub patience_ms: u32,
    /// What to do.
    pub action: Action,
}

/// What a step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// Nothing.
    Now,
    /// This many milliseconds.
    After(u32),
    /// The progress that the subOS reports is at least this.
    Progress(SubOsIndex, u64),
    /// The subOS is at work on this core: a thread other than its idle one is current there.
    Working(SubOsIndex, CoreNumber),
    /// The subOS has ended of itself.
    Ended(SubOsIndex),
    /// Threads of the subOS have entered guests on this core at least so often: foreign programs run there.
    ///
    /// A step that waits for any of these three and then takes that core, or kills that subOS, sees the count grow once
    /// more immediately before it does.
    Guests(SubOsIndex, CoreNumber, u32),
    /// The timer of this core has expired at least so often for the subOS.
    Timer(SubOsIndex, CoreNumber, u32),
}

/// Who gets a resource, or loses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holder {
    /// Nobody: the resource is free.
    Free,
    /// A subOS of the plan.
    SubOs(SubOsIndex),
}

/// How a resource is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Manner {
    /// By force, at once.
    Force,
    /// By asking first, and by force after this many milliseconds.
    Ask(u32),
}

/// What a lot must hold when it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holds {
    /// Whatever it holds.
    Anything,
    /// Data: its owner must say so when it is asked for it, and who gets a lot in its place must get the same memory,
    /// so that finding it empty shows that it was cleared.
    Data,
}

/// Most lots that one resize gives: as many as `SubOs.grant` takes.
pub const MAX_GIVEN: usize = 3;

/// Several resources that change hands at once: all of them, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resize {
    /// Who has the cores and the lots.
    pub from: Holder,
    /// Who gets them, and the new memory.
    pub to: Holder,
    /// The cores: bit n for core n.
    pub cores: u64,
    /// The lots: bit n for lot n of the first. The other gets lots of the same sizes.
    pub lots: u32,
    /// Lots of free memory that the other gets besides, in chunks; 0 is none.
    pub memory: [Chunks; MAX_GIVEN],
    /// How it is taken.
    pub manner: Manner,
    /// What must be the reason that it is refused before anything is touched. Without it, it must be done.
    pub refused: Option<Part>,
}

/// One of the resources of a resize, or one of the two whom it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// A core.
    Core(CoreNumber),
    /// A lot of who has it.
    Lot(LotNumber),
    /// New memory of this size.
    Memory(Chunks),
    /// Who has it.
    Giver,
    /// Who gets it.
    Receiver,
}

impl Resize {
    /// The numbers of the lots that it takes, in rising order.
    pub fn lots(&self) -> impl DoubleEndedIterator<Item = LotNumber> + use<> {
        let lots = self.lots;
        (0..32u8).filter(move |lot| lots >> lot & 1 != 0).map(LotNumber)
    }

    /// The sizes of the lots of free memory that it gives.
    pub fn memory(&self) -> impl Iterator<Item = Chunks> + use<> {
        self.memory.into_iter().filter(|size| size.0 > 0)
    }

    fn is_sound(&self) -> bool {
        let lots = self.lots.count_ones() as usize + self.memory().count();
        let something = self.cores != 0 || lots > 0;
        let taken = self.from != Holder::Free || self.lots == 0;
        let given = self.to != Holder::Free || self.memory().count() == 0;
        something && taken && given && self.from != self.to && self.lots & 1 == 0 && lots <= MAX_GIVEN
    }
}

/// Something that the supervisor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Creates a subOS.
    Create(SubOsIndex),
    /// Moves a core.
    MoveCore {
        /// Which.
        core: CoreNumber,
        /// Who has it.
        from: Holder,
        /// Who gets it.
        to: Holder,
        /// How it is taken.
        manner: Manner,
    },
    /// Moves a lot that a subOS has.
    MoveLot {
        /// Which of its lots.
        lot: LotNumber,
        /// Who has it.
        from: SubOsIndex,
        /// Who gets it.
        to: Holder,
        /// How it is taken.
        manner: Manner,
        /// What it must hold.
        holds: Holds,
    },
    /// Moves several resources at once.
    Resize(Resize),
    /// Makes a new lot of free memory.
    GrantLot {
        /// How large.
        size: Chunks,
        /// Who gets it.
        to: SubOsIndex,
        /// Who must have had all of it when it was killed.
        reuses: Option<SubOsIndex>,
    },
    /// Opens a window, once both sides have asked for it. What a side has left of this window before is taken first.
    OpenWindow(WindowIndex),
    /// Takes both sides of a window, or the one that is left.
    CloseWindow(WindowIndex, Manner),
    /// Destroys a subOS by force.
    Kill(SubOsIndex),
    /// Compares the ledger with what it was before the first subOS was created. A difference is a failure.
    CompareLedger,
    /// Audits every page table, core and interrupt route against the ledger.
    Audit,
    /// Marks the begin and the end of so many milliseconds in which nothing is created, moved or asked, for those who
    /// watch the machine from outside.
    Watch(u32),
    /// Nothing: the step is there for what it waits for.
    Wait,
}

/// Why bytes are not a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// The encoding is damaged, or something is longer than its bound.
    Encoding,
    /// Bytes follow the plan.
    Trailing,
    /// A name is empty, or two subOSes have the same.
    BadName,
    /// A subOS has no home lot, or a lot of no chunks.
    BadLot,
    /// A step names a subOS that the plan does not have.
    UnknownSubOs,
    /// A core's number is too high.
    BadCore,
    /// A window has no memory, or is between one and itself or such as have one already; or a step names one that is not
    /// there.
    BadWindow,
    /// A resize moves nothing, or more lots than it can, or from nobody to nobody, or a home lot.
    BadResize,
    /// The buffer is too small.
    BufferTooSmall,
}

impl core::fmt::Display for PlanError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Encoding => "the encoding is damaged, or something is longer than its bound",
            Self::Trailing => "bytes follow the plan",
            Self::BadName => "a name is empty or taken twice",
            Self::BadLot => "a subOS has no home lot, or an empty lot",
            Self::UnknownSubOs => "a step names a subOS that is not there",
            Self::BadCore => "a core's number is too high",
            Self::BadWindow => "a window is empty, has no two sides or not the only such, or is not there",
            Self::BadResize => "a resize moves nothing, too many lots, a home lot, or from and to the same",
            Self::BufferTooSmall => "the buffer is too small",
        })
    }
}

impl core::error::Error for PlanError {}

/// Encodes a plan into the beginning of `buffer`.
///
/// # Errors
/// [`PlanError::BufferTooSmall`], or whatever [`decode`] would find wrong with it.
pub fn encode<'b>(plan: &Plan, buffer: &'b mut [u8]) -> Result<&'b [u8], PlanError> {
    plan.check()?;
    postcard::to_slice(plan, buffer).map(|bytes| &*bytes).map_err(|_| PlanError::BufferTooSmall)
}

/// Decodes a plan and checks it.
///
/// # Errors
/// The first thing that is wrong.
pub fn decode(bytes: &[u8]) -> Result<Plan, PlanError> {
    let (plan, rest) = postcard::take_from_bytes::<Plan>(bytes).map_err(|_| PlanError::Encoding)?;
    if !rest.is_empty() {
        return Err(PlanError::Trailing);
    }
    plan.check()?;
    Ok(plan)
}

impl Plan {
    /// The subOS with this number.
    #[must_use]
    pub fn subos(&self, index: SubOsIndex) -> Option<&SubOsPlan> {
        self.suboses.get(usize::from(index.0))
    }

    fn check(&self) -> Result<(), PlanError> {
        for (index, subos) in self.suboses.iter().enumerate() {
            let taken = self.suboses.iter().take(index).any(|earlier| earlier.name == subos.name);
            if subos.name.is_empty() || subos.program.is_empty() || taken {
                return Err(PlanError::BadName);
            }
            if subos.lots.is_empty() || subos.lots.iter().any(|lot| lot.0 == 0) {
                return Err(PlanError::BadLot);
            }
        }
        for (index, window) in self.windows.iter().enumerate() {
            self.check_window(index, window)?;
        }
        self.steps.iter().try_for_each(|step| {
            self.check_when(step.when)?;
            self.check_action(step.action)
        })
    }

    fn check_window(&self, index: usize, window: &WindowPlan) -> Result<(), PlanError> {
        let [one, other] = window.between;
        self.check_subos(one)?;
        self.check_subos(other)?;
        let taken = self.windows.iter().take(index).any(|earlier| earlier.is_between(one, other));
        let good = one != other && window.size.0 > 0 && !taken;
        if good { Ok(()) } else { Err(PlanError::BadWindow) }
    }

    /// The window between two subOSes.
    #[must_use]
    pub fn window_between(&self, one: SubOsIndex, other: SubOsIndex) -> Option<WindowIndex> {
        let found = (0u8..).zip(&self.windows).find(|(_, window)| window.is_between(one, other));
        found.map(|(index, _)| WindowIndex(index))
    }

    /// The window with this number.
    #[must_use]
    pub fn window(&self, index: WindowIndex) -> Option<&WindowPlan> {
        self.windows.get(usize::from(index.0))
    }

    fn check_when(&self, when: When) -> Result<(), PlanError> {
        match when {
            When::Now | When::After(_) => Ok(()),
            When::Progress(subos, _) | When::Ended(subos) => self.check_subos(subos),
            When::Working(subos, core) | When::Guests(subos, core, _) | When::Timer(subos, core, _) => {
                check_core(core).and_then(|()| self.check_subos(subos))
            }
        }
    }

    fn check_action(&self, action: Action) -> Result<(), PlanError> {
        match action {
            Action::Create(subos) | Action::Kill(subos) => self.check_subos(subos),
            Action::MoveCore { core, from, to, .. } => {
                check_core(core)?;
                self.check_holder(from)?;
                self.check_holder(to)
            }
            Action::MoveLot { from, to, .. } => self.check_subos(from).and_then(|()| self.check_holder(to)),
            Action::Resize(resize) if !resize.is_sound() => Err(PlanError::BadResize),
            Action::Resize(Resize { from, to, .. }) => {
                self.check_holder(from)?;
                self.check_holder(to)
            }
            Action::GrantLot { size: Chunks(0), .. } => Err(PlanError::BadLot),
            Action::GrantLot { to, reuses, .. } => {
                self.check_subos(to)?;
                reuses.map_or(Ok(()), |before| self.check_subos(before))
            }
            Action::OpenWindow(window) | Action::CloseWindow(window, _) => {
                self.window(window).map(|_| ()).ok_or(PlanError::BadWindow)
            }
            Action::CompareLedger | Action::Audit | Action::Watch(_) | Action::Wait => Ok(()),
        }
    }

    fn check_holder(&self, holder: Holder) -> Result<(), PlanError> {
        match holder {
            Holder::Free => Ok(()),
            Holder::SubOs(subos) => self.check_subos(subos),
        }
    }

    fn check_subos(&self, index: SubOsIndex) -> Result<(), PlanError> {
        self.subos(index).map(|_| ()).ok_or(PlanError::UnknownSubOs)
    }
}

impl WindowPlan {
    /// Whether these two are its sides.
    #[must_use]
    pub fn is_between(&self, one: SubOsIndex, other: SubOsIndex) -> bool {
        self.between == [one, other] || self.between == [other, one]
    }
}

const fn check_core(core: CoreNumber) -> Result<(), PlanError> {
    if core.0 < MAX_CORES { Ok(()) } else { Err(PlanError::BadCore) }
}
