//! I15 to I19: what removal promises.

use std::collections::BTreeSet;

use caps::{Error, Generation, Handle, Kind, Rights, SlotIndex, SlotRef, State, Table};

use super::authority::ancestors;
use crate::model::covers;
use crate::subject::Subject;

/// I15: a lookup is refused because of a removal exactly if the capability is being deleted, derives from one that is
/// being deleted or revoked, or is looked for in a dying table.
pub fn cut(subject: &Subject, fixed: &[Table]) -> Result<(), String> {
    for (table, index, at) in indexed(subject, fixed) {
        let slot = subject.memory.peek(at);
        let handle = Handle::new(SlotIndex(index), slot.generation());
        let going = |above: &SlotRef| {
            subject.memory.peek(*above).state().intersects(State::DELETING | State::REVOKING)
        };
        let doomed = slot.state().contains(State::DELETING)
            || ancestors(subject, at).iter().any(going)
            || table.is_dying(&subject.memory);
        let answer = subject.forest.lookup(&subject.memory, table, handle, Kind::Empty, Rights::empty());
        if (answer == Err(Error::BeingRevoked)) != doomed {
            return Err(format!("{at:?} answers {answer:?}; going: {doomed}"));
        }
    }
    Ok(())
}

/// I15 and I23 for the kernel's short way: a peek finds what a lookup finds, exactly if nothing is being removed.
pub fn peek_agrees(subject: &Subject, fixed: &[Table]) -> Result<(), String> {
    let (forest, memory) = (&subject.forest, &subject.memory);
    for (table, index, at) in indexed(subject, fixed) {
        let handle = Handle::new(SlotIndex(index), memory.peek(at).generation());
        let kind = memory.peek(at).kind();
        for rights in [Rights::empty(), Rights::CALL, Rights::MANAGE] {
            for kind in [kind, Kind::Endpoint] {
                let found = forest.lookup(memory, table, handle, kind, rights).ok();
                let expected = found.filter(|_| !forest.is_removing()).map(|found| found.capability.object);
                let peeked = forest.peek(memory, table, handle, kind, rights);
                let badge = found.filter(|_| kind.is_mintable()).map(|found| found.capability.badge);
                let same_badge = peeked.zip(badge).is_none_or(|((_, badge), expected)| badge == expected);
                if peeked.map(|(object, _)| object) != expected || !same_badge {
                    return Err(format!("{at:?}: peek says {peeked:?}, lookup {found:?}"));
                }
            }
        }
    }
    Ok(())
}

/// Every capability with the tables and the index by which it can be named.
fn indexed(subject: &Subject, fixed: &[Table]) -> Vec<(Table, u32, SlotRef)> {
    let mut tables: Vec<Table> = fixed.to_vec();
    for (_, slot) in subject.memory.occupied() {
        tables.extend(slot.capability().and_then(|says| says.table()));
    }
    let mut all = Vec::new();
    for table in tables {
        let places = (1..table.count).filter_map(|index| Some((table, index, table.first.offset(index)?)));
        all.extend(places.filter(|&(_, _, at)| !subject.memory.peek(at).is_free()));
    }
    all
}

/// I16, the part on one state: the forest counts exactly the marks there are, so that no lookup goes without looking
/// for one, and none looks for ever.
pub fn marks_counted(subject: &Subject, _: &[Table]) -> Result<(), String> {
    let marks: usize = subject
        .memory
        .occupied()
        .map(|(_, slot)| slot.state().intersection(State::REVOKING | State::DELETING).iter().count())
        .sum();
    if usize::try_from(subject.forest.marks()) == Ok(marks) {
        Ok(())
    } else {
        Err(format!("{marks} marks, {} counted", subject.forest.marks()))
    }
}

/// All capabilities there are.
#[must_use]
pub fn snapshot(subject: &Subject) -> BTreeSet<(SlotRef, Generation)> {
    subject.memory.occupied().map(|(at, slot)| (at, slot.generation())).collect()
}

