//! A run of slots, and how a handle finds a capability in it.

use crate::slot::State;
use crate::{Capability, Error, Forest, Generation, Handle, Kind, Rights, Slot, SlotIndex, SlotRef, Slots};

/// A run of slots that handles index. Slot 0 is the header: it never holds a capability, and while the table is
/// being swept it says how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Table {
    /// The header.
    pub first: SlotRef,
    /// How many slots, the header included.
    pub count: u32,
}

/// What a lookup found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where the capability is.
    pub slot: SlotRef,
    /// How often the slot had been emptied.
    pub generation: Generation,
    /// What the capability says.
    pub capability: Capability,
}

impl Table {
    /// The slot with this index; `OutOfRange` for the header and beyond the end.
    #[inline]
    pub fn at(&self, index: SlotIndex) -> Result<SlotRef, Error> {
        if index.0 == 0 || index.0 >= self.count {
            return Err(Error::OutOfRange);
        }
        self.first.offset(index.0).ok_or(Error::OutOfRange)
    }

    /// The slot with this index, if a capability can be put there. Errors, in the order of the checks:
    /// `OutOfRange`, `BeingRevoked` (the table itself is going), `SlotOccupied`, `SlotRetired`.
    #[inline]
    pub fn vacant(&self, slots: &impl Slots, index: SlotIndex) -> Result<SlotRef, Error> {
        let at = self.at(index)?;
        if self.is_dying(slots) {
            return Err(Error::BeingRevoked);
        }
        check_vacant(slots, at)?;
        Ok(at)
    }

    /// Whether the table's object is going and its slots are being emptied.
    #[must_use]
    #[inline]
    pub fn is_dying(&self, slots: &impl Slots) -> bool {
        slots.slot(self.first).state.contains(State::DYING)
    }
}

/// Whether a capability can be put there.
#[inline]
pub(crate) fn check_vacant(slots: &impl Slots, at: SlotRef) -> Result<(), Error> {
    let slot = slots.slot(at);
    if !slot.is_free() || slot.state.contains(State::DYING) {
        Err(Error::SlotOccupied)
    } else if slot.is_retired() {
        Err(Error::SlotRetired)
    } else {
        Ok(())
    }
}

impl Forest {
    /// Finds a capability that is to be used. The checks, in this order, each with its own error: `OutOfRange`,
    /// `EmptySlot`, `StaleHandle`, `BeingRevoked`, `Locked`, `WrongKind`, `MissingRight`.
    ///
    /// Takes constant time, unless something is being removed: then it also looks at the header of the table
    /// and at no more than [`MAX_DEPTH`](crate::bounds::MAX_DEPTH) parents.
    #[inline(always)]
    pub fn lookup(
        &self,
        slots: &impl Slots,
        table: Table,
        handle: Handle,
        kind: Kind,
        rights: Rights,
    ) -> Result<Found, Error> {
        let (at, slot) = self.find_usable(slots, table, handle)?;
        if slot.kind != kind {
            return Err(Error::WrongKind);
        }
        if !slot.rights.contains(rights) {
            return Err(Error::MissingRight);
        }
        found(at, slot)
    }

    /// Finds a capability of any kind that is to be used, with any rights: the first five checks of
    /// [`Self::lookup`].
    #[inline(always)]
    pub fn lookup_any(&self, slots: &impl Slots, table: Table, handle: Handle) -> Result<Found, Error> {
        let (at, slot) = self.find_usable(slots, table, handle)?;
        found(at, slot)
    }

    /// Present, fresh, not going, not in flight.
    #[inline(always)]
    fn find_usable<'s>(
        &self,
        slots: &'s impl Slots,
        table: Table,
        handle: Handle,
    ) -> Result<(SlotRef, &'s Slot), Error> {
        let (at, slot) = find(slots, table, handle)?;
        if self.is_removing() && self.is_cut(slots, table, at) {
            return Err(Error::BeingRevoked);
        }
        if slot.state.contains(State::LOCKED) {
            return Err(Error::Locked);
        }
        Ok((at, slot))
    }

    /// Whether a removal that is under way has cut this capability off already.
    #[cold]
    fn is_cut(&self, slots: &impl Slots, table: Table, at: SlotRef) -> bool {
        table.is_dying(slots) || self.is_doomed(slots, at)
    }

    /// Finds a capability that is to be revoked, reset or deleted, or to have that continued, so it may be
    /// going already: `OutOfRange`, `EmptySlot`, `StaleHandle`, `Locked`.
    pub fn locate(&self, slots: &impl Slots, table: Table, handle: Handle) -> Result<Found, Error> {
        let (at, slot) = find(slots, table, handle)?;
        if slot.state.contains(State::LOCKED) {
            return Err(Error::Locked);
        }
        found(at, slot)
    }
}

/// Presence and freshness.
#[inline(always)]
fn find(slots: &impl Slots, table: Table, handle: Handle) -> Result<(SlotRef, &Slot), Error> {
    let at = table.at(handle.index())?;
    let slot = slots.slot(at);
    if slot.is_free() {
        return Err(Error::EmptySlot);
    }
    if slot.generation != handle.generation() {
        return Err(Error::StaleHandle);
    }
    Ok((at, slot))
}

#[inline(always)]
fn found(at: SlotRef, slot: &Slot) -> Result<Found, Error> {
    let capability = slot.capability().ok_or(Error::EmptySlot)?;
    Ok(Found { slot: at, generation: slot.generation, capability })
}
