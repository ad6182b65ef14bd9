//! Removing capabilities, by steps. `caps` decides what goes and reports effects, [`crate::aftermath`] carries them out;
//! nothing that removes capabilities reports *done* while any of that is left, so no memory is reused under a queue or
//! a page table entry.
//!
//! Removals that do not end in their first step wait in a line, the supervisor's before those of programs. Each marks at
//! once what is to go; from then on whoever asks for a step, and whoever has time, does one of the first in the line.
//! So a removal ends though nobody asks for the rest, and nobody who removes without end keeps another from his *done*.

use caps::{Effects, Error, Reset, SlotRef, Slots, State, Step};
use idl::types::Progress;

use crate::kernel::Kernel;
use crate::limits::{CLEAR_BUDGET, PAGE, PROGRAM_REMOVALS, REMOVALS, REVOKE_BUDGET};
use crate::memory::Ref;
use crate::object::endpoint::Endpoint;
use crate::object::notification::Notification;
use crate::object::thread::Thread;
use crate::outcome::{Answer, NextThread, Outcome};
use crate::sync::{Asked, Epoch};
use crate::syscall::Caller;
use crate::types::PhysAddr;

/// What is left to do.
#[derive(Debug)]
pub struct Removal {
    /// Endpoints with threads that are to be woken.
    pub(crate) endpoints: Option<Ref<Endpoint>>,
    /// Notifications whose waiters are to be woken.
    pub(crate) notifications: Option<Ref<Notification>>,
    /// How many spaces have a scan under way.
    pub(crate) scans: u32,
    /// Something went that other cores may still hold: a mapping, a thread, a space.
    pub(crate) unquiet: bool,
    /// The epoch that cores must have acknowledged before what went last is reused.
    latest: Epoch,
    /// Removals that are not done, in the order in which they are served.
    line: heapless::Vec<Begun, REMOVALS>,
}

/// A removal that is not done.
#[derive(Clone, Copy, Debug)]
struct Begun {
    slot: SlotRef,
    removing: Removing,
    /// The capability itself has gone; somebody may have put another into the slot.
    emptied: bool,
    /// All capabilities have gone.
    gone: bool,
    /// For a reset, the epoch after which the memory may be cleared. That of the last removal would do as well, but while
    /// others remove things of their own that one moves on and on.
    quiet: Option<Epoch>,
}

impl Removal {
    /// Nothing.
    pub const NOTHING: Self = Self {
        endpoints: None,
        notifications: None,
        scans: 0,
        unquiet: false,
        latest: Epoch(0),
        line: heapless::Vec::new(),
    };

    /// A capability has gone. With it goes what was to remove things below it; its own deletion has come this far.
    pub(crate) fn lost(&mut self, slot: SlotRef) {
        self.line.retain_mut(|begun| {
            begun.emptied |= begun.slot == slot;
            !begun.emptied || begun.removing == Removing::Delete
        });
    }
}

/// What is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removing {
    /// All that derives from a capability.
    Revoke,
    /// The same and the capability itself.
    Delete,
    /// All that was made of an Untyped; then its memory is cleared.
    Reset,
}

impl Kernel {
    /// One bounded step of removing, asked for by a thread. It is answered *done* only when no core can reach any more what
    /// went. While as many removals wait as can be, none is begun: then the caller helps, and asks again.
    pub fn remove(&mut self, caller: &Caller, slot: SlotRef, removing: Removing) -> Outcome {
        if self.removal.line.len() >= PROGRAM_REMOVALS && self.find(slot, removing).is_none() {
            self.sweep();
            // What it helped with may have been its own end.
            if self.current() == Some(caller.thread) {
                // What the first waits for may be another core, and this one comes again at once.
                crate::arch::pause();
                self.memory[caller.thread].frame.rewind_syscall();
            }
            return Outcome::Deferred(NextThread::Same);
        }
        // It was checked that it can begin; if it falls with what goes, the next call is told.
        let progress = self.removal_step(slot, removing, Some(caller.thread)).unwrap_or(Progress::More);
        if progress == Progress::Done {
            self.await_quiet(caller.thread);
        }
        if self.current() != Some(caller.thread) {
            // The caller has removed itself.
            return Outcome::Deferred(NextThread::Same);
        }
        Answer::of(progress).into()
    }

    /// A thread goes on only when every core has let go of what went. It may have removed itself.
    pub fn await_quiet(&mut self, thread: Ref<Thread>) {
        self.quieten();
        if self.current() == Some(thread) && !self.board.is_quiet(self.removal.latest) {
            self.memory[thread].quiet = Some(Asked::of_all(self.removal.latest));
        }
    }

    /// Asks every core to let go of what went, if it was not asked since.
    fn quieten(&mut self) {
        if core::mem::take(&mut self.removal.unquiet) {
            self.removal.latest = self.hold_until_quiet(None);
        }
    }

    /// One bounded step of removing, for a thread or for a visitor: capabilities, then what their objects and mappings
    /// have left to do. `Done` only when nothing is left; but other cores may still hold what went.
    pub fn removal_step(
        &mut self,
        slot: SlotRef,
        removing: Removing,
        caller: Option<Ref<Thread>>,
    ) -> Result<Progress, Error> {
        let mut mine = Begun { slot, removing, emptied: false, gone: false, quiet: None };
        let has_room = self.removal.line.len() < REMOVALS;
        match self.find(slot, removing) {
            Some(0) => mine = self.removal.line.remove(0),
            // A visitor's goes before all that wait: it may end in this step.
            None if self.removal.line.is_empty() || (caller.is_none() && has_room) => {}
            found => {
                // While there is no room, nothing is begun: whoever asks for it is told that there is more to do.
                if found.is_none() && has_room {
                    mine.gone = self.take_away(&mine, 0)?;
                    self.queue(mine, caller);
                }
                self.sweep();
                return Ok(Progress::More);
            }
        }
        let progress = self.step(&mut mine, caller)?;
        if progress == Progress::More {
            self.queue(mine, None);
        }
        Ok(progress)
    }

