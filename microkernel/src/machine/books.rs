//! The books: the ledger's entries, and what the machine part must remember about each subOS, core and lot while
//! it works on them. They lie in system pages; only the supervisor's kernel can reach them, and there only one
//! core at a time, who holds their lock.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

use caps::Error;
use caps::ledger::{self, ChunkEntry, ChunkId, Holder, LotEntry, LotId, Phase, SubOsEntry};

use idl::abi::PAGE_WORDS;

use super::{places, raw};
use crate::arch::x86_64::half::CommonParts;
use crate::arch::{self, KernelHalf, SystemPages};
pub use crate::journal::Ledger;
use crate::kernel::KernelCell;
use crate::limits::{LEDGER_LOTS, MAX_CORES, MAX_SUBOSES};
use crate::sync::Epoch;
use crate::sync::bell::Target;
use crate::sync::mailbox::Mailbox;
use crate::sync::recall::{Recall, Watch};
use crate::sync::rounds::Rounds;
use crate::types::{CoreId, PhysAddr, SubOsId, Ticks};

/// How far a subOS has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Stage {
    /// It has a kernel and nothing to run.
    #[default]
    Created,
    /// Everything is there for its first program, which is being copied.
    Filling,
    /// Its first program is in place.
    Loaded,
    /// Its first thread was started.
    Running,
}

/// What is remembered about a subOS beside its ledger entry.
#[derive(Debug, Default)]
pub struct Record {
    /// Which of the subOSes that had this number it is.
    pub id: Option<ledger::SubOsId>,
    /// Its kernel half; taken when the subOS ends.
    pub half: Option<KernelHalf>,
    /// Where its kernel is.
    pub cell: Option<PhysAddr>,
    /// How far it has come.
    pub stage: Stage,
    /// Its kernel is not to be trusted any more, by its own word or the visitor's.
    pub condemned: bool,
    /// Pages copied so far of what is being attached.
    pub attached: u64,
    /// Parts built so far of what its first program needs.
    pub built: u8,
    /// Pages copied so far of its first program.
    pub filled: u64,
    /// What is left of it when all cores have left it.
    pub remains: Option<KernelHalf>,
    /// It is dying, and all its cores have left it or were given up.
    pub deserted: bool,
    /// The lot of it that is being cleared, once it is deserted.
    pub ending: Option<LotId>,
    /// When its cores were asked last to let go of something, by the books' watch.
    pub asked: Ticks,
    /// What is taken from it is cleared only when it is granted again.
    pub clears_late: bool,
    /// Whether it ever had a side of a window. For others no lots are looked at, whose number is everybody's.
    pub has_windows: bool,
}

/// What the supervisor waits for from a core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Errand {
    /// Nothing.
    #[default]
    None,
    /// Its owner was asked to part with it; not forced before the deadline.
    Requested(Ticks),
    /// It was ordered to leave.
    Leaving(Recall),
    /// It has parked; its kernel has let go of it, and other cores are asked to.
    Parked(Epoch),
}

/// What is remembered about a lot that is on its way back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LotWork {
    /// The rounds of letting go.
    pub rounds: Rounds,
    /// Pages cleared so far.
    pub cleared: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Books {
    cores: [Holder; MAX_CORES],
    /// How many of `cores` the machine has.
    core_count: usize,
    pub(super) chunks: &'static mut [ChunkEntry],
    /// One bit a chunk: it may hold what firmware or boot left there, or who had it last.
    soiled: &'static mut [u64],
    lots: [LotEntry; LEDGER_LOTS],
    /// How many of `lots` there are up to the last that is in use: what is looked through.
    lot_count: usize,
    suboses: [SubOsEntry; MAX_SUBOSES],
    /// Where each core's area is.
    pub areas: [PhysAddr; MAX_CORES],
    /// What is waited for from each core.
    pub errands: [Errand; MAX_CORES],
    /// How long cores were waited for.
    pub watch: Watch,
    /// Lots on their way back, by their number in the ledger.
    pub works: [LotWork; LEDGER_LOTS],
    /// The subOSes.
    pub records: [Record; MAX_SUBOSES],
    /// Pages for kernel halves.
    pub pages: SystemPages,
    /// What all kernel halves have in common.
    pub common: CommonParts,
    /// The half that nobody owns, on which parked cores are; always there but for audits.
    pub park: Option<KernelHalf>,
    /// How often cores moved, lots moved, and audits ran.
    pub moves: Moves,
    /// The chunk that is being cleared for its first owner, and how many of its pages are.
    pub scrubbing: (ChunkId, u64),
    /// The share that is being cleared for the next subOS, and how many pages of it are clear.
    pub clearing: (SubOsId, u64),
    /// What one subOS is to have of a window, while the other's kernel is visited that may fail: without that it is not given.
    pub at_stake: Option<(ledger::SubOsId, LotId)>,
    /// The operation stopped because an interrupt waits, and is to be asked for again.
    again: bool,
}

