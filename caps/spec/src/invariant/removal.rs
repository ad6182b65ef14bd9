//! I15 to I18, of one operation: what removal promises.

use std::collections::BTreeSet;

use caps::{Reset, SlotRef, State, Step, Table};

use super::authority::ancestors;
use super::integrity::tables;
use crate::model::covers;
use crate::operation::{Answer, Operation};
use crate::subject::Subject;
use crate::transition::Transition;

/// I15: what is being removed gets no children, is handed to nobody, and nothing lands out of it.
pub fn nothing_new_below(transition: &Transition<'_>) -> Result<(), String> {
    let used = match *transition.operation {
        Operation::Derive { parent, .. } => vec![parent],
        Operation::Retype { untyped, .. } => vec![untyped],
        Operation::Bind { region, space, .. } => vec![region, space],
        Operation::Move { source, .. } | Operation::Lock { source } => vec![source],
        Operation::Land { ticket, .. } => vec![ticket.slot],
        _ => return Ok(()),
    };
    let going = State::DELETING | State::REVOKING;
    let before = transition.before;
    let marked = |at: SlotRef| before.memory.peek(at).state().intersects(going);
    let landing = matches!(transition.operation, Operation::Land { .. });
    let doomed = |at: &SlotRef| (marked(*at) && !landing) || ancestors(before, *at).into_iter().any(marked);
    match used.into_iter().find(doomed) {
        Some(at) if transition.seen.outcome.is_ok() => {
            Err(format!("{:?} succeeded, and {at:?} is being removed", transition.operation))
        }
        _ => Ok(()),
    }
}

/// I16, at *done*: nothing is left below the root, and nothing in a table that no first capability stands for. The one
/// exception is a deletion that takes nothing along.
pub fn complete(transition: &Transition<'_>) -> Result<(), String> {
    let after = transition.after;
    let root = match *transition.operation {
        Operation::RevokeStep { root, .. } => Some(root),
        Operation::ResetStep { untyped, .. } => Some(untyped),
        Operation::DeleteStep { at, .. } if takes_nothing_along(transition.before, at) => return Ok(()),
        Operation::DeleteStep { at, .. } => Some(at),
        Operation::SweepStep { .. } => None,
        _ => return Ok(()),
    };
    let done = matches!(
        transition.seen.outcome,
        Ok(Answer::Step(Step::Done) | Answer::Reset(Reset::Clear(_) | Reset::Done))
    );
    if !done {
        return Ok(());
    }
    let below = |root: SlotRef| after.memory.occupied().find(|&(at, _)| ancestors(after, at).contains(&root));
    if let Some((at, _)) = root.and_then(below) {
        return Err(format!("done, and {at:?} is left below {root:?}"));
    }
    if after.forest.dying().is_some() {
        return Err("done, and a dying table is left".into());
    }
    Ok(())
}

/// I17: a step removes no more than its budget and touches slots no more often than is stated. Conversely a step that may
/// do something and is not done has done something: removed a capability, set a mark, or passed a slot or a table.
pub fn bounded(transition: &Transition<'_>) -> Result<(), String> {
    let (Operation::RevokeStep { budget, .. }
    | Operation::DeleteStep { budget, .. }
    | Operation::SweepStep { budget }
    | Operation::ResetStep { budget, .. }) = *transition.operation
    else {
        return Ok(());
    };
    let seen = transition.seen;
    let more = match seen.outcome {
        Ok(Answer::Step(step)) => step == Step::More,
        Ok(Answer::Reset(reset)) => reset == Reset::Removing,
        _ => return Ok(()),
    };
    if seen.gone.len() > budget as usize {
        return Err(format!("{} removed with a budget of {budget}", seen.gone.len()));
    }
    if seen.touches > touch_bound(budget) {
        return Err(format!("{} touches with a budget of {budget}", seen.touches));
    }
    let swept = |subject: &Subject| -> u64 {
        let headers = subject.memory.written().filter(|(_, slot)| slot.state().contains(State::DYING));
        headers.map(|(_, slot)| u64::from(slot.swept().0)).sum()
    };
    let (before, after) = (transition.before, transition.after);
    let idle = seen.gone.is_empty() && before.forest == after.forest && swept(before) == swept(after);
    if more && budget > 0 && idle {
        return Err("not done, and nothing was done".into());
    }
    Ok(())
}

/// I17: a step with this budget touches slots no more often than this.
#[must_use]
pub const fn touch_bound(budget: u32) -> u64 {
    // Once: up a chain of copies of an Untyped, four looks a link. For each unit: down a chain of derivation and to a
    // binding, two looks a link; then the removal and its neighbours.
    let (climb, unit) = (80, 48);
    climb + unit * budget as u64
}

