//! How capabilities go: revoke, delete, and the sweep of tables that fell with their object.
//!
//! Removal takes one leaf at a time, so there is no recursion and nothing to remember between steps but marks in
//! the slots. When the first capability of an object with a table goes, the table joins a list of dying tables,
//! linked through the headers; sweeping it removes what each of its slots holds, with all that derives from it,
//! which may add further tables to the list. That a table lies in itself or in another dying one needs no special
//! care. No operation answers *done* while a table is left on the list, whoever put it there: so nothing that
//! fell is left anywhere when somebody is told so, and no memory is reused under a sweep. The one exception is the
//! deletion of a capability that takes nothing along, which is over at once.

use super::{Forest, link};
use crate::bounds::{EFFECTS_PER_REMOVAL, SWEPT_SLOTS};
use crate::effect::{Effect, Effects, Step};
use crate::slot::State;
use crate::{Capability, Error, Kind, SlotRef, Slots};

/// What one step may still do.
pub(super) struct Work<'a> {
    left: u32,
    effects: &'a mut Effects,
}

impl<'a> Work<'a> {
    pub(super) fn new(budget: u32, effects: &'a mut Effects) -> Self {
        Self { left: budget, effects }
    }

    /// Takes one unit of work, if there is one and its effects would fit.
    fn take(&mut self) -> bool {
        let room = self.effects.capacity() - self.effects.len();
        if self.left == 0 || room < EFFECTS_PER_REMOVAL {
            return false;
        }
        self.left -= 1;
        true
    }
}

impl Forest {
    /// Marks a capability whose descendants are to go. From now on no lookup below it succeeds and nothing is
    /// derived from it. Marking twice is marking once. `EmptySlot`, `Locked`.
    pub fn mark_revoking(&mut self, slots: &mut impl Slots, root: SlotRef) -> Result<(), Error> {
        self.mark(slots, root, State::REVOKING)
    }

    /// Removes descendants of `root`, which stays. Marks it first, if that was not done. Each unit of budget
    /// removes one capability or passes [`SWEPT_SLOTS`] free slots of a dying table, and touches no more than the depth
    /// bound and a few neighbours of slots besides. The effects are to be carried out whether or not more is to do; the step also
    /// ends when `effects` is full. `EmptySlot`, `Locked`.
    pub fn revoke_step(
        &mut self,
        slots: &mut impl Slots,
        root: SlotRef,
        budget: u32,
        effects: &mut Effects,
    ) -> Result<Step, Error> {
        self.mark_revoking(slots, root)?;
        let mut work = Work::new(budget, effects);
        if self.clear_below(slots, root, &mut work) == Step::More {
            return Ok(Step::More);
        }
        self.unmark(slots, root, State::REVOKING);
        Ok(Step::Done)
    }

    /// Removes a capability and all that derives from it, and if it is its object's first, all that is stored in
    /// the object. Marks it first. The capability itself goes last, so that its handle names the operation until
    /// that is done, unless it falls on the way: with its own table, or with what another removal takes. Then the
    /// handle is stale and `sweep_step` does the rest. `EmptySlot`, `Locked`.
    pub fn delete_step(
        &mut self,
        slots: &mut impl Slots,
        at: SlotRef,
        budget: u32,
        effects: &mut Effects,
    ) -> Result<Step, Error> {
        let alone = is_alone(slots, at);
        self.mark(slots, at, State::DELETING)?;
        let mut work = Work::new(budget, effects);
        if alone && work.take() {
            self.remove(slots, at, work.effects);
            return Ok(Step::Done);
        }
        while has_dependants(slots, at) {
            if !work.take() {
                return Ok(Step::More);
            }
            self.remove_leaf(slots, at, work.effects);
        }
        self.enlist(slots, at);
        if self.sweep(slots, &mut work) == Step::More {
            return Ok(Step::More);
        }
        if slots.slot(at).state.contains(State::DELETING) {
            if !work.take() {
                return Ok(Step::More);
            }
            self.remove(slots, at, work.effects);
        }
        Ok(Step::Done)
    }

    /// Sweeps dying tables, on behalf of nobody: for idle time, and after an operation destroyed the very table
    /// that its handle was in.
    pub fn sweep_step(&mut self, slots: &mut impl Slots, budget: u32, effects: &mut Effects) -> Step {
        self.sweep(slots, &mut Work::new(budget, effects))
    }

    /// Removes all below `root`, and all that falls with it.
    pub(super) fn clear_below(&mut self, slots: &mut impl Slots, root: SlotRef, work: &mut Work<'_>) -> Step {
        while slots.slot(root).first_child.is_some() {
            if !work.take() {
                return Step::More;
            }
            self.remove_leaf(slots, root, work.effects);
        }
        self.sweep(slots, work)
    }

