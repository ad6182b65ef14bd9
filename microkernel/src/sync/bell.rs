//! The words of a doorbell: how one core tells a kernel that something was sent, without that kernel's lock.
//!
//! Ring: note that something is pending, fence, read the target, interrupt it if the note was news. The note is taken
//! away only by the receiver's wait, so a flood costs the receiver one interrupt a wait. Move: write the new target,
//! fence, interrupt it, so that it looks. Of a ring and a move at the same time one fence comes first, so either the
//! ring sees the new target, or the new target sees the note.

use crate::atomic::{AtomicU64, Ordering, fence};
use crate::types::CoreId;

/// The core that a doorbell interrupts: its number plus 1, or 0 for none. Only the supervisor writes it.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Target(AtomicU64);

/// Whether something was sent for which the receiver has not waited yet.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Note(AtomicU64);

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Somebody who waited for it has it.
    Taken,
    /// It stays until somebody waits.
    Kept,
}

impl Target {
    /// The core to interrupt, if there is one; what lies in memory is only alleged to name one.
    #[must_use]
    pub fn get(&self) -> Option<CoreId> {
        let number = usize::try_from(self.0.load(Ordering::Relaxed)).ok()?.checked_sub(1)?;
        CoreId::new(number)
    }

    /// From now on this core is interrupted, or none. The caller interrupts it once, so that it looks for what was sent
    /// until now.
    pub fn set(&self, core: Option<CoreId>) {
        self.0.store(core.map_or(0, |core| u64::from(core.0) + 1), Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }
}

impl Note {
    /// Notes that something was sent. If that is news, the core that the caller interrupts.
    #[must_use]
    pub fn ring(&self, target: &Target) -> Option<CoreId> {
        if self.0.swap(1, Ordering::AcqRel) != 0 {
            return None;
        }
        fence(Ordering::SeqCst);
        target.get()
    }

    /// Whether something was sent that the receiver has not waited for yet. Whoever is told so sees what was sent.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// The receiver waits, and so knows of everything that was sent until now. Says whether there was something.
    #[must_use]
    pub fn take(&self) -> bool {
        self.is_set() && self.0.swap(0, Ordering::AcqRel) != 0
    }

    /// The receiver was interrupted: signals what was sent, if anything was. A signal that somebody waited for is that
    /// somebody's wait; else the note stays, and nobody is interrupted again before the wait that takes it.
    pub fn announce(&self, signal: impl FnOnce() -> Signal) {
        if self.is_set() && signal() == Signal::Taken {
            let _ = self.take();
        }
    }
}
