//! I1 to I4: the shape of the forest.

use std::collections::{BTreeMap, BTreeSet};

use caps::bounds::MAX_DEPTH;
use caps::{Generation, Kind, Slot, State, Table};

use super::integrity::tables;
use crate::model::covers;
use crate::subject::Subject;

/// I1: from every capability the parents lead to a root, all of them present, and it says of itself how many there
/// are, fewer than the bound. Conversely what says 0 is a root, and a root is the first of its object.
pub fn well_founded(subject: &Subject, _: &[Table]) -> Result<(), String> {
    for (at, slot) in subject.memory.occupied() {
        let mut depth = 0;
        let mut above = slot.links().parent;
        while let Some(parent) = above {
            depth += 1;
            if depth >= MAX_DEPTH {
                return Err(format!("{at:?} is too deep or in a cycle"));
            }
            let slot = subject.memory.peek(parent);
            if slot.is_free() {
                return Err(format!("{at:?} derives from {parent:?}, which is free"));
            }
            above = slot.links().parent;
        }
        if slot.links().depth != depth {
            return Err(format!("{at:?} is at depth {depth} and says {}", slot.links().depth));
        }
        if depth == 0 && !slot.is_first() {
            return Err(format!("{at:?} is a copy of nothing"));
        }
    }
    Ok(())
}

/// I2: a slot is in its parent's list exactly once, and the list of a slot holds exactly those that name it as
/// their parent. Previous is the inverse of next.
pub fn links_symmetric(subject: &Subject, _: &[Table]) -> Result<(), String> {
    let mut listed = BTreeSet::new();
    for (parent, slot) in subject.memory.occupied() {
        let mut previous = None;
        let mut next = slot.links().first_child;
        while let Some(child) = next {
            let links = subject.memory.peek(child).links();
            if subject.memory.peek(child).is_free() || links.parent != Some(parent) {
                return Err(format!("{parent:?} lists {child:?}, which is not its child"));
            }
            if links.previous != previous || !listed.insert(child) {
                return Err(format!("the list of {parent:?} is broken at {child:?}"));
            }
            (previous, next) = (Some(child), links.next);
        }
    }
    for (at, slot) in subject.memory.occupied() {
        let links = slot.links();
        if links.parent.is_some() != listed.contains(&at) {
            return Err(format!("{at:?} is not listed by {:?}", links.parent));
        }
        if links.parent.is_none() && (links.next.is_some() || links.previous.is_some()) {
            return Err(format!("the root {at:?} has siblings"));
        }
    }
    Ok(())
}

/// I2 for the second relation: the list of an address space's first capability holds exactly the bindings that
/// name that space, each once; other kinds have no such list, and copies neither.
pub fn bindings_listed(subject: &Subject, _: &[Table]) -> Result<(), String> {
    let mut spaces = BTreeMap::new();
    for (at, slot) in subject.memory.occupied() {
        let Some(says) = slot.capability() else { continue };
        if says.kind != Kind::AddressSpace {
            continue;
        }
        let mut listed = BTreeSet::new();
        let (mut previous, mut next) = (at, slot.links().bound_next);
        while let Some(binding) = next {
            let links = subject.memory.peek(binding).links();
            let names = subject.memory.peek(binding).capability();
            let right = names.is_some_and(|cap| cap.kind == Kind::Binding && cap.space == says.object);
            if !right || links.bound_previous != Some(previous) || !listed.insert(binding) {
                return Err(format!("the bindings of {at:?} are broken at {binding:?}"));
            }
            (previous, next) = (binding, links.bound_next);
        }
        if slot.is_first() {
            spaces.insert(says.object, listed);
        } else if !listed.is_empty() {
            return Err(format!("{at:?} is a copy and lists bindings"));
        }
    }
    for (at, slot) in subject.memory.occupied() {
        let Some(says) = slot.capability() else { continue };
        let links = slot.links();
        if says.kind == Kind::Binding {
            if !spaces.get(&says.space).is_some_and(|listed| listed.contains(&at)) {
                return Err(format!("the binding {at:?} is to a space that does not list it"));
            }
        } else if links.bound_previous.is_some()
            || (says.kind != Kind::AddressSpace && links.bound_next.is_some())
        {
            return Err(format!("{at:?} is in a list of bindings"));
        }
    }
    Ok(())
}

/// I3: a free slot is the default value but for its generation, unless it is the header of a dying table; a slot in
/// use has only the marks that its kind can have, and is not retired.
pub fn slots_canonical(subject: &Subject, _: &[Table]) -> Result<(), String> {
    for (at, slot) in subject.memory.written() {
        let state = slot.state();
        if slot.is_free() {
            let header = state == State::DYING && slot.generation() == Generation(0);
            if !header && *slot != Slot::free(slot.generation()) {
                return Err(format!("{at:?} is free and holds {slot:?}"));
            }
            continue;
        }
        let Some(says) = slot.capability() else { return Err(format!("{at:?} holds nothing")) };
        let binding = says.kind == Kind::Binding;
        let possible = !state.contains(State::DYING)
            && (!state.contains(State::RESETTING) || (says.kind == Kind::Untyped && slot.is_first()))
            && (!state.contains(State::ENLISTED) || state.contains(State::DELETING))
            && (!state.contains(State::LOCKED) || slot.links().first_child.is_none())
            && (says.number != 0) == binding
            && (says.space != 0) == binding;
        if !possible || slot.is_retired() {
            return Err(format!("{at:?} cannot be {slot:?}"));
        }
    }
    Ok(())
}

/// I3 for headers: the list of dying tables holds each of them once, and each says in its header that it is dying. A
/// table is on the list exactly if its first capability says that it was put there, as long as that is there.
pub fn dying_listed(subject: &Subject, _: &[Table]) -> Result<(), String> {
    let mut listed = BTreeSet::new();
    let mut next = subject.forest.dying();
    while let Some(header) = next {
        let slot = subject.memory.peek(header);
        if !slot.state().contains(State::DYING) || !listed.insert(header) {
            return Err(format!("the list of dying tables is broken at {header:?}"));
        }
        next = slot.links().next;
    }
    for (at, slot) in subject.memory.occupied().filter(|(_, slot)| slot.is_first()) {
        let Some(table) = slot.capability().and_then(|says| says.table()) else { continue };
        let header = subject.memory.peek(table.first);
        let dying = header.state().contains(State::DYING);
        if slot.state().contains(State::ENLISTED) != dying {
            return Err(format!("{at:?} says {:?} and its table {:?}", slot.state(), header.state()));
        }
        if dying && header.swept().1 != table.count {
            return Err(format!("the header of the table in {at:?} has another length"));
        }
    }
    Ok(())
}

/// I4: every capability is in a slot of a table that a first capability stands for, of a fixed table, or of one on
/// the list of dying tables.
pub fn housed(subject: &Subject, fixed: &[Table]) -> Result<(), String> {
    let tables = tables(subject, fixed);
    let homeless =
        subject.memory.occupied().find(|&(at, _)| !tables.iter().any(|&table| covers(Some(table), at)));
    match homeless {
        Some((at, slot)) => Err(format!("{at:?} is in no table: {slot:?}")),
        None => Ok(()),
    }
}