/// The closure of some slots under *derived from*, *stored in* and *bound to*, found on the real state by looking at
/// everything again and again.
#[must_use]
pub fn closure(subject: &Subject, seed: &BTreeSet<SlotRef>) -> BTreeSet<SlotRef> {
    let mut all: BTreeSet<SlotRef> = seed.clone();
    let mut tables: Vec<Table> = Vec::new();
    let mut next = subject.forest.dying();
    while let Some(header) = next {
        let slot = subject.memory.peek(header);
        tables.push(Table { first: header, count: slot.swept().1 });
        next = slot.links().next;
    }
    loop {
        let mut spaces = BTreeSet::new();
        for &at in &all {
            let slot = subject.memory.peek(at);
            let Some(says) = slot.capability().filter(|_| slot.is_first()) else { continue };
            tables.extend(says.table());
            if says.kind == Kind::AddressSpace {
                spaces.insert(says.object);
            }
        }
        let before = all.len();
        for (at, slot) in subject.memory.occupied() {
            let says = slot.capability();
            let derived = slot.links().parent.is_some_and(|parent| all.contains(&parent));
            let stored = tables.iter().any(|&table| covers(Some(table), at));
            let bound = says.is_some_and(|says| says.kind == Kind::Binding && spaces.contains(&says.space));
            if derived || stored || bound {
                all.insert(at);
            }
        }
        if all.len() == before {
            return all;
        }
    }
}

/// I18 and the other half of I16, on one step: what went was in the closure of what the operation names, as it was
/// before; all else is there still, at the same generation.
pub fn framed(before: &Subject, after: &Subject, named: &BTreeSet<SlotRef>) -> Result<(), String> {
    let may_go = closure(before, named);
    for (at, generation) in snapshot(before) {
        let slot = after.memory.peek(at);
        let there = !slot.is_free() && slot.generation() == generation;
        if !there && !may_go.contains(&at) {
            return Err(format!("I18 framed: {at:?} went and was not in the closure"));
        }
    }
    Ok(())
}

/// Whether the deletion of this may be done although others' tables are being swept: it was not begun, nothing is in its
/// closure but itself, and it is neither the first capability to memory nor to a table.
#[must_use]
pub fn takes_nothing_along(before: &Subject, at: SlotRef) -> bool {
    let slot = before.memory.peek(at);
    let Some(says) = slot.capability() else { return false };
    let is_space = slot.is_first() && says.kind == Kind::AddressSpace;
    let others = before.memory.occupied().any(|(other, below)| {
        let bound = below
            .capability()
            .is_some_and(|below| is_space && below.kind == Kind::Binding && below.space == says.object);
        bound || ancestors(before, other).contains(&at)
    });
    let holds = slot.is_first() && (says.kind == Kind::Untyped || says.table().is_some());
    !others && !holds && !slot.state().intersects(State::DELETING | State::REVOKING)
}

/// I16, at *done*: nothing is left below the root, and nothing in a table that no first capability stands for.
pub fn complete(after: &Subject, root: Option<SlotRef>) -> Result<(), String> {
    if let Some(root) = root {
        let below = after.memory.occupied().find(|&(at, _)| ancestors(after, at).contains(&root));
        if let Some((at, _)) = below {
            return Err(format!("I16 complete: done, and {at:?} is left below {root:?}"));
        }
    }
    if after.forest.dying().is_some() {
        return Err("I16 complete: done, and a dying table is left".into());
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

/// I19: two states are the same but for the order of siblings and of what was cleared when: the same capabilities with
/// the same parents, and the same generations.
#[must_use]
pub fn same_end(one: &Subject, other: &Subject) -> bool {
    let view = |subject: &Subject| -> Vec<String> {
        (1..subject.memory.len())
            .filter_map(SlotRef::new)
            .map(|at| {
                let slot = subject.memory.peek(at);
                let parent = slot.links().parent;
                format!("{:?} {parent:?} {:?} {:?}", slot.capability(), slot.generation(), slot.watermark())
            })
            .collect()
    };
    one.forest.marks() == other.forest.marks() && view(one) == view(other)
}
