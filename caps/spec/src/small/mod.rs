//! Every reachable state of small worlds.
//!
//! A world has a root table with a few slots, some roots, and a list of operations that can be tried in a state. States
//! that differ only in which slots of the root table are used are one: the slots are interchangeable, so a state is
//! known by its canonical form, in which capabilities are numbered in the order of the forest. Generations are left out
//! of that form, since but for lookups and tickets nothing depends on them; a world of its own counts them.
//!
//! Every transition from every state is checked like any other, with the specification's state read off the real one.

mod worlds;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use caps::{Capability, Generation, Slot, SlotRef, State, Table};

use crate::game::FIRST;
use crate::invariant::authority::History;
use crate::model::{Model, covers};
use crate::operation::Operation;
use crate::subject::Subject;
use crate::transition::transition;

/// A small world.
#[derive(Clone, Debug)]
pub struct World {
    /// Its name.
    pub name: &'static str,
    /// How many slots of the root table can be used: as many capabilities can be outside of other tables.
    pub slots: u32,
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
    /// How many canonical forms the states have.
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
        let mut subject = Subject::new(48);
        for number in 1..=self.slots {
            if let (Some(at), Generations::Counted) = (FIRST.offset(number), self.generations) {
                subject.memory.set(at, Slot::free(Generation(u32::MAX - 2)));
            }
        }
        for (number, &root) in (1..).zip(&self.roots) {
            let planted = FIRST.offset(number).map(|at| subject.forest.plant(&mut subject.memory, at, root));
            assert_eq!(planted, Some(Ok(())));
        }
        subject
    }

    /// Goes through all states, at most `limit`. The error is the shortest story that leads to something wrong.
    pub fn explore(&self, limit: usize) -> Result<Extent, String> {
        let mut extent = Extent { complete: true, ..Extent::default() };
        let mut seen: HashMap<Vec<u64>, usize> = HashMap::new();
        let mut forms: HashSet<Vec<u64>> = HashSet::new();
        let mut paths: Vec<(usize, Option<Operation>)> = vec![(0, None)];
        let mut queue = VecDeque::from([(0, self.begin())]);
        seen.insert(self.key(&self.begin()), 0);
        forms.insert(self.canonical(&self.begin()));
        while let Some((number, subject)) = queue.pop_front() {
            for operation in (self.operations)(self, &subject) {
                extent.transitions += 1;
                let after = self.step(&subject, &operation).map_err(|why| {
                    let mut story = format!("{operation:?}\n");
                    let mut at = number;
                    while let (before, Some(operation)) = paths[at] {
                        story = format!("{operation:?}\n{story}");
                        at = before;
                    }
                    format!("{}: {why}\nafter\n{story}", self.name)
                })?;
                let Some(after) = after else { continue };
                extent.accepted += 1;
                let key = self.key(&after);
                if seen.contains_key(&key) {
                    continue;
                }
                if seen.len() >= limit {
                    extent.complete = false;
                    continue;
                }
                forms.insert(self.canonical(&after));
                seen.insert(key, paths.len());
                queue.push_back((paths.len(), after));
                paths.push((number, Some(operation)));
            }
        }
        extent.states = seen.len();
        extent.forms = forms.len();
        Ok(extent)
    }

    /// Tries an operation in a state, with all checks; `None` if it was refused.
    fn step(&self, subject: &Subject, operation: &Operation) -> Result<Option<Subject>, String> {
        let fixed = [self.table()];
        let (mut after, mut model, mut history) = (subject.clone(), Model::of(subject), History::default());
        history.no_resurrection(subject, |_| false, |_| false)?;
        let (outcome, wrong) = transition(&mut after, &mut model, &mut history, &fixed, operation);
        wrong?;
        Ok(outcome.is_ok().then_some(after))
    }

    fn key(&self, subject: &Subject) -> Vec<u64> {
        match self.symmetry {
            Symmetry::Merged => self.canonical(subject),
            Symmetry::Plain => self.form(subject, Symmetry::Plain, |at| u64::from(at.number())),
        }
    }

    /// The canonical form: capabilities in the order of the forest, from the roots in the order of what they say; a
    /// slot of the root table is known by the number of the capability in it.
    #[must_use]
    pub fn canonical(&self, subject: &Subject) -> Vec<u64> {
        let numbers: BTreeMap<SlotRef, u64> =
            (1 << 32..).zip(order(subject)).map(|(n, at)| (at, n)).collect();
        self.form(subject, Symmetry::Merged, |at| {
            let number = if covers(Some(self.table()), at) { numbers.get(&at).copied() } else { None };
            number.unwrap_or(u64::from(at.number()))
        })
    }

    /// All that a state consists of, with slots named by `name`.
    fn form(&self, subject: &Subject, symmetry: Symmetry, name: impl Fn(SlotRef) -> u64) -> Vec<u64> {
        let link = |at: Option<SlotRef>| at.map_or(0, &name);
        let mut form = vec![u64::from(subject.forest.marks()), link(subject.forest.dying())];
        for at in order(subject) {
            let slot = subject.memory.peek(at);
            let Some(says) = slot.capability() else { continue };
            let links = slot.links();
            form.extend([name(at), u64::from(slot.state().bits()), u64::from(says.kind.number())]);
            form.extend([u64::from(says.rights.bits()), says.badge, says.object, says.size, says.space]);
            form.extend([u64::from(says.number), link(links.parent), link(links.next)]);
            form.extend([link(links.bound_next), slot.watermark().unwrap_or(0)]);
        }
        for at in (1..subject.memory.len()).filter_map(SlotRef::new) {
            let slot = subject.memory.peek(at);
            if slot.state().contains(State::DYING) {
                form.extend([name(at), u64::from(slot.swept().0), link(slot.links().next)]);
            }
        }
        if self.generations == Generations::Counted {
            let mut ages: Vec<(u64, u64)> = (1..=self.slots)
                .filter_map(|number| FIRST.offset(number))
                .map(|at| {
                    let slot = subject.memory.peek(at);
                    let who = if slot.is_free() { 0 } else { name(at) };
                    (who, u64::from(u32::MAX - slot.generation().0))
                })
                .collect();
            if symmetry == Symmetry::Merged {
                ages.sort_unstable();
            }
            form.extend(ages.into_iter().flat_map(|(who, age)| [who, age]));
        }
        form
    }

    /// The slots of the root table in use, and a free one for each age there is: the others are like it.
    fn places(&self, subject: &Subject) -> (Vec<SlotRef>, Vec<SlotRef>) {
        let occupied = subject.memory.occupied().map(|(at, _)| at).collect();
        let mut free = Vec::new();
        let mut ages = BTreeSet::new();
        for at in (1..=self.slots).filter_map(|number| FIRST.offset(number)) {
            let slot = subject.memory.peek(at);
            let age = if self.generations == Generations::Counted { slot.generation().0 } else { 0 };
            if slot.is_free() && (self.symmetry == Symmetry::Plain || ages.insert(age)) {
                free.push(at);
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

/// All capabilities in the order of the forest: roots by what they say, then children, the youngest first.
fn order(subject: &Subject) -> Vec<SlotRef> {
    let mut roots: Vec<(String, SlotRef)> = subject
        .memory
        .occupied()
        .filter(|(_, slot)| slot.links().parent.is_none())
        .map(|(at, slot)| (format!("{:?}", slot.capability()), at))
        .collect();
    roots.sort();
    let mut all = Vec::new();
    let mut stack: Vec<SlotRef> = roots.into_iter().rev().map(|(_, at)| at).collect();
    while let Some(at) = stack.pop() {
        all.push(at);
        let mut children = Vec::new();
        let mut next = subject.memory.peek(at).links().first_child;
        while let Some(child) = next {
            children.push(child);
            next = subject.memory.peek(child).links().next;
        }
        stack.extend(children.into_iter().rev());
    }
    all
}
