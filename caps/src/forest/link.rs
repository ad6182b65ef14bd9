//! The two kinds of list that slots form: the children of a parent, and the bindings of an address space. Both
//! are doubly linked and grow at the front.

use crate::{SlotRef, Slots};

/// Makes `child` the youngest child of `parent`.
pub(super) fn adopt(slots: &mut impl Slots, parent: SlotRef, child: SlotRef) {
    let depth = slots.slot(parent).depth.saturating_add(1);
    let older = slots.slot_mut(parent).first_child.replace(child);
    if let Some(older) = older {
        slots.slot_mut(older).previous = Some(child);
    }
    let slot = slots.slot_mut(child);
    slot.parent = Some(parent);
    slot.next = older;
    slot.previous = None;
    slot.depth = depth;
}

/// Takes a slot without children out of its parent's list.
pub(super) fn orphan(slots: &mut impl Slots, child: SlotRef) {
    let links = slots.slot(child).links();
    if let Some(next) = links.next {
        slots.slot_mut(next).previous = links.previous;
    }
    match (links.previous, links.parent) {
        (Some(previous), _) => slots.slot_mut(previous).next = links.next,
        (None, Some(parent)) => slots.slot_mut(parent).first_child = links.next,
        (None, None) => {}
    }
}

/// Puts a binding at the front of the list of the space whose first capability is in `space`.
pub(super) fn attach(slots: &mut impl Slots, space: SlotRef, binding: SlotRef) {
    let next = slots.slot_mut(space).bound_next.replace(binding);
    if let Some(next) = next {
        slots.slot_mut(next).bound_previous = Some(binding);
    }
    let slot = slots.slot_mut(binding);
    slot.bound_next = next;
    slot.bound_previous = Some(space);
}

/// Takes a binding out of its space's list.
pub(super) fn detach(slots: &mut impl Slots, binding: SlotRef) {
    let links = slots.slot(binding).links();
    if let Some(next) = links.bound_next {
        slots.slot_mut(next).bound_previous = links.bound_previous;
    }
    if let Some(previous) = links.bound_previous {
        slots.slot_mut(previous).bound_next = links.bound_next;
    }
}

/// Puts the contents of `source`, which has no children, into `dest` and lets the neighbours know; `source` is
/// emptied by the caller.
pub(super) fn relocate(slots: &mut impl Slots, source: SlotRef, dest: SlotRef) {
    let moved = slots.slot(source).clone();
    let links = moved.links();
    let generation = slots.slot(dest).generation;
    *slots.slot_mut(dest) = moved;
    slots.slot_mut(dest).generation = generation;
    if let Some(next) = links.next {
        slots.slot_mut(next).previous = Some(dest);
    }
    match (links.previous, links.parent) {
        (Some(previous), _) => slots.slot_mut(previous).next = Some(dest),
        (None, Some(parent)) => slots.slot_mut(parent).first_child = Some(dest),
        (None, None) => {}
    }
    if let Some(next) = links.bound_next {
        slots.slot_mut(next).bound_previous = Some(dest);
    }
    if let Some(previous) = links.bound_previous {
        slots.slot_mut(previous).bound_next = Some(dest);
    }
}
