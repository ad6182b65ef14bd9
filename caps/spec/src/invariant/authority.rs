//! I6, I10 and I13: authority only shrinks, a reply has one holder, memory has one purpose.

use std::collections::BTreeSet;

use caps::{Capability, Kind, SlotRef, Table};

use crate::subject::Subject;

/// I6: what a capability allows is within what its parent allows. A copy is of the same kind and object, within the
/// range, with the parent's badge if that has one; a first capability has an Untyped as its parent, or is a binding
/// of its parent's region. Conversely what has a badge and is no root, has a kind that can be minted.
pub fn monotonic(subject: &Subject, _: &[Table]) -> Result<(), String> {
    for (at, slot) in subject.memory.occupied() {
        let Some(says) = slot.capability() else { continue };
        let Some(parent) = slot.links().parent else { continue };
        let Some(above) = subject.memory.peek(parent).capability() else { continue };
        let inside = within(&says, &above);
        let mintable = matches!(says.kind, Kind::Endpoint | Kind::Notification);
        let lawful = if slot.is_first() {
            match says.kind {
                Kind::Binding => {
                    above.kind == Kind::Region && (says.object, says.size) == (above.object, above.size)
                }
                _ => above.kind == Kind::Untyped && inside && says.badge == 0,
            }
        } else {
            let same_object = match says.kind {
                Kind::Region => inside,
                _ => (says.object, says.size) == (above.object, above.size),
            };
            says.kind == above.kind
                && same_object
                && (above.badge == 0 || says.badge == above.badge)
                && (says.badge == above.badge || mintable)
        };
        if !lawful || !above.rights.contains(says.rights) {
            return Err(format!("{at:?} says {says:?}, its parent {above:?}"));
        }
    }
    Ok(())
}

/// I13: the memory of two objects overlaps exactly if one of them is an Untyped that the other derives from, and then
/// the other lies within what that Untyped has handed out. Whatever was retyped from an Untyped lies below its
/// watermark. So a Region, which can be mapped, never overlaps an object.
pub fn typed_memory(subject: &Subject, _: &[Table]) -> Result<(), String> {
    let firsts: Vec<(SlotRef, Capability)> = subject
        .memory
        .occupied()
        .filter(|(_, slot)| slot.is_first())
        .filter_map(|(at, slot)| slot.capability().map(|says| (at, says)))
        .filter(|(_, says)| says.kind.granule().is_some())
        .collect();
    for (at, says) in &firsts {
        for (other, inner) in &firsts {
            if at == other {
                continue;
            }
            let overlap =
                says.object < inner.object + inner.bytes() && inner.object < says.object + says.bytes();
            let below = ancestors(subject, *other).contains(at);
            let above = ancestors(subject, *at).contains(other);
            if overlap != (below || above) {
                return Err(format!("{says:?} in {at:?} and {inner:?} in {other:?}"));
            }
            let used = subject.memory.peek(*at).watermark().unwrap_or(0);
            if below && inner.object + inner.bytes() > says.object + used {
                return Err(format!("{inner:?} in {other:?} lies beyond the watermark of {at:?}"));
            }
        }
    }
    Ok(())
}

/// I10, the model's part: a Reply object has exactly one capability, since it answers once.
pub fn reply_linear(subject: &Subject, _: &[Table]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for (at, slot) in subject.memory.occupied() {
        let Some(says) = slot.capability().filter(|says| says.kind == Kind::Reply) else { continue };
        if !slot.is_first() || !seen.insert(says.object) || slot.links().first_child.is_some() {
            return Err(format!("{at:?} is another capability to a reply"));
        }
    }
    Ok(())
}

/// Whether the one range lies within the other.
fn within(says: &Capability, above: &Capability) -> bool {
    says.object >= above.object && says.object + says.bytes() <= above.object + above.bytes()
}

/// The slots of all that it derives from.
pub(super) fn ancestors(subject: &Subject, at: SlotRef) -> Vec<SlotRef> {
    std::iter::successors(subject.memory.peek(at).links().parent, |&above| {
        subject.memory.peek(above).links().parent
    })
    .take(usize::from(caps::bounds::MAX_DEPTH))
    .collect()
}
