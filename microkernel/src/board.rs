//! The flush board: how one core learns that all others have let go.
//!
//! A core that takes something away (a mapping, an object's memory) raises the epoch under the lock and tells the
//! others by interrupt. Each core, on every entry, flushes its TLB and acknowledges the epoch it saw. What was
//! taken away is reused only when every core of the kernel has acknowledged. Nobody waits for that with the lock
//! held, and a core that waits acknowledges what others ask meanwhile: it holds nothing, being on the home root.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::limits::MAX_CORES;
use crate::types::CoreId;

/// A point in the order of a kernel's requests to let go. 0 is before all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Epoch(pub u64);

/// One kernel's flush board. Cores of other kernels never touch it.
#[derive(Debug)]
pub struct Board {
    epoch: AtomicU64,
    members: AtomicU64,
    acknowledged: [AtomicU64; MAX_CORES],
}

impl Board {
    /// A board without cores.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            epoch: AtomicU64::new(0),
            members: AtomicU64::new(0),
            acknowledged: [const { AtomicU64::new(0) }; MAX_CORES],
        }
    }

    /// The cores that have to acknowledge, one bit each.
    #[must_use]
    pub fn members(&self) -> u64 {
        self.members.load(Ordering::SeqCst)
    }

    /// Raises the epoch. What was taken away before must be gone from memory by now.
    pub fn raise(&self) -> Epoch {
        Epoch(self.epoch.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// The epoch that will be raised next, which comes after all that is being taken away now.
    #[must_use]
    pub fn next(&self) -> Epoch {
        Epoch(self.epoch().0 + 1)
    }

    /// The latest epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::SeqCst))
    }

    /// Whether this core has yet to acknowledge something; then it flushes, and acknowledges that epoch.
    #[must_use]
    pub fn owes(&self, core: CoreId) -> Option<Epoch> {
        let epoch = self.epoch();
        let seen = self.acknowledged[core.index()].load(Ordering::Relaxed);
        (seen < epoch.0).then_some(epoch)
    }

    /// The core has flushed and has let go of everything taken away before this epoch.
    pub fn acknowledge(&self, core: CoreId, epoch: Epoch) {
        self.acknowledged[core.index()].store(epoch.0, Ordering::SeqCst);
    }

    /// The core begins to work for this kernel, with nothing in its TLB.
    pub fn join(&self, core: CoreId) {
        self.acknowledged[core.index()].store(self.epoch.load(Ordering::SeqCst), Ordering::SeqCst);
        self.members.fetch_or(core.bit(), Ordering::SeqCst);
    }

    /// The core has left this kernel and let go of everything.
    pub fn leave(&self, core: CoreId) {
        self.members.fetch_and(!core.bit(), Ordering::SeqCst);
    }

    /// Whether every core has let go of what was taken away before this epoch.
    #[must_use]
    pub fn is_quiet(&self, epoch: Epoch) -> bool {
        self.have_let_go(self.members(), epoch)
    }

    /// Whether these cores, one bit each, have let go of what was taken away before this epoch: for who knows the
    /// members from elsewhere.
    #[must_use]
    pub fn have_let_go(&self, cores: u64, epoch: Epoch) -> bool {
        let mut members = cores;
        while members != 0 {
            let core = members.trailing_zeros() as usize;
            if self.acknowledged[core].load(Ordering::SeqCst) < epoch.0 {
                return false;
            }
            members &= members - 1;
        }
        true
    }
}

impl Default for Board {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_means_every_member() {
        let board = Board::new();
        board.join(CoreId(1));
        board.join(CoreId(5));
        let epoch = board.raise();
        assert!(!board.is_quiet(epoch));
        board.acknowledge(CoreId(1), epoch);
        assert!(!board.is_quiet(epoch));
        assert_eq!(board.owes(CoreId(1)), None);
        assert_eq!(board.owes(CoreId(5)), Some(epoch));
        board.leave(CoreId(5));
        assert!(board.is_quiet(epoch));
    }

    #[test]
    fn a_core_that_joins_late_owes_nothing() {
        let board = Board::new();
        let epoch = board.raise();
        board.join(CoreId(0));
        assert!(board.is_quiet(epoch));
        assert_eq!(board.owes(CoreId(0)), None);
    }
}
