//! The flush board: how one core learns that all others have let go.
//!
//! A core that takes something away (a mapping, an object's memory) raises the epoch under the lock and tells the
//! others by interrupt. Each core, on every entry, flushes its TLB and acknowledges the last epoch it was asked for. What
//! was taken away is reused only when every core that was asked has acknowledged. Nobody waits for that with the lock
//! held, and a core that waits acknowledges what others ask meanwhile: it holds nothing, being on the home root.
//!
//! Who is asked: every core, or, when all that went is mappings of one space, the cores that run on its root. The holder
//! of the lock knows them, since cores change roots under the lock; and a core that loads the root later finds nothing of
//! what went, since loading a root flushes.

use crate::atomic::{AtomicU64, Ordering, spin_loop};
use crate::limits::MAX_CORES;
use crate::types::CoreId;

/// A point in the order of a kernel's requests to let go. 0 is before all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Epoch(pub u64);

/// Who was asked to let go of what was taken away before an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The epoch.
    pub epoch: Epoch,
    /// The cores, one bit each.
    pub cores: u64,
}

impl Asked {
    /// All cores were.
    #[must_use]
    pub const fn of_all(epoch: Epoch) -> Self {
        Self { epoch, cores: u64::MAX }
    }
}

/// One kernel's flush board. Cores of other kernels never touch it.
#[derive(Debug)]
pub struct Board {
    epoch: AtomicU64,
    members: AtomicU64,
    /// The last epoch that every core was asked for.
    everyone: AtomicU64,
    /// The last one that each core was asked for beside.
    asked: [AtomicU64; MAX_CORES],
    acknowledged: [AtomicU64; MAX_CORES],
}

impl Default for Board {
    /// A board without cores.
    fn default() -> Self {
        let [asked, acknowledged] = [(); 2].map(|()| core::array::from_fn(|_| AtomicU64::default()));
        let [epoch, members, everyone] = [(); 3].map(|()| AtomicU64::default());
        Self { epoch, members, everyone, asked, acknowledged }
    }
}

impl Board {
    /// The cores that have to acknowledge, one bit each.
    #[must_use]
    pub fn members(&self) -> u64 {
        self.members.load(Ordering::SeqCst)
    }

    /// Raises the epoch and asks every core. What was taken away before must be gone from memory by now.
    pub fn raise(&self) -> Epoch {
        let epoch = self.begin();
        self.everyone.fetch_max(epoch.0, Ordering::SeqCst);
        epoch
    }

    /// Raises the epoch and asks these cores, one bit each. Under the kernel's lock.
    pub fn ask(&self, cores: u64) -> Asked {
        let epoch = self.begin();
        for core in CoreId::all_in(cores) {
            self.asked[core.index()].store(epoch.0, Ordering::SeqCst);
        }
        Asked { epoch, cores }
    }

    fn begin(&self) -> Epoch {
        Epoch(self.epoch.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// The epoch that will be raised next, which comes after all that is being taken away now.
    #[must_use]
    pub fn next(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::SeqCst) + 1)
    }

    /// The last epoch that a core was asked for and has not acknowledged.
    #[inline(always)]
    fn owed(&self, core: CoreId) -> Option<u64> {
        let (asked, mine) = (&self.asked[core.index()], &self.acknowledged[core.index()]);
        let epoch = asked.load(Ordering::SeqCst).max(self.everyone.load(Ordering::SeqCst));
        (mine.load(Ordering::Relaxed) < epoch).then_some(epoch)
    }

    /// Whether a core has yet to let go of something.
    #[inline(always)]
    pub fn is_asked(&self, core: CoreId) -> bool {
        self.owed(core).is_some()
    }

    /// Flushes, if this core has yet to, and says that it has let go of everything taken away before.
    pub fn answer(&self, core: CoreId, flush: impl FnOnce()) {
        let mine = &self.acknowledged[core.index()];
        if let Some(epoch) = self.owed(core) {
            flush();
            mine.store(epoch, Ordering::SeqCst);
        }
    }

