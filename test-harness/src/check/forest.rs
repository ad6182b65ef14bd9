//! One kernel's forest: what its journal says, judged by the specification, slot by slot.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;

use caps::{Kind, Links, SlotRef, State, Table};
use caps_spec::layout::Fields;
use caps_spec::model::{Model, covers};
use caps_spec::operation::{Answer, Operation, Outcome};

use super::entry::{Asked, ForestEntry};
use super::show::{self, Tree};

/// How many operations a failure shows before the one that was wrong.
const SHOWN: usize = 12;
/// After how many changes everything is compared, besides what an operation wrote.
const THOROUGH: u64 = 64;

/// A kernel's forest, as the specification has it and as it lies in memory.
#[derive(Clone, Debug, Default)]
pub struct Forest {
    /// The specification's.
    pub model: Model,
    /// The slots that were ever written and not cleared, as they were last.
    pub slots: BTreeMap<SlotRef, Fields>,
    /// Where its first root was planted.
    pub first: Option<SlotRef>,
    changes: u64,
    recent: VecDeque<String>,
}

impl Forest {
    /// Takes the next operation. The error says what is wrong with it, and shows both states.
    pub fn apply(&mut self, entry: &ForestEntry) -> Result<(), String> {
        self.remember(entry);
        self.take(entry).map_err(|why| {
            self.write(entry);
            let mut about: BTreeSet<SlotRef> = entry.written.iter().map(|(at, _)| *at).collect();
            about.extend(entry.looked_at());
            format!("{why}\n{}", self.both(&about))
        })
    }

    /// Both states, where they differ and around these slots; and how it came to this.
    #[must_use]
    pub fn both(&self, about: &BTreeSet<SlotRef>) -> String {
        let trees = (Tree::of_model(&self.model), Tree::of_slots(&self.slots));
        format!("{}the last operations:\n{}", show::both(&trees.0, &trees.1, about), self.story())
    }

    fn take(&mut self, entry: &ForestEntry) -> Result<(), String> {
        let gone = self.gone(entry);
        let operation = match entry.asked {
            Asked::Operation(operation) => {
                self.prepare(&operation);
                let cleared = self.cleared_by(&operation, &entry.outcome);
                self.judge(&operation, entry, &gone)?;
                self.slots.retain(|at, _| !cleared.contains(&at.address()));
                operation
            }
            Asked::LookupAny(table, handle) => {
                let place = table.first.offset(handle.index().0);
                let id = place.and_then(|place| self.model.at(place));
                let kind = id.map_or(Kind::Untyped, |id| self.model.caps[&id].says.kind);
                let rights = caps::Rights::empty();
                let operation = Operation::Lookup { table, handle, kind, rights };
                self.judge(&operation, entry, &gone)?;
                operation
            }
            Asked::Peek(table, handle, kind, rights, seen) => {
                let operation = Operation::Lookup { table, handle, kind, rights };
                self.judge_peek(&operation, entry, seen)?;
                operation
            }
        };
        self.check_written(entry)?;
        self.check_place(&operation, &entry.outcome)?;
        self.check_generation(entry)?;
        if !entry.written.is_empty() {
            self.changes += 1;
            if self.changes.is_multiple_of(THOROUGH) {
                self.check_all()?;
            }
        }
        Ok(())
    }

    fn remember(&mut self, entry: &ForestEntry) {
        if self.recent.len() > SHOWN {
            self.recent.pop_front();
        }
        let outcome = match &entry.outcome {
            Ok(answer) => format!("{answer:?}"),
            Err(error) => format!("refused, {error}"),
        };
        self.recent.push_back(format!("{:?} -> {outcome}", entry.asked));
    }

