//! I7: what a subject can come to hold by its own operations lies within what it could reach before.

use std::collections::BTreeSet;

use caps::{Capability, Kind, SlotRef, Table};

use crate::model::covers;
use crate::operation::Operation;
use crate::subject::Subject;

/// The slots that whoever has this table can name: its own, those of the tables that capabilities in them name, and so
/// on. (More than the kernel allows, which also asks for rights on the tables.)
#[must_use]
pub fn reach(subject: &Subject, table: Table) -> BTreeSet<SlotRef> {
    let mut tables = vec![table];
    loop {
        let named: Vec<Table> = held(subject, &tables).iter().filter_map(Capability::table).collect();
        let before = tables.len();
        for table in named {
            if !tables.contains(&table) {
                tables.push(table);
            }
        }
        if tables.len() == before {
            break;
        }
    }
    let slots = |table: &Table| {
        let first = table.first;
        (1..table.count).filter_map(move |index| first.offset(index)).collect::<Vec<_>>()
    };
    tables.iter().flat_map(slots).collect()
}

/// What is in these slots.
#[must_use]
pub fn authority(subject: &Subject, slots: &BTreeSet<SlotRef>) -> Vec<Capability> {
    slots.iter().filter_map(|&at| subject.memory.peek(at).capability()).collect()
}

/// I7: everything in `now` is within something in `before`: the same object with no more rights, a part of the same
/// region, an object in the memory of the same Untyped, a binding of such a region to such a space. Conversely nothing is
/// lost by this reading that the subject could do: it may use whatever it reached.
pub fn confined(before: &[Capability], now: &[Capability]) -> Result<(), String> {
    let outside = now.iter().find(|cap| !before.iter().any(|old| allows(old, cap, before)));
    match outside {
        Some(cap) => Err(format!("I7 confined: {cap:?} is beyond {before:?}")),
        None => Ok(()),
    }
}

/// Whether holding `old`, among `all`, can lead to `new`.
fn allows(old: &Capability, new: &Capability, all: &[Capability]) -> bool {
    let inside = new.object >= old.object && new.object + new.bytes() <= old.object + old.bytes();
    let rights = old.rights.contains(new.rights);
    let badge = old.badge == 0 && old.kind.is_mintable() || old.badge == new.badge;
    match (old.kind, new.kind) {
        (Kind::Untyped, Kind::Binding) => rights && inside && space_within_reach(new, all),
        (Kind::Untyped, kind) => rights && inside && (kind.granule().is_some()),
        (Kind::Region, Kind::Region) => rights && inside,
        (Kind::Region, Kind::Binding) => rights && inside && space_within_reach(new, all),
        (old_kind, kind) if old_kind == kind => {
            rights
                && badge
                && (old.object, old.size, old.space, old.number)
                    == (new.object, new.size, new.space, new.number)
        }
        _ => false,
    }
}

/// Whether the space of a binding can be among what these lead to.
fn space_within_reach(binding: &Capability, all: &[Capability]) -> bool {
    all.iter().any(|cap| match cap.kind {
        Kind::AddressSpace => cap.object == binding.space,
        Kind::Untyped => (cap.object..cap.object + cap.bytes()).contains(&binding.space),
        _ => false,
    })
}

/// Whether a subject can ask for an operation that names no slot but these: boot and the ledger plant, nobody else does.
#[must_use]
pub fn is_own(operation: &Operation, slots: &BTreeSet<SlotRef>) -> bool {
    !matches!(operation, Operation::Plant { .. }) && operation.named().iter().all(|at| slots.contains(at))
}

/// What is in these tables.
fn held(subject: &Subject, tables: &[Table]) -> Vec<Capability> {
    let inside = |at: SlotRef| tables.iter().any(|&table| covers(Some(table), at));
    subject
        .memory
        .occupied()
        .filter(|&(at, _)| inside(at))
        .filter_map(|(_, slot)| slot.capability())
        .collect()
}
