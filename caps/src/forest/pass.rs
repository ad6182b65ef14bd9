//! How a capability is handed on: moved at once, or locked in its slot until a rendezvous completes.

use super::{Forest, link};
use crate::slot::State;
use crate::table::check_vacant;
use crate::{Capability, Error, Generation, SlotRef, Slots};

/// A capability on its way: where it waits, and the slot's generation when it was locked. Not authority: if the
/// capability was removed meanwhile, the ticket is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InFlight {
    /// The slot in which it waits.
    pub slot: SlotRef,
    /// The slot's generation.
    pub generation: Generation,
}

/// A move that may be made: everything was checked. [`Forest::pass`] makes it. It is void as soon as anything else has
/// changed the forest.
#[derive(Debug)]
#[must_use]
pub struct Passage {
    source: SlotRef,
    dest: SlotRef,
    capability: Capability,
}

impl Passage {
    /// Where the capability is, and where it is going to be.
    #[must_use]
    pub const fn ends(&self) -> (SlotRef, SlotRef) {
        (self.source, self.dest)
    }
}

impl Forest {
    /// Moves a capability to another slot; its place in the forest stays. The source slot grows a generation.
    ///
    /// What has children does not move, so that a move takes constant time: derive first, hand on the copy.
    /// Errors, in the order of the checks: `EmptySlot`, `BeingRevoked`, `Locked`, `Busy` (it has children, or
    /// is an Untyped being reset), `SlotOccupied`, `SlotRetired`.
    pub fn check_move(&self, slots: &impl Slots, source: SlotRef, dest: SlotRef) -> Result<Passage, Error> {
        let capability = self.check_movable(slots, source)?;
        check_vacant(slots, dest)?;
        Ok(Passage { source, dest, capability })
    }

    /// Makes a move that was checked.
    pub fn pass(&mut self, slots: &mut impl Slots, passage: Passage) -> Capability {
        put(slots, passage.source, passage.dest);
        passage.capability
    }

    /// Locks a capability in its slot: it is in flight, and until it lands or is unlocked nobody can use it.
    /// `EmptySlot`, `BeingRevoked`, `Locked`, `Busy`.
    pub fn lock(&mut self, slots: &mut impl Slots, source: SlotRef) -> Result<InFlight, Error> {
        self.check_movable(slots, source)?;
        let slot = slots.slot_mut(source);
        slot.state.insert(State::LOCKED);
        Ok(InFlight { slot: source, generation: slot.generation })
    }

    /// Ends a flight where it began. A void ticket is ignored.
    pub fn unlock(&mut self, slots: &mut impl Slots, ticket: InFlight) {
        if is_waiting(slots, ticket) {
            slots.slot_mut(ticket.slot).state.remove(State::LOCKED);
        }
    }

    /// Ends a flight in another slot. The capability stays locked in its source slot if this fails, but for a
    /// void ticket. Errors, in the order of the checks: `Cancelled` (it was removed on the way), `BeingRevoked`,
    /// `SlotOccupied`, `SlotRetired`.
    pub fn land(
        &mut self,
        slots: &mut impl Slots,
        ticket: InFlight,
        dest: SlotRef,
    ) -> Result<Capability, Error> {
        if !is_waiting(slots, ticket) {
            return Err(Error::Cancelled);
        }
        if self.is_doomed(slots, ticket.slot) {
            return Err(Error::BeingRevoked);
        }
        check_vacant(slots, dest)?;
        put(slots, ticket.slot, dest);
        slots.slot_mut(dest).state.remove(State::LOCKED);
        slots.slot(dest).capability().ok_or(Error::Cancelled)
    }

    /// Whether a capability can be handed on.
    fn check_movable(&self, slots: &impl Slots, at: SlotRef) -> Result<Capability, Error> {
        let capability = self.check_parent(slots, at)?;
        let slot = slots.slot(at);
        if slot.first_child.is_some() || slot.state.contains(State::RESETTING) {
            return Err(Error::Busy);
        }
        Ok(capability)
    }
}

/// Whether the ticket's capability is still where it was locked.
fn is_waiting(slots: &impl Slots, ticket: InFlight) -> bool {
    let slot = slots.slot(ticket.slot);
    slot.generation == ticket.generation && slot.state.contains(State::LOCKED)
}

/// Moves without checks.
fn put(slots: &mut impl Slots, source: SlotRef, dest: SlotRef) {
    link::relocate(slots, source, dest);
    slots.slot_mut(dest).state.remove(State::WATCHED);
    slots.slot_mut(source).empty();
}