    /// Puts a removal into the line: a program's at the end, a visitor's or one that was the first to the front.
    fn queue(&mut self, mut begun: Begun, caller: Option<Ref<Thread>>) {
        let place = if caller.is_some() { self.removal.line.len() } else { 0 };
        begun.emptied |= self.memory.slot(begun.slot).is_free();
        // One that is about what lies below falls with its capability.
        if !begun.emptied || begun.removing == Removing::Delete {
            // It is either new, and then room was looked for, or it was in the line just now.
            assert!(self.removal.line.insert(place, begun).is_ok(), "no removal is forgotten");
            let _ = self.forest.watch(&mut self.memory, begun.slot);
        }
    }

    /// Where in the line the removal of what is in a slot is.
    fn find(&self, slot: SlotRef, removing: Removing) -> Option<usize> {
        if self.removal.line.is_empty() {
            return None;
        }
        let emptied = self.memory.slot(slot).is_free();
        let same = |it: &Begun| it.slot == slot && it.removing == removing && it.emptied == emptied;
        self.removal.line.iter().position(same)
    }

    /// Whether a slot was emptied by a deletion that is not done.
    #[must_use]
    pub fn is_being_deleted(&self, slot: SlotRef) -> bool {
        self.memory.slot(slot).is_free() && self.find(slot, Removing::Delete).is_some()
    }

    /// A step of the first removal. Until it is settled what went before, whosever that was, it takes nothing more away.
    fn step(&mut self, begun: &mut Begun, caller: Option<Ref<Thread>>) -> Result<Progress, Error> {
        let mut settled = self.settle();
        if !begun.gone {
            begun.gone = self.take_away(begun, if settled { REVOKE_BUDGET } else { 0 })?;
            settled = begun.gone && self.settle();
        }
        match begun.removing {
            _ if !settled => Ok(Progress::More),
            Removing::Reset => self.clear(begun, caller),
            Removing::Revoke | Removing::Delete => Ok(Progress::Done),
        }
    }

    /// Takes capabilities away; says whether all have gone. With a budget of 0 it only marks what is to go, so that nothing
    /// can be done with it from now on.
    fn take_away(&mut self, begun: &Begun, budget: u32) -> Result<bool, Error> {
        let (slot, mut effects) = (begun.slot, Effects::new());
        let (forest, memory) = (&mut self.forest, &mut self.memory);
        let done = match begun.removing {
            Removing::Revoke => forest.revoke_step(memory, slot, budget, &mut effects)? == Step::Done,
            Removing::Delete if begun.emptied || memory.slot(slot).is_free() => forest.dying().is_none(),
            Removing::Delete => forest.delete_step(memory, slot, budget, &mut effects)? == Step::Done,
            Removing::Reset => {
                forest.reset_begin(memory, slot)?;
                forest.reset_step(memory, slot, budget, &mut effects)? != Reset::Removing
            }
        };
        self.perform(&effects);
        Ok(done)
    }

    /// Clears some of the memory from which everything was removed, when every core has let go of it. From its end, so
    /// that what is left is always the front of the range.
    fn clear(&mut self, begun: &mut Begun, caller: Option<Ref<Thread>>) -> Result<Progress, Error> {
        let slot = begun.slot;
        let first = self.forest.first_of(&self.memory, slot);
        if !self.memory.slot(first).state().contains(State::RESETTING) {
            // There was nothing to clear.
            return Ok(Progress::Done);
        }
        if !self.memory.slot(slot).state().contains(State::REVOKING) {
            // Somebody has revoked the same root to its end meanwhile: from the beginning.
            (begun.gone, begun.quiet) = (false, None);
            return Ok(Progress::More);
        }
        let Some(quiet) = begun.quiet else {
            begun.quiet =
                Some(self.hold_until_quiet(caller.filter(|caller| self.current() == Some(*caller))));
            return Ok(Progress::More);
        };
        if !self.board.is_quiet(quiet) {
            return Ok(Progress::More);
        }
        let mut reset = self.forest.reset_step(&mut self.memory, slot, 0, &mut Effects::new())?;
        if let Reset::Clear(used) = reset {
            let end = used.start + used.bytes;
            let first = (end.saturating_sub(CLEAR_BUDGET * PAGE)).max(used.start) & !(PAGE - 1);
            let mut page = first;
            while page < end {
                self.memory.clear_page(PhysAddr(page));
                page += PAGE;
            }
            let cleared = end - first.max(used.start);
            reset = self.forest.reset_cleared(&mut self.memory, slot, cleared)?;
        }
        Ok(if reset == Reset::Done { Progress::Done } else { Progress::More })
    }

    /// One step of what nobody may be left to ask for: what removals have left to do, and removals that were begun.
    /// Done whenever a core has time, and by the timer.
    pub fn sweep(&mut self) {
        if self.is_swept() {
            return;
        }
        if self.removal.line.is_empty() {
            self.settle();
        } else {
            let mut first = self.removal.line.remove(0);
            // One that fails has nothing left to be done for: it goes with what another takes away.
            if self.step(&mut first, None) == Ok(Progress::More) {
                self.queue(first, None);
            }
        }
        if self.is_swept() {
            self.quieten();
        }
    }

    /// Whether there is nothing to sweep.
    #[must_use]
    pub fn is_swept(&self) -> bool {
        let left = &self.removal;
        let settled = left.endpoints.is_none() && left.notifications.is_none() && left.scans == 0;
        settled && left.line.is_empty() && self.forest.dying().is_none()
    }
}