/// What the machine part did since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// Cores that came back from an owner.
    pub cores: u64,
    /// Lots that came back from an owner.
    pub lots: u64,
    /// Audits.
    pub audits: u64,
}

/// The books and their lock, as they lie in memory, with the words that are read without the lock.
pub struct Shelf {
    /// 0, or 1 and the number of the core that holds the books.
    lock: AtomicU64,
    /// For each subOS the core that its doorbell interrupts.
    targets: [Target; MAX_SUBOSES],
    /// For each number the generation of its subOS plus 1; 0 if there is none. What a SubOs capability's badge
    /// must be.
    incarnations: [AtomicU64; MAX_SUBOSES],
    /// SubOSes whose first capability went, one bit each: they are to be destroyed.
    orphans: AtomicU64,
    /// Where the kernel is that whoever holds the books visits.
    visited: AtomicU64,
    /// Cores that a test made deaf, one bit each: what is sent to them to make them park or flush gets lost.
    #[cfg(feature = "hooks")]
    pub(super) deaf: AtomicU64,
    /// The arguments of a program that is about to be loaded.
    stage: [AtomicU64; PAGE_WORDS],
    books: UnsafeCell<Books>,
}

// SAFETY: the books inside are reached through the lock alone.
unsafe impl Sync for Shelf {}

/// What boot knows of the machine's memory and cores.
#[derive(Debug)]
pub struct Inventory {
    /// One entry a chunk, all zero.
    pub chunks: &'static mut [ChunkEntry],
    /// One bit a chunk, all zero.
    pub soiled: &'static mut [u64],
    /// How many cores there are.
    pub core_count: usize,
    /// Where their areas are.
    pub areas: [PhysAddr; MAX_CORES],
    /// Pages for kernel halves.
    pub pages: SystemPages,
    /// What all kernel halves have in common.
    pub common: CommonParts,
    /// The half that nobody owns.
    pub park: KernelHalf,
}

impl Shelf {
    /// Books in which everything is reserved and nothing exists.
    #[must_use]
    pub fn new(inventory: Inventory) -> Self {
        Self {
            lock: AtomicU64::new(0),
            targets: core::array::from_fn(|_| Target::default()),
            incarnations: [const { AtomicU64::new(0) }; MAX_SUBOSES],
            orphans: AtomicU64::new(0),
            visited: AtomicU64::new(0),
            #[cfg(feature = "hooks")]
            deaf: AtomicU64::new(0),
            stage: [const { AtomicU64::new(0) }; PAGE_WORDS],
            books: UnsafeCell::new(Books {
                cores: [Holder::Reserved; MAX_CORES],
                core_count: inventory.core_count.min(MAX_CORES),
                chunks: inventory.chunks,
                soiled: inventory.soiled,
                lots: [LotEntry::default(); LEDGER_LOTS],
                lot_count: 0,
                suboses: [SubOsEntry::default(); MAX_SUBOSES],
                areas: inventory.areas,
                errands: [Errand::None; MAX_CORES],
                watch: Watch::default(),
                works: [LotWork::default(); LEDGER_LOTS],
                records: core::array::from_fn(|_| Record::default()),
                pages: inventory.pages,
                common: inventory.common,
                park: Some(inventory.park),
                moves: Moves::default(),
                scrubbing: (ChunkId(0), 0),
                clearing: (SubOsId::SUPERVISOR, 0),
                at_stake: None,
                again: false,
            }),
        }
    }

    /// Takes the books. A core that waits serves its siblings meanwhile; who has the books works a bounded time.
    pub fn open(&self, core: CoreId, mut serve: impl FnMut()) -> OpenBooks<'_> {
        let mine = u64::from(core.0) + 1;
        while self.lock.compare_exchange(0, mine, Ordering::Acquire, Ordering::Relaxed).is_err() {
            serve();
            arch::pause();
        }
        OpenBooks { shelf: self }
    }

    /// Keeps the arguments of a program that is about to be loaded.
    pub fn stage(&self, words: impl Iterator<Item = u64>) {
        for (place, word) in self.stage.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
    }

    /// The arguments that were kept.
    pub fn staged(&self) -> impl Iterator<Item = u64> + '_ {
        self.stage.iter().map(|word| word.load(Ordering::Relaxed))
    }

    /// Notes which kernel is about to be visited.
    pub fn set_visited(&self, cell: PhysAddr) {
        self.visited.store(cell.0, Ordering::Relaxed);
    }

    /// The kernel that is being visited.
    #[must_use]
    pub fn visited(&self) -> PhysAddr {
        PhysAddr(self.visited.load(Ordering::Relaxed))
    }

    /// Lets go of the books on behalf of a core that lost its stack while it held them.
    pub fn close_abandoned(&self, core: CoreId) {
        let mine = u64::from(core.0) + 1;
        let _ = self.lock.compare_exchange(mine, 0, Ordering::Release, Ordering::Relaxed);
    }
}

