//! The derivation forest: who derives from whom, and the operations that change it.
//!
//! Reading order: this file (state, roots, questions), `grow` (derive, retype, bind), `pass` (move, lock),
//! `remove` (revoke, delete, the sweep of dying tables), `reset` (memory back to its Untyped).
//!
//! Three relations tie capabilities together, and removal follows all three: *derived from* (parent and
//! children), *stored in* (the slots of a CSpace, or those that a Thread or Guest begins with, fall with its first
//! capability) and *bound to* (a binding falls with the first capability of its address space, as well as with
//! its region).
//!
//! What grows or passes the tree on comes in two parts: `check_...` may refuse, changes nothing, and answers with what is
//! to be done as a value; the operation takes that value and cannot fail.

mod grow;
mod link;
mod pass;
mod remove;
mod reset;
#[cfg(test)]
mod tests;

pub use grow::{Change, Child, Origin};
pub use pass::{InFlight, Passage};
pub use reset::{Reset, Used};

use crate::bounds::{MAX_MEMORY, PAGE};
use crate::slot::State;
use crate::table::check_vacant;
use crate::{Capability, Error, Kind, Slot, SlotRef, Slots};

/// The state of one forest that is not in its slots. All bytes zero is an empty forest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Forest {
    /// How many slots are marked as being revoked or deleted.
    marks: u32,
    /// The header of the dying table to sweep next; the headers form a list.
    dying: Option<SlotRef>,
}

impl Forest {
    /// An empty forest.
    #[must_use]
    pub const fn new() -> Self {
        Self { marks: 0, dying: None }
    }

    /// Whether anything is being removed, so that lookups must look closer.
    #[must_use]
    #[inline]
    pub fn is_removing(&self) -> bool {
        self.marks > 0 || self.dying.is_some()
    }

    /// How many slots are marked as being revoked or deleted; for audits.
    #[must_use]
    pub fn marks(&self) -> u32 {
        self.marks
    }

    /// The header of the dying table that is swept next; for audits.
    #[must_use]
    pub fn dying(&self) -> Option<SlotRef> {
        self.dying
    }

    /// Puts a root there: authority that derives from nothing. Only boot and the ledger do this. Errors:
    /// `InvalidArgument` (no kind, or a Binding), `BadSize` (its table would not be one), `BadRange` (memory that
    /// is empty, not made of pages, begins at 0 or lies beyond [`MAX_MEMORY`]), `SlotOccupied`, `SlotRetired`.
    pub fn plant(
        &mut self,
        slots: &mut impl Slots,
        dest: SlotRef,
        capability: Capability,
    ) -> Result<(), Error> {
        if matches!(capability.kind, Kind::Empty | Kind::Binding) {
            return Err(Error::InvalidArgument);
        }
        grow::check_table(&capability)?;
        check_memory(&capability)?;
        check_vacant(slots, dest)?;
        slots.slot_mut(dest).fill(capability, State::empty());
        Ok(())
    }

    /// Asks to hear of it, by [`Effect::Lost`](crate::Effect::Lost), when this capability is removed. The wish
    /// belongs to the slot: it ends when the capability leaves it, in whatever way. `EmptySlot`.
    pub fn watch(&mut self, slots: &mut impl Slots, at: SlotRef) -> Result<(), Error> {
        let slot = slots.slot_mut(at);
        if slot.is_free() {
            return Err(Error::EmptySlot);
        }
        slot.state.insert(State::WATCHED);
        Ok(())
    }

    /// Where the first capability is of the object that this one refers to. (A CSpace's copies lead to the one
    /// that retype made, and so on.) Takes no more than the depth bound.
    #[must_use]
    pub fn first_of(&self, slots: &impl Slots, at: SlotRef) -> SlotRef {
        let mut at = at;
        while slots.slot(at).state.contains(State::COPY) {
            match slots.slot(at).parent {
                Some(parent) => at = parent,
                None => break,
            }
        }
        at
    }

    /// Whether the capability is being removed: marked itself, or below a marked one.
    #[must_use]
    pub fn is_doomed(&self, slots: &impl Slots, at: SlotRef) -> bool {
        if self.marks == 0 {
            return false;
        }
        if slots.slot(at).state.contains(State::DELETING) {
            return true;
        }
        let mut above = slots.slot(at).parent;
        while let Some(ancestor) = above {
            let slot = slots.slot(ancestor);
            if slot.state.intersects(State::DELETING | State::REVOKING) {
                return true;
            }
            above = slot.parent;
        }
        false
    }

    /// Whether the capability there may have children: present, not going, not in flight.
    fn check_parent(&self, slots: &impl Slots, at: SlotRef) -> Result<Capability, Error> {
        let slot = slots.slot(at);
        let capability = slot.capability().ok_or(Error::EmptySlot)?;
        if slot.state.contains(State::REVOKING) || self.is_doomed(slots, at) {
            return Err(Error::BeingRevoked);
        }
        if slot.state.contains(State::LOCKED) {
            return Err(Error::Locked);
        }
        Ok(capability)
    }
}

/// Whether planted memory is such that objects can be made of it.
fn check_memory(capability: &Capability) -> Result<(), Error> {
    let Capability { kind, object, size, .. } = *capability;
    let is_memory = matches!(kind, Kind::Untyped | Kind::Region);
    let pages = object.is_multiple_of(PAGE) && size.is_multiple_of(PAGE);
    let inside = object != 0 && object.checked_add(size).is_some_and(|end| end <= MAX_MEMORY);
    if is_memory && !(pages && size != 0 && inside) {
        return Err(Error::BadRange);
    }
    let has_table = kind == Kind::CSpace || kind.embedded_slots() > 0;
    if has_table && (!object.is_multiple_of(Slot::SIZE) || object == 0 || object >= MAX_MEMORY) {
        return Err(Error::BadRange);
    }
    Ok(())
}
