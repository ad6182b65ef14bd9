//! Everything that involves more than one kernel: the ledger, the supervisor's operations, the shares.
//!
//! Design principles
//!
//! 1. *Ownership is the ledger's word.* What a kernel can reach follows from it, is changed only here, and
//!    `audit` compares the two.
//! 2. *One operation at a time*, under the lock of the [`books`]; it holds a target's lock alone, never its own
//!    kernel's as well, and in bounded steps ([`visit`]).
//! 3. *Nothing that a target says is believed*: its references are fenced in, its pages are read as allegations,
//!    and what goes wrong while it is visited condemns it ([`condemn`]).
//! 4. *Taking needs no consent, and destroying needs no walk* ([`cores`], [`lots`], [`destroy`]).
//!
//! Reading order: [`share`] and [`doorbell`] (what two kernels have in common), [`books`] (what is remembered),
//! [`visit`] (how an operation runs), [`create`], [`load`], [`grants`], [`cores`], [`lots`], [`windows`], [`destroy`],
//! then `audit`, [`condemn`], `boot`.

use caps::Error;
use caps::ledger;
use spin::Once;

use crate::arch::x86_64::core::Core;
use crate::outcome::Answer;
use crate::types::{CoreId, PhysAddr, SubOsId, Ticks};

#[cfg(feature = "image")]
pub mod audit;
pub mod books;
#[cfg(feature = "image")]
pub mod boot;
pub mod condemn;
pub mod cores;
pub mod create;
pub mod destroy;
pub mod doorbell;
pub mod grants;
#[cfg(feature = "hooks")]
pub mod hooks;
pub mod load;
pub mod lots;
pub(crate) mod planted;
pub mod questions;
mod raw;
pub mod share;
pub mod visit;
pub mod windows;

pub use condemn::report_unhandled;
pub use doorbell::{Bindings, doorbell_interrupt, forget_notification, take_doorbell_bits};

use books::{Books, Shelf};
use grants::{Wish, Wishes};
use share::Share;

/// Where the machine part's memory is; settled at boot.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    shelf: PhysAddr,
    shares: PhysAddr,
}

#[cfg_attr(feature = "image", unsafe(link_section = ".sealed"))]
static PLACES: Once<Places> = Once::new();

/// Where the machine part's memory is.
///
/// # Panics
/// Before boot has settled it.
#[must_use]
pub fn places() -> &'static Places {
    PLACES.get().expect("boot settles the places before the first kernel runs")
}

impl Places {
    /// The shelf of the books. Anywhere but in the supervisor's kernel, using it faults.
    #[must_use]
    pub fn shelf(&self) -> &'static Shelf {
        raw::shelf(self.shelf)
    }

    /// Where a subOS's share pages are in memory.
    #[must_use]
    pub const fn share_pages(&self, subos: SubOsId) -> PhysAddr {
        self.shares.plus(subos.index() as u64 * share::PAGES * crate::limits::PAGE)
    }

    /// A subOS's share, seen by the supervisor.
    #[must_use]
    pub fn share(&self, subos: SubOsId) -> Share {
        Share::at(self.share_pages(subos))
    }
}

/// Which subOS an operation is about, as its capability says: the number, and which of those that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The number.
    pub subos: SubOsId,
    /// Its generation plus 1.
    pub incarnation: u64,
}

impl Target {
    /// The target that a SubOs capability names.
    #[must_use]
    pub const fn of(capability: &caps::Capability) -> Self {
        Self::from_object(capability.object)
    }

    /// From a capability's object word.
    const fn from_object(word: u64) -> Self {
        Self { subos: SubOsId(word.to_le_bytes()[0]), incarnation: word >> 8 }
    }

    /// A capability's object word for this.
    #[must_use]
    pub const fn object(self) -> u64 {
        self.incarnation << 8 | self.subos.0 as u64
    }
}