/// The books, held.
pub struct OpenBooks<'a> {
    shelf: &'a Shelf,
}

impl core::ops::Deref for OpenBooks<'_> {
    type Target = Books;

    fn deref(&self) -> &Books {
        // SAFETY: this value exists only while its holder has the lock.
        unsafe { &*self.shelf.books.get() }
    }
}

impl core::ops::DerefMut for OpenBooks<'_> {
    fn deref_mut(&mut self) -> &mut Books {
        // SAFETY: as in `deref`.
        unsafe { &mut *self.shelf.books.get() }
    }
}

impl Drop for OpenBooks<'_> {
    fn drop(&mut self) {
        self.shelf.lock.store(0, Ordering::Release);
    }
}

impl Books {
    /// The ledger over these entries.
    pub fn ledger(&mut self) -> Ledger<'_> {
        self.ledger_for(1)
    }

    /// The same, with room for so many more lots.
    pub fn ledger_for(&mut self, more: usize) -> Ledger<'_> {
        let in_use = |lots: &[LotEntry], index: usize| lots.get(index).is_some_and(|lot| lot.count != 0);
        while in_use(&self.lots, self.lot_count) {
            self.lot_count += 1;
        }
        while self.lot_count > 0 && !in_use(&self.lots, self.lot_count - 1) {
            self.lot_count -= 1;
        }
        let cores = self.cores.get_mut(..self.core_count).unwrap_or_default();
        let room = (self.lot_count + more).min(LEDGER_LOTS);
        let lots = self.lots.get_mut(..room).unwrap_or_default();
        Ledger::new(cores, self.chunks, lots, &mut self.suboses)
    }

    /// Stops an operation because an interrupt waits: its caller asks again by himself and does not see this error.
    pub fn stop(&mut self) -> Error {
        self.again = true;
        Error::Busy
    }

    /// Whether the operation stopped so.
    pub fn take_again(&mut self) -> bool {
        core::mem::take(&mut self.again)
    }

    /// The subOS that a SubOs capability names: its number, if its generation is still the present one.
    ///
    /// # Errors
    /// `StaleHandle`.
    pub fn find(&self, subos: SubOsId, incarnation: u64) -> Result<ledger::SubOsId, Error> {
        self.records
            .get(subos.index())
            .and_then(|record| record.id)
            .filter(|id| u64::from(id.generation) + 1 == incarnation)
            .ok_or(Error::StaleHandle)
    }

    /// What is remembered about a subOS.
    pub fn record(&mut self, id: ledger::SubOsId) -> &mut Record {
        &mut self.records[usize::from(id.index) % MAX_SUBOSES]
    }

    /// The kernel of a subOS.
    ///
    /// # Errors
    /// `Condemned`; `WrongState` if it has none.
    pub fn cell(&mut self, id: ledger::SubOsId) -> Result<&'static KernelCell, Error> {
        let number = SubOsId(id.index);
        let dead = places().share(number).death().is_some() && number != SubOsId::SUPERVISOR;
        let record = self.record(id);
        if record.condemned || dead {
            record.condemned = true;
            return Err(Error::Condemned);
        }
        record.cell.map(raw::cell).ok_or(Error::WrongState)
    }

    /// Whether a core of this subOS was given up that may run on its behalf for ever.
    #[must_use]
    pub fn is_silent(&self, id: ledger::SubOsId) -> bool {
        self.suboses.get(usize::from(id.index)).is_some_and(|entry| entry.silent > 0)
    }

    /// The lot with this number of a subOS.
    pub fn lot_of(&mut self, id: ledger::SubOsId, seat: u32) -> Option<(LotId, LotEntry)> {
        self.ledger().lots().find(|(_, lot)| lot.holder.subos() == Some(id) && u32::from(lot.seat) == seat)
    }

    /// Whether a subOS has the chunk here, by itself or as one of the two sides of a window.
    pub fn has_chunk(&mut self, id: ledger::SubOsId, at: PhysAddr) -> bool {
        let covers = |lot: &LotEntry| (lot.address()..lot.address() + lot.bytes()).contains(&at.0);
        self.ledger().lots().any(|(_, lot)| lot.holder.subos() == Some(id) && covers(&lot))
    }

    /// The cores of which this is true, by who has them, one bit each.
    fn cores_where(&mut self, is: impl Fn(CoreId, Holder) -> bool) -> u64 {
        let cores = self.ledger();
        let cores = cores.cores().map(|(core, holder)| (CoreId(core.0), holder));
        cores.filter(|(core, holder)| is(*core, *holder)).fold(0, |set, (core, _)| set | core.bit())
    }

    /// The cores that work for a subOS, one bit each.
    pub fn owned_by(&mut self, id: ledger::SubOsId) -> u64 {
        self.cores_where(|_, holder| holder == Holder::SubOs(id))
    }

    /// The cores that work for a subOS, or are on their way from it, one bit each.
    pub fn cores_of(&mut self, id: ledger::SubOsId) -> u64 {
        self.cores_where(|_, holder| holder.subos() == Some(id))
    }

    /// The cores that may still reach what a subOS has, one bit each: those that work for it, and those that were told
    /// to leave it and have not parked.
    pub fn at_large(&mut self, id: ledger::SubOsId) -> u64 {
        let gone = |holder| matches!(holder, Holder::Leaving(_, Phase::Quiescing | Phase::Scrubbing));
        let cores = self.cores_where(|_, holder| holder.subos() == Some(id) && !gone(holder));
        let has_left = |core: &CoreId| match (self.cores[core.index()], self.errands[core.index()]) {
            (Holder::Leaving(..), Errand::Leaving(recall)) => recall.is_answered(Mailbox::of(*core)),
            _ => false,
        };
        CoreId::all_in(cores).filter(has_left).fold(cores, |left, core| left & !core.bit())
    }

    /// Whether a chunk may hold what firmware, boot or its last owner left there.
    #[must_use]
    pub fn is_soiled(&self, chunk: ChunkId) -> bool {
        self.soiled.get(chunk.0 as usize / 64).is_some_and(|word| word & 1 << (chunk.0 % 64) != 0)
    }

    /// A chunk holds nothing, or what it should.
    pub fn note_clean(&mut self, chunk: ChunkId) {
        if let Some(word) = self.soiled.get_mut(chunk.0 as usize / 64) {
            *word &= !(1 << (chunk.0 % 64));
        }
    }

    /// Notes that a chunk may hold what firmware, boot or its last owner left there: all of it, however far it was cleared.
    pub fn note_soiled(&mut self, chunk: ChunkId) {
        if self.scrubbing.0 == chunk {
            self.scrubbing.1 = 0;
        }
        if let Some(word) = self.soiled.get_mut(chunk.0 as usize / 64) {
            *word |= 1 << (chunk.0 % 64);
        }
    }

    /// The core that a subOS's doorbell interrupts; read without the books.
    #[must_use]
    pub fn doorbell_target(subos: SubOsId) -> &'static Target {
        &places().shelf().targets[subos.index() % MAX_SUBOSES]
    }

    /// Whether a SubOs capability with this badge names the subOS that has the number now; read without the
    /// books.
    #[must_use]
    pub fn is_incarnate(subos: SubOsId, incarnation: u64) -> bool {
        let words = &places().shelf().incarnations;
        incarnation != 0
            && words.get(subos.index()).is_some_and(|word| word.load(Ordering::SeqCst) == incarnation)
    }

    /// Notes which subOS has a number now, if any.
    pub fn set_incarnation(subos: SubOsId, id: Option<ledger::SubOsId>) {
        if let Some(word) = places().shelf().incarnations.get(subos.index()) {
            word.store(id.map_or(0, |id| u64::from(id.generation) + 1), Ordering::SeqCst);
        }
    }

    /// Notes that nobody has authority over this subOS any more.
    pub fn note_orphan(subos: SubOsId) {
        places().shelf().orphans.fetch_or(1 << (subos.0 % 64), Ordering::SeqCst);
    }

    /// A subOS that nobody has authority over.
    #[must_use]
    pub fn next_orphan() -> Option<SubOsId> {
        let orphans = places().shelf().orphans.load(Ordering::SeqCst);
        (orphans != 0).then(|| SubOsId(u8::try_from(orphans.trailing_zeros()).unwrap_or(0)))
    }

    /// The subOS is gone.
    pub fn forget_orphan(subos: SubOsId) {
        places().shelf().orphans.fetch_and(!(1 << (subos.0 % 64)), Ordering::SeqCst);
    }
}
