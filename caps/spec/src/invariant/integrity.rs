//! I5, I8 and I9: an operation touches what it names and nothing else, and what left a slot does not come back to it.

use std::collections::BTreeSet;
use std::ops::Range;

use caps::{Capability, Generation, Slot, SlotRef, State, Table};

use crate::model::covers;
use crate::operation::{Answer, Operation};
use crate::subject::Subject;
use crate::transition::Transition;

/// I5: a slot's generation rises by one exactly when a capability leaves the slot, and changes otherwise only when its
/// memory is cleared, which nothing is stored in then; and a retired slot stays free.
pub fn no_resurrection(transition: &Transition<'_>) -> Result<(), String> {
    let Transition { before, after, seen, .. } = *transition;
    let cleared = cleared(transition);
    for &at in after.memory.journal() {
        let (old, new) = (before.memory.peek(at), after.memory.peek(at));
        let expected = match (cleared.contains(&at.address()), seen.gone.contains(&at)) {
            (true, _) => Generation(0),
            (false, true) => old.generation().next(),
            (false, false) => old.generation(),
        };
        if new.generation() != expected {
            return Err(format!("{at:?} went from {:?} to {:?}", old.generation(), new.generation()));
        }
        if new.is_retired() && !new.is_free() {
            return Err(format!("{at:?} is retired and in use"));
        }
    }
    Ok(())
}

/// I8: what a slot says (its capability, its marks, how much of its memory is used) changes only if the operation names
/// the slot, or empties it; the header of a table changes only by its table's fall. Conversely what an operation names
/// as a destination holds something afterwards.
pub fn touches_what_it_names(transition: &Transition<'_>) -> Result<(), String> {
    let Transition { before, after, operation, seen, .. } = *transition;
    if seen.outcome.is_err() {
        return Ok(());
    }
    let (named, cleared) = (may_change(before, operation), cleared(transition));
    for at in after.memory.journal() {
        let (old, new) = (before.memory.peek(*at), after.memory.peek(*at));
        let header = [old, new].iter().any(|slot| slot.state().contains(State::DYING)) && new.is_free();
        let allowed =
            named.contains(at) || seen.gone.contains(at) || cleared.contains(&at.address()) || header;
        if !allowed && saying(old) != saying(new) {
            return Err(format!("{} changed {at:?} from {old:?} to {new:?}", operation.name()));
        }
    }
    match operation.destination() {
        Some(dest) if after.memory.peek(dest).is_free() => Err(format!("nothing came to {dest:?}")),
        _ => Ok(()),
    }
}

/// I9, the model's part: what a lookup finds lies in the table that was asked, at the index and generation of the
/// handle; and it is what is there. A destination that is found vacant likewise.
pub fn found_where_asked(transition: &Transition<'_>) -> Result<(), String> {
    let (table, handle, index) = match *transition.operation {
        Operation::Lookup { table, handle, .. } | Operation::Locate { table, handle } => {
            (table, Some(handle), handle.index().0)
        }
        Operation::Vacant { table, index } => (table, None, index),
        _ => return Ok(()),
    };
    let within = |at: SlotRef| covers(Some(table), at) && table.first.offset(index) == Some(at);
    let fine = match transition.seen.outcome {
        Ok(Answer::Found(at, says)) => {
            let slot = transition.before.memory.peek(at);
            let fresh = handle.is_some_and(|handle| handle.generation() == slot.generation());
            within(at) && fresh && slot.capability() == Some(says)
        }
        Ok(Answer::Slot(at)) => within(at) && transition.before.memory.peek(at).is_free(),
        Ok(_) => false,
        Err(_) => true,
    };
    if fine { Ok(()) } else { Err(format!("{:?} -> {:?}", transition.operation, transition.seen.outcome)) }
}

/// What a slot says, but for its place in lists.
fn saying(slot: &Slot) -> (Option<Capability>, State, Option<u64>) {
    (slot.capability(), slot.state(), slot.watermark())
}

/// The slots of which an operation may change what they say: those that it names, but not what it derives from; and the
/// first capability of memory that it takes from or gives back.
fn may_change(before: &Subject, operation: &Operation) -> BTreeSet<SlotRef> {
    let first = |at: SlotRef| before.forest.first_of(&before.memory, at);
    let slots = match *operation {
        Operation::Derive { dest, .. } | Operation::Bind { dest, .. } => vec![dest],
        Operation::Retype { untyped, dest, .. } => vec![dest, first(untyped)],
        Operation::ResetBegin { untyped }
        | Operation::ResetStep { untyped, .. }
        | Operation::ResetCleared { untyped, .. } => vec![untyped, first(untyped)],
        Operation::Replace { .. } => vec![],
        _ => operation.named(),
    };
    slots.into_iter().collect()
}

/// The addresses that an operation said were cleared.
pub(super) fn cleared(transition: &Transition<'_>) -> Range<u64> {
    match (*transition.operation, transition.seen.outcome) {
        (Operation::ResetCleared { untyped, bytes }, Ok(_)) => {
            let before = transition.before;
            let slot = before.memory.peek(before.forest.first_of(&before.memory, untyped));
            let start = slot.capability().map_or(0, |says| says.object);
            let end = start + slot.watermark().unwrap_or(0);
            end - bytes..end
        }
        _ => 0..0,
    }
}

/// All tables: those that are fixed, those of first capabilities, and those that are being swept.
pub(super) fn tables(subject: &Subject, fixed: &[Table]) -> Vec<Table> {
    let mut tables: Vec<Table> = fixed.to_vec();
    let firsts = subject.memory.occupied().filter(|(_, slot)| slot.is_first());
    tables.extend(firsts.filter_map(|(_, slot)| slot.capability().and_then(|says| says.table())));
    let mut next = subject.forest.dying();
    while let Some(header) = next {
        let slot = subject.memory.peek(header);
        tables.push(Table { first: header, count: slot.swept().1 });
        next = slot.links().next.filter(|_| tables.len() < 10_000);
    }
    tables
}