    /// Waits, without any lock, until every core has let go that was asked to, or `give_up` says that this core has
    /// better things to do. What others ask meanwhile it answers.
    pub fn wait(&self, core: CoreId, asked: Asked, mut flush: impl FnMut(), give_up: impl Fn() -> bool) {
        while !self.is_answered(asked) && !give_up() {
            self.answer(core, &mut flush);
            spin_loop();
        }
    }

    /// This core begins to work for this kernel. It says so itself, when it has come: one that is on its way may be told to
    /// park before it looks, and then nobody waits for it. Under the kernel's lock, as are the kernel's own raises: whoever
    /// raises after waits for this core, and what was taken away before this core has forgotten.
    pub fn join(&self, core: CoreId, flush: impl FnOnce()) {
        // In this order: the supervisor raises without the lock, and waits for cores that it knows to be on their way.
        let epoch = self.epoch.load(Ordering::SeqCst);
        flush();
        self.acknowledged[core.index()].store(epoch, Ordering::SeqCst);
        self.members.fetch_or(core.bit(), Ordering::SeqCst);
    }

    /// The core has left this kernel and let go of everything. A core that parks says so itself, without the lock.
    pub fn leave(&self, core: CoreId) {
        self.members.fetch_and(!core.bit(), Ordering::SeqCst);
    }

    /// Whether every core has let go of what was taken away before this epoch.
    #[must_use]
    pub fn is_quiet(&self, epoch: Epoch) -> bool {
        self.is_answered(Asked::of_all(epoch))
    }

    /// Whether those who were asked have let go, as far as they have not left.
    #[must_use]
    pub fn is_answered(&self, asked: Asked) -> bool {
        self.have_let_go(self.members() & asked.cores, asked.epoch)
    }

    /// Whether these cores, one bit each, have let go of what was taken away before this epoch: for who knows the
    /// members from elsewhere.
    #[must_use]
    pub fn have_let_go(&self, cores: u64, epoch: Epoch) -> bool {
        CoreId::all_in(cores).all(|core| self.acknowledged[core.index()].load(Ordering::SeqCst) >= epoch.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flushes(board: &Board, core: CoreId) -> u32 {
        let mut count = 0;
        board.answer(core, || count += 1);
        count
    }

    #[test]
    fn quiet_means_every_member() {
        let board = Board::default();
        board.join(CoreId(1), || ());
        board.join(CoreId(5), || ());
        let epoch = board.raise();
        assert!(!board.is_quiet(epoch));
        assert_eq!(flushes(&board, CoreId(1)), 1);
        assert!(!board.is_quiet(epoch));
        assert_eq!(flushes(&board, CoreId(1)), 0);
        board.leave(CoreId(5));
        assert!(board.is_quiet(epoch));
    }

    #[test]
    fn who_is_not_asked_neither_flushes_nor_is_waited_for() {
        let board = Board::default();
        for core in [1, 5, 7] {
            board.join(CoreId(core), || ());
        }
        let asked = board.ask(CoreId(5).bit() | CoreId(7).bit());
        assert!(!board.is_answered(asked));
        assert_eq!(flushes(&board, CoreId(1)), 0);
        assert_eq!(flushes(&board, CoreId(5)), 1);
        assert!(!board.is_answered(asked));
        board.leave(CoreId(7));
        assert!(board.is_answered(asked));
        // What all are asked for is another matter, whether it was asked before or after.
        assert!(!board.is_quiet(asked.epoch));
        let all = board.raise();
        let _ = board.ask(CoreId(5).bit());
        assert_eq!((flushes(&board, CoreId(1)), flushes(&board, CoreId(5))), (1, 1));
        assert!(board.is_quiet(all) && board.is_quiet(asked.epoch));
    }

    #[test]
    fn a_core_that_joins_late_owes_nothing() {
        let board = Board::default();
        let epoch = board.raise();
        let mut flushed = false;
        board.join(CoreId(0), || flushed = true);
        assert!(flushed && board.is_quiet(epoch));
        assert_eq!(flushes(&board, CoreId(0)), 0);
    }
}
