//! I5, I6 and I13: authority only shrinks, nothing comes back, memory has one purpose.

use std::collections::BTreeMap;

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

/// I5 over time: what each slot held at each of its generations, since its memory was cleared.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// For each slot the last generation seen, and whether a capability was there then.
    last: BTreeMap<SlotRef, (u32, bool)>,
}

impl History {
    /// I5: a slot's generation only rises; it rises exactly when a capability leaves the slot; and a retired slot stays
    /// free. To be called after every operation, with the slots that the operation emptied, and those whose memory it
    /// cleared.
    pub fn no_resurrection(
        &mut self,
        subject: &Subject,
        emptied: impl Fn(SlotRef) -> bool,
        cleared: impl Fn(SlotRef) -> bool,
    ) -> Result<(), String> {
        self.last.retain(|&at, _| !cleared(at));
        for at in (1..subject.memory.len()).filter_map(SlotRef::new) {
            let slot = subject.memory.peek(at);
            let now = (slot.generation().0, !slot.is_free());
            let Some(&(before, occupied)) = self.last.get(&at) else {
                if now.1 {
                    self.last.insert(at, now);
                }
                continue;
            };
            let rise = if emptied(at) { before.saturating_add(1) } else { before };
            if emptied(at) && !occupied {
                return Err(format!("{at:?} was emptied and had been free"));
            }
            if now.0 != rise {
                return Err(format!("{at:?} went from generation {before} to {}", now.0));
            }
            if slot.is_retired() && now.1 {
                return Err(format!("{at:?} is retired and in use"));
            }
            self.last.insert(at, now);
        }
        Ok(())
    }
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