/// I18: what went was in the closure of what the operation names, as it was before; a move empties its source; nothing
/// else goes by any operation. Conversely what went is counted: all else is there still, at the same generation.
pub fn framed(transition: &Transition<'_>) -> Result<(), String> {
    let (before, gone) = (transition.before, &transition.seen.gone);
    if gone.is_empty() {
        return Ok(());
    }
    let children = |root: SlotRef| -> BTreeSet<SlotRef> {
        let child = |at: &SlotRef| before.memory.peek(*at).links().parent == Some(root);
        before.memory.occupied().map(|(at, _)| at).filter(child).collect()
    };
    let may_go = match *transition.operation {
        Operation::RevokeStep { root, .. } => closure(before, &children(root)),
        Operation::ResetStep { untyped, .. } => closure(before, &children(untyped)),
        Operation::DeleteStep { at, .. } => closure(before, &BTreeSet::from([at])),
        Operation::SweepStep { .. } => closure(before, &BTreeSet::new()),
        Operation::Move { source, .. } => BTreeSet::from([source]),
        Operation::Land { ticket, .. } => BTreeSet::from([ticket.slot]),
        _ => BTreeSet::new(),
    };
    match gone.difference(&may_go).next() {
        Some(at) => Err(format!("{at:?} went and was not in the closure")),
        None => Ok(()),
    }
}

/// The closure of some slots, and of what lies in dying tables, under *derived from*, *stored in* and *bound to*, found
/// on the real state by looking at everything again and again.
#[must_use]
pub fn closure(subject: &Subject, seed: &BTreeSet<SlotRef>) -> BTreeSet<SlotRef> {
    let mut all: BTreeSet<SlotRef> = seed.clone();
    let standing = subject.memory.occupied().filter_map(|(_, slot)| slot.capability()?.table());
    let standing: BTreeSet<SlotRef> = standing.map(|table| table.first).collect();
    // A dying table may have a capability still; it is dying all the same.
    let listed = |table: &Table| subject.memory.peek(table.first).state().contains(State::DYING);
    let mut fallen: Vec<Table> = tables(subject, &[]);
    fallen.retain(|table| listed(table) || !standing.contains(&table.first));
    loop {
        let mut spaces = BTreeSet::new();
        let mut falling = fallen.clone();
        for &at in &all {
            let slot = subject.memory.peek(at);
            let Some(says) = slot.capability().filter(|_| slot.is_first()) else { continue };
            falling.extend(says.table());
            if says.kind == caps::Kind::AddressSpace {
                spaces.insert(says.object);
            }
        }
        let before = all.len();
        for (at, slot) in subject.memory.occupied() {
            let says = slot.capability();
            let derived = slot.links().parent.is_some_and(|parent| all.contains(&parent));
            let stored = falling.iter().any(|&table| covers(Some(table), at));
            let bound =
                says.is_some_and(|says| says.kind == caps::Kind::Binding && spaces.contains(&says.space));
            if derived || stored || bound {
                all.insert(at);
            }
        }
        if all.len() == before {
            return all;
        }
    }
}

/// Whether the deletion of this may be done although others' tables are being swept: it was not begun, nothing is in its
/// closure but itself, and it is neither the first capability to memory nor to a table.
#[must_use]
pub fn takes_nothing_along(before: &Subject, at: SlotRef) -> bool {
    let slot = before.memory.peek(at);
    let Some(says) = slot.capability() else { return false };
    let is_space = slot.is_first() && says.kind == caps::Kind::AddressSpace;
    let others = before.memory.occupied().any(|(other, below)| {
        let bound = below
            .capability()
            .is_some_and(|below| is_space && below.kind == caps::Kind::Binding && below.space == says.object);
        bound || ancestors(before, other).contains(&at)
    });
    let holds = slot.is_first() && (says.kind == caps::Kind::Untyped || says.table().is_some());
    !others && !holds && !slot.state().intersects(State::DELETING | State::REVOKING)
}

/// I19: two states are the same but for the order of siblings and of what was cleared when: the same capabilities with
/// the same parents, and the same generations.
#[must_use]
pub fn same_end(one: &Subject, other: &Subject) -> bool {
    let view = |subject: &Subject| -> Vec<String> {
        let line = |(at, slot): (SlotRef, &caps::Slot)| {
            let parent = slot.links().parent;
            format!(
                "{at:?} {:?} {parent:?} {:?} {:?}",
                slot.capability(),
                slot.generation(),
                slot.watermark()
            )
        };
        let empty = caps::Slot::FREE;
        subject.memory.written().filter(|(_, slot)| **slot != empty).map(line).collect()
    };
    one.forest.marks() == other.forest.marks() && view(one) == view(other)
}
