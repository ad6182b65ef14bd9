//! I20 to I22, as far as the model decides them: what the kernel is told to map, unmap, leave and clear.

use caps::{Capability, Effect, Kind, Reset, Slot, SlotRef, State, Table};

use super::authority::ancestors;
use super::integrity::cleared;
use crate::operation::{Answer, Operation};
use crate::subject::Subject;
use crate::transition::Transition;

/// I20: what can be mapped is what the bindings say. A binding comes only by binding, and each that goes is reported to
/// be unmapped, once, as it was; conversely nothing is reported to be unmapped that did not go.
pub fn mapped_by_authority(transition: &Transition<'_>) -> Result<(), String> {
    let after = transition.after;
    let binding = |slot: &Slot| slot.capability().filter(|says| says.kind == Kind::Binding);
    let mut touched = after.memory.journal().to_vec();
    touched.sort_unstable();
    touched.dedup();
    let list = |subject: &Subject| -> Vec<Capability> {
        touched.iter().filter_map(|&at| binding(subject.memory.peek(at))).collect()
    };
    let (mut old, mut new) = (list(transition.before), list(after));
    for effect in &transition.seen.effects {
        if let Effect::Unbind { space, number, object, size } = *effect {
            let same = |says: &Capability| {
                (says.space, says.number, says.object, says.size) == (space, number, object, size)
            };
            let at = old.iter().position(same).ok_or("unmapped, and there was no such binding")?;
            old.swap_remove(at);
        }
    }
    if let (Operation::Bind { .. }, Ok(Answer::Capability(says))) =
        (transition.operation, transition.seen.outcome)
    {
        old.push(says);
    }
    let key = |says: &Capability| (says.space, says.number, says.object, says.size, says.rights.bits());
    old.sort_by_key(key);
    new.sort_by_key(key);
    if old == new { Ok(()) } else { Err(format!("{new:?} are bound, and {old:?} were allowed")) }
}

/// I21: memory is named to be cleared, and counted as cleared, only when nothing can reach it: no capability refers to
/// it but those of the Untyped itself and of the memory that it is part of, none is stored in it, and no table in it is
/// being swept. Conversely whatever was made of the Untyped lies in the range that is named.
pub fn quiet_before_reuse(transition: &Transition<'_>) -> Result<(), String> {
    let (Operation::ResetStep { untyped, .. } | Operation::ResetCleared { untyped, .. }) =
        *transition.operation
    else {
        return Ok(());
    };
    let before = transition.before;
    let range = match transition.seen.outcome {
        Ok(Answer::Reset(Reset::Clear(used))) => used.start..used.start + used.bytes,
        Ok(Answer::Reset(Reset::Done)) => cleared(transition),
        _ => return Ok(()),
    };
    let after = transition.after;
    let first = after.forest.first_of(&after.memory, untyped);
    let mut above = ancestors(after, untyped);
    above.extend([untyped, first]);
    let made_of = |says: &Capability| says.kind.granule().is_some() || says.kind == Kind::Binding;
    for (at, slot) in after.memory.occupied() {
        let Some(says) = slot.capability() else { continue };
        let refers = made_of(&says) && says.object < range.end && range.start < says.object + says.bytes();
        let copy_of_memory = above.contains(&after.forest.first_of(&after.memory, at));
        if (refers && !above.contains(&at) && !copy_of_memory) || range.contains(&at.address()) {
            return Err(format!("{says:?} in {at:?} can reach what is cleared"));
        }
    }
    let clear = |at: SlotRef| cleared(transition).contains(&at.address());
    let swept = before.forest.dying().filter(|&header| clear(header));
    if swept.is_some() { Err("a table is swept in what is cleared".into()) } else { Ok(()) }
}

/// I22: an object is made only of memory that was never used since it was cleared, and counts as used from then on.
/// Conversely memory counts as unused again only by being cleared, as much as was cleared.
pub fn scrubbed(transition: &Transition<'_>) -> Result<(), String> {
    let Transition { before, after, operation, seen, .. } = *transition;
    let mark = |subject: &Subject, at: SlotRef| subject.memory.peek(at).watermark();
    let mut made = None;
    if let (Operation::Retype { untyped, .. }, Ok(Answer::Capability(says))) = (operation, seen.outcome) {
        let first = before.forest.first_of(&before.memory, *untyped);
        let memory = before.memory.peek(first).capability().map_or(0, |memory| memory.object);
        let (used, now) = (mark(before, first).unwrap_or(0), mark(after, first).unwrap_or(0));
        if says.object < memory + used || memory + now != says.object + says.bytes() {
            return Err(format!("{says:?} was made of memory of which {used} were used, and now {now}"));
        }
        made = Some(first);
    }
    for &at in after.memory.journal() {
        let (Some(old), Some(new)) = (mark(before, at), mark(after, at)) else { continue };
        let by = match operation {
            Operation::ResetCleared { bytes, .. } if old > new => *bytes,
            _ => 0,
        };
        if new != old - by && made != Some(at) && !seen.gone.contains(&at) {
            return Err(format!("{at:?} had {old} bytes in use and now {new}"));
        }
    }
    Ok(())
}

/// I22, of one state: the memory of an Untyped beyond its watermark holds nothing, not even an old generation.
pub fn unused_is_zero(subject: &Subject, _: &[Table]) -> Result<(), String> {
    let unused: Vec<(SlotRef, u64, u64)> = subject
        .memory
        .occupied()
        .filter_map(|(at, slot)| {
            let (says, used) = (slot.capability()?, slot.watermark()?);
            Some((at, says.object + used, says.object + says.size))
        })
        .collect();
    for (at, slot) in subject.memory.written() {
        let dirty = *slot != Slot::FREE || slot.state().contains(State::DYING);
        let within = |(_, start, end): &&(SlotRef, u64, u64)| (*start..*end).contains(&at.address());
        if let (true, Some((untyped, ..))) = (dirty, unused.iter().find(within)) {
            return Err(format!("{at:?} is unused memory of {untyped:?} and holds {slot:?}"));
        }
    }
    Ok(())
}