/// An operation of the supervisor that reaches outside its own kernel. Its arguments are checked as far as its
/// own kernel can check them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// Makes a subOS with a home lot of so many chunks; its capability goes to this slot of the caller's table.
    Create {
        /// Chunks of the home lot.
        home: u32,
        /// The slot.
        slot: caps::SlotIndex,
    },
    /// Copies pages to a subOS that is not loaded.
    Attach(Target, Pages),
    /// Copies a program to a subOS and builds its first thread; the arguments are staged in its share.
    Load(Target, Pages, usize),
    /// Starts the first thread.
    Start(Target),
    /// Gives a core or a lot.
    GrantOne(Target, Wish),
    /// Gives several of them, or nothing.
    GrantAll(Target, Wishes),
    /// Takes a core, by force from the deadline on.
    ReclaimCore(Target, CoreId, Ticks),
    /// Takes a lot.
    ReclaimLot(Target, u32),
    /// Opens a window of so many chunks between two.
    Share([Target; 2], u32),
    /// Ends a subOS; its capability in this slot goes at last.
    Destroy(Target, caps::SlotRef),
    /// What a subOS is about.
    Info(Target),
    /// When what is taken from a subOS is cleared.
    SetScrubbing(Target, idl::types::Scrubbing),
    /// What a subOS did on a core.
    Statistics(Target, CoreId, idl::types::StatisticsQuestion),
    /// Facts about the machine.
    Machine(idl::types::MachineQuestion),
    /// A ledger entry.
    Ledger(idl::types::ResourceKind, u64),
    /// Compares everything with the ledger.
    Audit,
}

/// Pages of the supervisor's that an operation reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// The first.
    pub start: PhysAddr,
    /// How many.
    pub count: u64,
}

/// Carries out an operation on behalf of the supervisor, whose kernel's lock is not held. The books are held
/// throughout, so one operation runs at a time. `None` if it stopped because an interrupt waits: then it is to be asked
/// for again, and goes on.
pub fn perform(core: &mut Core, visit: Visit) -> Option<Result<Answer, Error>> {
    let mut books = places().shelf().open(core.id(), || {});
    windows::end_abandoned(&mut books);
    destroy::end_orphans(&mut books);
    let result = match visit {
        Visit::Create { home, slot } => create::create(&mut books, core, home, slot),
        Visit::Attach(target, pages) => load::attach(&mut books, core, target, pages),
        Visit::Load(target, pages, length) => load::load(&mut books, core, target, pages, length),
        Visit::Start(target) => load::start(&mut books, core, target),
        Visit::GrantOne(target, wish) => grants::grant_one(&mut books, core, target, wish),
        Visit::GrantAll(target, wishes) => grants::grant_all(&mut books, core, target, wishes),
        Visit::ReclaimCore(target, which, at) => cores::reclaim(&mut books, core, target, which, at),
        Visit::ReclaimLot(target, lot) => lots::reclaim(&mut books, core, target, lot),
        Visit::Share(targets, chunks) => windows::share(&mut books, core, targets, chunks),
        Visit::Destroy(target, through) => destroy::destroy(&mut books, core, target, through),
        Visit::Info(target) => questions::info(&mut books, target),
        Visit::SetScrubbing(target, when) => lots::set_scrubbing(&mut books, target, when),
        Visit::Statistics(target, which, question) => {
            questions::statistics(&mut books, core, target, which, question)
        }
        Visit::Machine(question) => Ok(questions::machine(&mut books, question)),
        Visit::Ledger(kind, index) => questions::ledger(&mut books, kind, index),
        #[cfg(feature = "image")]
        Visit::Audit => audit::audit(&mut books, core),
        #[cfg(not(feature = "image"))]
        Visit::Audit => Err(Error::WrongState),
    };
    (!books.take_again()).then_some(result)
}

/// Whether what is sent to this core gets lost: only tests make a core deaf.
#[cfg(not(feature = "hooks"))]
const fn is_deaf(_: CoreId) -> bool {
    false
}
#[cfg(feature = "hooks")]
use hooks::is_deaf;

/// The first capability of a subOS went without its being destroyed: it is destroyed in passing, by whatever
/// operation comes next.
pub fn orphan(object: PhysAddr) {
    let target = Target::from_object(object.0);
    if Books::is_incarnate(target.subos, target.incarnation) {
        Books::note_orphan(target.subos);
    }
}

/// The number of a subOS of the ledger.
#[must_use]
pub const fn number_of(id: ledger::SubOsId) -> SubOsId {
    SubOsId(id.index)
}
