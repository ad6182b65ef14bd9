//! Every reachable state of small worlds.
//!
//! A world has a root table with a few slots, some roots, and a list of operations that can be tried in a state. States
//! that differ only in which slots of the root table are used are one: the slots are interchangeable, so a state is
//! known by its canonical form, in which capabilities are numbered in the order of the forest. Generations are left out
//! of that form, since but for lookups and tickets nothing depends on them; a world of its own counts them.
//!
//! Every operation in every state is checked like any other, with the specification's state read off the real one. What
//! is to hold of one state is looked at once for each state.
//!
//! Reading order: this file (a world, and the search), `form` (when two states are one), `worlds` (the worlds).

mod form;
mod worlds;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use caps::{Capability, Generation, Kind, Slot, SlotRef, Table};

use crate::game::FIRST;
use crate::invariant;
use crate::model::Model;
use crate::operation::Operation;
use crate::subject::Subject;
use crate::transition::{Scrutiny, Transition, perform};

pub use worlds::{binding_operations, memory_operations, table_operations, tree_operations};

/// A small world.
#[derive(Clone, Debug)]
pub struct World {
    /// Its name.
    pub name: &'static str,
    /// How many slots of the root table can be used: as many capabilities can be outside of other tables.
    pub slots: u32,
    /// How many slots there are in all.
    pub size: u32,
    /// What is planted at the beginning.
    pub roots: Vec<Capability>,
    /// What can be tried.
    pub operations: fn(&World, &Subject) -> Vec<Operation>,
    /// Whether states that differ in generations differ.
    pub generations: Generations,
    /// Whether states are merged that differ only in which root slots are used.
    pub symmetry: Symmetry,
}

/// Whether generations are part of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generations {
    /// They are not.
    Ignored,
    /// They are, and every slot begins two short of the last.
    Counted,
}

/// Whether symmetric states are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symmetry {
    /// They are.
    Merged,
    /// They are not: for comparison.
    Plain,
}

/// What was gone through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// How many states there are.
    pub states: usize,
    /// How many operations were tried in them.
    pub transitions: usize,
    /// How many of these were not refused.
    pub accepted: usize,
    /// Whether that was all.
    pub complete: bool,
    /// The kinds of capability that were there in some state.
    pub kinds: BTreeSet<Kind>,
    /// How many canonical forms the states have, if that was asked for by a plain search.
    pub forms: usize,
}

impl World {
    /// The root table.
    #[must_use]
    pub fn table(&self) -> Table {
        Table { first: FIRST, count: self.slots + 1 }
    }

    /// The first state.
    #[must_use]
    pub fn begin(&self) -> Subject {
        let mut subject = Subject::new(self.size);
        for number in 1..=self.slots {
            if let (Some(at), Generations::Counted) = (FIRST.offset(number), self.generations) {
                subject.memory.set(at, Slot::free(Generation(u32::MAX - 2)));
            }
        }
        for (number, &root) in (1..).zip(&self.roots) {
            let planted = FIRST.offset(number).map(|at| subject.forest.plant(&mut subject.memory, at, root));
            assert_eq!(planted, Some(Ok(())));
        }
        subject.memory.forget_journal();
        subject
    }

    /// Goes through all states, at most `limit`. The error is the shortest story that leads to something wrong.
    pub fn explore(&self, limit: usize) -> Result<Extent, String> {
        let begin = self.begin();
        let mut extent = Extent { complete: true, ..Extent::default() };
        let mut seen: HashMap<Box<[u8]>, usize> = HashMap::from([(self.key(&begin), 0)]);
        let mut forms = HashSet::from([self.canonical(&begin)]);
        let mut paths: Vec<(usize, Option<Operation>)> = vec![(0, None)];
        let mut queue = VecDeque::from([(0, begin)]);
        while let Some((number, subject)) = queue.pop_front() {
            let mut found = Vec::new();
            self.expand(&subject, &mut extent, |operation, after| {
                let key = self.key(after);
                if seen.contains_key(&key) {
                    return Ok(());
                }
                invariant::check_state(after, &[self.table()])?;
                if seen.len() >= limit {
                    return Err("there are more states".into());
                }
                if self.symmetry == Symmetry::Plain {
                    forms.insert(self.canonical(after));
                }
                seen.insert(key, paths.len());
                found.push((paths.len(), after.clone()));
                paths.push((number, Some(*operation)));
                Ok(())
            })
            .map_err(|(operation, why)| {
                let mut story = format!("{operation:?}\n");
                let mut at = number;
                while let (before, Some(operation)) = paths[at] {
                    story = format!("{operation:?}\n{story}");
                    at = before;
                }
                format!("{}: {why}\nafter\n{story}", self.name)
            })?;
            queue.extend(found);
        }
        extent.states = seen.len();
        extent.forms = forms.len();
        Ok(extent)
    }

    /// Tries every operation in a state, with all checks that are about one operation, and shows what it led to if it was
    /// not refused. The error says which operation was wrong, and what about it.
    pub fn expand(
        &self,
        subject: &Subject,
        extent: &mut Extent,
        mut show: impl FnMut(&Operation, &Subject) -> Result<(), String>,
    ) -> Result<(), (Operation, String)> {
        let mut model = Model::of(subject);
        extent.kinds.extend(model.caps.values().map(|cap| cap.says.kind));
        let fixed = [self.table()];
        let mut after = subject.clone();
        after.memory.forget_journal();
        for operation in (self.operations)(self, subject) {
            extent.transitions += 1;
            let seen = perform(subject, &mut after, &operation);
            let transition = Transition {
                before: subject,
                after: &after,
                operation: &operation,
                seen: &seen,
                fixed: &fixed,
            };
            let wrong = |why| (operation, why);
            if seen.outcome.is_err() {
                // A refusal changes neither side, which is checked of the one and plain to see of the other.
                transition.check(&mut model, Scrutiny::Operation).map_err(wrong)?;
                after.memory.forget_journal();
                continue;
            }
            transition.check(&mut model.clone(), Scrutiny::Operation).map_err(wrong)?;
            extent.accepted += 1;
            after.memory.forget_journal();
            show(&operation, &after).map_err(wrong)?;
            after = subject.clone();
            after.memory.forget_journal();
        }
        Ok(())
    }

    /// The slots in use, and a free one of the root table for each age there is: the others are like it; and the free
    /// ones of all tables that are not dying.
    fn places(&self, subject: &Subject) -> (Vec<SlotRef>, Vec<SlotRef>) {
        let occupied = subject.memory.occupied().map(|(at, _)| at).collect();
        let mut free = Vec::new();
        let mut ages = Vec::new();
        for at in (1..=self.slots).filter_map(|number| FIRST.offset(number)) {
            let slot = subject.memory.peek(at);
            let age = if self.generations == Generations::Counted { slot.generation().0 } else { 0 };
            if slot.is_free() && (self.symmetry == Symmetry::Plain || !ages.contains(&age)) {
                free.push(at);
                ages.push(age);
            }
        }
        let tables = subject
            .memory
            .occupied()
            .filter(|(_, slot)| slot.is_first())
            .filter_map(|(_, slot)| slot.capability().and_then(|says| says.table()));
        for table in tables.filter(|table| !table.is_dying(&subject.memory)) {
            let inside = (1..table.count).filter_map(|index| table.first.offset(index));
            free.extend(inside.filter(|&at| subject.memory.peek(at).is_free()));
        }
        (occupied, free)
    }
}
