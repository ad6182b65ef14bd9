//! I15 and I16, of one state: what is being removed cannot be used, and is known to be.

use caps::{Error, Handle, Kind, Rights, SlotIndex, SlotRef, State, Table};

use super::authority::ancestors;
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

/// I16, of one state: what a sweep of a dying table has passed is empty, and stays so; and a dying table that is not on the
/// list was passed to its end.
pub fn swept_is_empty(subject: &Subject, _: &[Table]) -> Result<(), String> {
    let mut listed = Vec::new();
    let mut next = subject.forest.dying();
    while let Some(header) = next.filter(|header| !listed.contains(header)) {
        listed.push(header);
        next = subject.memory.peek(header).links().next;
    }
    for (header, slot) in subject.memory.written().filter(|(_, slot)| slot.state().contains(State::DYING)) {
        let (swept, count) = slot.swept();
        if swept == 0 || swept > count || (swept < count && !listed.contains(&header)) {
            return Err(format!("the table at {header:?} was swept to {swept} of {count}, and is forgotten"));
        }
        let passed = (1..swept).filter_map(|index| header.offset(index));
        if let Some(at) = passed.into_iter().find(|&at| !subject.memory.peek(at).is_free()) {
            return Err(format!("{at:?} was swept and holds something"));
        }
    }
    Ok(())
}