    /// Empties the dying tables, slot by slot.
    fn sweep(&mut self, slots: &mut impl Slots, work: &mut Work<'_>) -> Step {
        while let Some(header) = self.dying {
            if !work.take() {
                return Step::More;
            }
            let (position, count) = slots.slot(header).swept();
            let end = count.min(position.saturating_add(SWEPT_SLOTS));
            let is_free = |index: &u32| header.offset(*index).is_some_and(|at| slots.slot(at).is_free());
            let free = (position..end).take_while(is_free).count();
            if free > 0 {
                slots.slot_mut(header).word += free as u64;
                continue;
            }
            match header.offset(position).filter(|_| position < count) {
                Some(at) => self.remove_leaf(slots, at, work.effects),
                None => {
                    // The header keeps saying that the table is dying, until its memory is cleared: the
                    // object's capability may still be there, but nothing must be put into its table.
                    self.dying = slots.slot_mut(header).next.take();
                }
            }
        }
        Step::Done
    }

    /// Removes one capability on which nothing depends, at `top` or among what depends on it.
    fn remove_leaf(&mut self, slots: &mut impl Slots, top: SlotRef, effects: &mut Effects) {
        let mut leaf = top;
        while let Some(below) = dependant(slots, leaf) {
            leaf = below;
        }
        self.remove(slots, leaf, effects);
    }

    /// Removes a capability on which nothing depends.
    fn remove(&mut self, slots: &mut impl Slots, at: SlotRef, effects: &mut Effects) {
        let slot = slots.slot(at);
        let (state, parent) = (slot.state, slot.parent);
        let Some(capability) = slot.capability() else { return };
        self.enlist(slots, at);
        for mark in [State::REVOKING, State::DELETING] {
            self.unmark(slots, at, mark);
        }
        link::orphan(slots, at);
        if capability.kind == Kind::Binding {
            link::detach(slots, at);
        }
        slots.slot_mut(at).empty();

        let minted = parent.and_then(|parent| slots.slot(parent).capability()).map_or(0, |above| above.badge);
        let effect = effect_of(&capability, state, minted);
        let lost = state.contains(State::WATCHED).then_some(Effect::Lost { slot: at, capability });
        for effect in [effect, lost].into_iter().flatten() {
            // There is room: a unit of work is only taken if there is.
            let _ = effects.push(effect);
        }
    }

    /// Puts the table of an object whose first capability is going on the list of dying tables, once.
    fn enlist(&mut self, slots: &mut impl Slots, at: SlotRef) {
        let slot = slots.slot(at);
        if !slot.is_first() || slot.state.contains(State::ENLISTED) {
            return;
        }
        let Some(table) = slot.capability().and_then(|capability| capability.table()) else { return };
        slots.slot_mut(at).state.insert(State::ENLISTED);
        let header = slots.slot_mut(table.first);
        header.state = State::DYING;
        header.size = u64::from(table.count);
        header.word = 1;
        header.next = self.dying.replace(table.first);
    }

    fn mark(&mut self, slots: &mut impl Slots, at: SlotRef, mark: State) -> Result<(), Error> {
        let slot = slots.slot_mut(at);
        if slot.is_free() {
            return Err(Error::EmptySlot);
        }
        if slot.state.contains(State::LOCKED) {
            return Err(Error::Locked);
        }
        if !slot.state.contains(mark) {
            slot.state.insert(mark);
            self.marks += 1;
        }
        Ok(())
    }

    pub(super) fn unmark(&mut self, slots: &mut impl Slots, at: SlotRef, mark: State) {
        let slot = slots.slot_mut(at);
        if slot.state.contains(mark) {
            slot.state.remove(mark);
            self.marks -= 1;
        }
    }
}

/// Something that must go before this does: a child, or a binding of this space.
fn dependant(slots: &impl Slots, at: SlotRef) -> Option<SlotRef> {
    let slot = slots.slot(at);
    let bound = if slot.kind == Kind::AddressSpace { slot.bound_next } else { None };
    slot.first_child.or(bound)
}

/// Whether nothing falls with this, nor is still falling on its account. Never said of what memory is made of: whoever
/// takes an Untyped away must know that no table in it is being swept.
fn is_alone(slots: &impl Slots, at: SlotRef) -> bool {
    let slot = slots.slot(at);
    let holds_others = slot.kind == Kind::Untyped
        || slot.capability().is_some_and(|capability| capability.table().is_some());
    let begun = slot.state.intersects(State::REVOKING | State::DELETING);
    !(begun || has_dependants(slots, at) || slot.is_first() && holds_others)
}

fn has_dependants(slots: &impl Slots, at: SlotRef) -> bool {
    dependant(slots, at).is_some()
}

/// What the kernel must do when this goes; `above` is the badge of its parent.
fn effect_of(capability: &Capability, state: State, above: u64) -> Option<Effect> {
    let Capability { kind, object, size, badge, space, number, .. } = *capability;
    if kind == Kind::Binding {
        return Some(Effect::Unbind { space, number, object, size });
    }
    if !state.contains(State::COPY) {
        return Some(Effect::Destroy { kind, object, size, badge });
    }
    (kind.is_mintable() && badge != above).then_some(Effect::Unbadge { object, badge })
}