    /// The last operations, the present one last.
    fn story(&self) -> String {
        self.recent.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        })
    }

    fn view(&self, at: SlotRef) -> Fields {
        self.slots.get(&at).copied().unwrap_or(Fields::FREE)
    }

    /// The slots that lost their capability.
    fn gone(&self, entry: &ForestEntry) -> BTreeSet<SlotRef> {
        let lost = |(at, after): &&(SlotRef, Fields)| {
            let before = self.view(*at);
            before.says.is_some() && (after.says.is_none() || after.generation != before.generation)
        };
        entry.written.iter().filter(lost).map(|(at, _)| *at).collect()
    }

    /// What the ledger gives is memory that was cleared since this forest last had it, if it ever did.
    fn prepare(&mut self, operation: &Operation) {
        let Operation::Plant { dest, capability } = *operation else { return };
        self.first.get_or_insert(dest);
        let range = capability.object..capability.object.saturating_add(capability.bytes());
        let outside = |at: SlotRef| !range.contains(&at.address());
        if capability.kind == Kind::Untyped {
            self.model.emptied.retain(|&at, _| outside(at));
            self.model.fallen.retain(|&(first, _)| outside(first));
            self.slots.retain(|&at, _| outside(at));
        }
    }

    /// The memory that a reset has cleared.
    fn cleared_by(&self, operation: &Operation, outcome: &Outcome) -> std::ops::Range<u64> {
        let Operation::ResetCleared { untyped, bytes } = *operation else { return 0..0 };
        let Some(id) = self.model.at(untyped).filter(|_| outcome.is_ok()) else { return 0..0 };
        let first = self.model.first_of(id);
        let used = self.model.used.get(&first).copied().unwrap_or(0);
        let end = self.model.caps[&first].says.object + used;
        end.saturating_sub(bytes)..end
    }

    fn judge(
        &mut self,
        operation: &Operation,
        entry: &ForestEntry,
        gone: &BTreeSet<SlotRef>,
    ) -> Result<(), String> {
        if let Err(error) = entry.outcome {
            if !operation.errors().contains(&error) {
                return Err(format!("I25 total: {error} is not documented for {}", operation.name()));
            }
            let changed = entry.written.iter().find(|(at, after)| self.view(*at) != *after);
            if let Some((at, _)) = changed {
                return Err(format!("I23 refines: it was refused and changed {at:?}"));
            }
        }
        self.model
            .judge(operation, &entry.outcome, gone, &entry.effects)
            .map_err(|why| format!("I23 refines: {why}"))
    }

    /// What the shortest ways saw is what a lookup finds.
    fn judge_peek(
        &mut self,
        operation: &Operation,
        entry: &ForestEntry,
        seen: (u64, u64),
    ) -> Result<(), String> {
        let Operation::Lookup { table, handle, .. } = *operation else { return Ok(()) };
        let place = table.first.offset(handle.index().0);
        let found = place.and_then(|place| self.model.at(place).map(|id| (place, self.model.caps[&id].says)));
        let Some((place, says)) = found else {
            return Err("I23 refines: a peek found something where nothing is".into());
        };
        if seen != (says.object, says.badge) {
            return Err(format!("I23 refines: a peek saw {seen:x?} of {says:?}"));
        }
        let outcome = Ok(Answer::Found(place, says));
        let removing = !self.model.revoking.is_empty() || !self.model.deleting.is_empty();
        if removing {
            return Err("I15 immediate cut: a peek found something while something is removed".into());
        }
        self.model
            .judge(operation, &outcome, &BTreeSet::new(), &entry.effects)
            .map_err(|why| format!("I23 refines: {why}"))
    }

    fn write(&mut self, entry: &ForestEntry) {
        for (at, view) in &entry.written {
            if *view == Fields::FREE {
                self.slots.remove(at);
            } else {
                self.slots.insert(*at, *view);
            }
        }
    }

    /// Every slot that was written says what the specification says of it.
    fn check_written(&mut self, entry: &ForestEntry) -> Result<(), String> {
        self.write(entry);
        entry.written.iter().try_for_each(|(at, _)| self.check_slot(*at))
    }

    fn check_slot(&self, at: SlotRef) -> Result<(), String> {
        let view = self.view(at);
        let emptied = self.model.emptied.get(&at).copied().unwrap_or(0);
        let differs = |what: &str| Err(format!("I23 refines: {at:?} {what}: in memory {view:?}"));
        if view.generation != emptied {
            return differs(&format!("was emptied {emptied} times"));
        }
        let Some(id) = self.model.at(at) else {
            // What else a free slot says is the header's of a dying table.
            return if view.says.is_some() { differs("is free") } else { Ok(()) };
        };
        let cap = &self.model.caps[&id];
        let (state, parent) = (self.model.state_of(id), self.model.parent_of(id));
        let same = view.says == Some(cap.says)
            && view.state.difference(State::ENLISTED) == state
            && view.links.parent == parent
            && view.watermark() == self.model.used.get(&id).copied();
        if same { Ok(()) } else { differs(&format!("holds {cap:?} ({state:?}, parent in {parent:?})")) }
    }

    /// I4: what was put somewhere lies in a table that stands.
    fn check_place(&self, operation: &Operation, outcome: &Outcome) -> Result<(), String> {
        let Some(dest) = operation.destination() else { return Ok(()) };
        let stands = |table: Table| !self.model.fallen.contains(&(table.first, table.count));
        let mut tables = self.model.caps.values().filter(|cap| cap.first).filter_map(|cap| cap.says.table());
        if outcome.is_err() || tables.any(|table| covers(Some(table), dest) && stands(table)) {
            return Ok(());
        }
        Err(format!("I4 no capability outside a slot: {dest:?} lies in no table that stands"))
    }

    /// A handle finds the slot at its present age.
    fn check_generation(&self, entry: &ForestEntry) -> Result<(), String> {
        let (Ok(Answer::Found(at, _)), Some(generation)) = (entry.outcome, entry.generation) else {
            return Ok(());
        };
        let emptied = self.model.emptied.get(&at).copied().unwrap_or(0);
        if generation == emptied {
            return Ok(());
        }
        Err(format!("I5 no resurrection: {at:?} was found at generation {generation}, it is {emptied}"))
    }

    /// Compares everything.
    pub fn check_all(&self) -> Result<(), String> {
        let places: BTreeSet<SlotRef> = self
            .slots
            .keys()
            .chain(self.model.emptied.keys())
            .copied()
            .chain(self.model.caps.values().map(|cap| cap.place))
            .collect();
        places.iter().try_for_each(|at| self.check_slot(*at))?;
        self.slots.iter().try_for_each(|(at, view)| self.check_links(*at, view))
    }

    /// I2: whom a slot names as a neighbour names it in return.
    fn check_links(&self, at: SlotRef, view: &Fields) -> Result<(), String> {
        if view.says.is_none() {
            return Ok(());
        }
        let links = view.links;
        let of = |other| self.view(other).links;
        let back = |other: Option<SlotRef>, link: fn(&Links) -> Option<SlotRef>| {
            other.is_none_or(|other| link(&of(other)) == Some(at))
        };
        let above = links.parent.map(of);
        let depth = above.map_or(0, |above| above.depth.saturating_add(1));
        let eldest = links.previous.is_some() || above.is_none_or(|above| above.first_child == Some(at));
        let bound = links.bound_previous.is_none_or(|before| of(before).bound_next == Some(at));
        let good = depth == links.depth
            && eldest
            && bound
            && back(links.first_child, |child| child.parent.filter(|_| child.previous.is_none()))
            && back(links.next, |next| next.previous)
            && back(links.previous, |previous| previous.next)
            && back(links.bound_next, |next| next.bound_previous);
        if good { Ok(()) } else { Err(format!("I2 links symmetric: {at:?} says {view:?}")) }
    }
}
