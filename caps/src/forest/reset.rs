//! How memory returns to its Untyped: remove what was made of it, clear what was used, begin anew.

use super::Forest;
use super::remove::Work;
use crate::effect::{Effects, Step};
use crate::slot::State;
use crate::{Error, Kind, SlotRef, Slots};

/// A range of memory that was used and is not cleared yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Used {
    /// The first byte.
    pub start: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// What comes next in a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Reset {
    /// Capabilities are left: call [`Forest::reset_step`] again. (If the Untyped was stored in what fell with its own
    /// reset, that answers `EmptySlot`.)
    Removing,
    /// Nothing lives in this range any more. Clear some of it *from its end* and say so by
    /// [`Forest::reset_cleared`], after every core has acknowledged that it left the objects that were there.
    Clear(Used),
    /// The Untyped is as new.
    Done,
}

impl Forest {
    /// Begins to take back all memory of an Untyped. Until it is done nothing is retyped from that memory.
    /// Beginning twice is beginning once.
    ///
    /// By a copy this can be done only if nothing was made through other capabilities, since all of them share
    /// the memory. Errors, in the order of the checks: `EmptySlot`, `Locked`, `WrongKind`, `BeingRevoked` (it
    /// derives from one that is), `Busy` (it is a copy, and others used the memory too).
    pub fn reset_begin(&mut self, slots: &mut impl Slots, untyped: SlotRef) -> Result<(), Error> {
        let first = self.check_reset(slots, untyped)?;
        slots.slot_mut(first).state.insert(State::RESETTING);
        self.mark_revoking(slots, untyped)
    }

    /// Whether [`Forest::reset_begin`] would begin, or go on; answers with the Untyped's first capability.
    pub fn check_reset(&self, slots: &impl Slots, untyped: SlotRef) -> Result<SlotRef, Error> {
        let slot = slots.slot(untyped);
        if slot.is_free() {
            return Err(Error::EmptySlot);
        }
        if slot.state.contains(State::LOCKED) {
            return Err(Error::Locked);
        }
        if slot.kind != Kind::Untyped {
            return Err(Error::WrongKind);
        }
        if self.is_doomed(slots, untyped) {
            return Err(Error::BeingRevoked);
        }
        self.check_only_user(slots, untyped)
    }

    /// Goes on with a reset: removes what was made of the memory, as `revoke_step` does, and then says what is to
    /// be cleared. `EmptySlot`, `WrongKind`, `Busy`, `WrongState` (no reset was begun here).
    pub fn reset_step(
        &mut self,
        slots: &mut impl Slots,
        untyped: SlotRef,
        budget: u32,
        effects: &mut Effects,
    ) -> Result<Reset, Error> {
        let first = self.check_resetting(slots, untyped)?;
        if self.clear_below(slots, untyped, &mut Work::new(budget, effects)) == Step::More {
            return Ok(Reset::Removing);
        }
        if slots.slot(untyped).is_free() {
            // It was stored in what was made of it, and went too: there is nothing to go on with.
            return Ok(Reset::Removing);
        }
        Ok(self.finish(slots, untyped, first))
    }

    /// Records that the last `bytes` of the range were cleared, and says what is next. `BadSize` if that is more
    /// than the range, `WrongState` while capabilities are left, and the errors of `reset_step`.
    pub fn reset_cleared(
        &mut self,
        slots: &mut impl Slots,
        untyped: SlotRef,
        bytes: u64,
    ) -> Result<Reset, Error> {
        let first = self.check_resetting(slots, untyped)?;
        if slots.slot(untyped).first_child.is_some() || self.dying.is_some() {
            return Err(Error::WrongState);
        }
        let slot = slots.slot_mut(first);
        slot.word = slot.word.checked_sub(bytes).ok_or(Error::BadSize)?;
        Ok(self.finish(slots, untyped, first))
    }

    /// The first capability of an Untyped that is being reset through `untyped`.
    fn check_resetting(&self, slots: &impl Slots, untyped: SlotRef) -> Result<SlotRef, Error> {
        let slot = slots.slot(untyped);
        if slot.is_free() {
            return Err(Error::EmptySlot);
        }
        if slot.kind != Kind::Untyped {
            return Err(Error::WrongKind);
        }
        let marked = slot.state.contains(State::REVOKING);
        let first = self.check_only_user(slots, untyped)?;
        let begun = marked && slots.slot(first).state.contains(State::RESETTING);
        if begun { Ok(first) } else { Err(Error::WrongState) }
    }

    /// The first capability of the Untyped, if nobody uses the memory but through `untyped`.
    fn check_only_user(&self, slots: &impl Slots, untyped: SlotRef) -> Result<SlotRef, Error> {
        let mut at = untyped;
        while slots.slot(at).state.contains(State::COPY) {
            let Some(parent) = slots.slot(at).parent else { break };
            if slots.slot(parent).first_child != Some(at) || slots.slot(at).next.is_some() {
                return Err(Error::Busy);
            }
            at = parent;
        }
        Ok(at)
    }

    /// Ends the reset if nothing is left to clear.
    fn finish(&mut self, slots: &mut impl Slots, untyped: SlotRef, first: SlotRef) -> Reset {
        let slot = slots.slot_mut(first);
        if slot.word > 0 {
            return Reset::Clear(Used { start: slot.object, bytes: slot.word });
        }
        slot.state.remove(State::RESETTING);
        self.unmark(slots, untyped, State::REVOKING);
        Reset::Done
    }
}
