//! When two states are one: forms that are equal exactly if the states are the same but for what is interchangeable.

use caps::{Capability, SlotRef, State};

use super::{Generations, Symmetry, World};
use crate::game::FIRST;
use crate::model::covers;
use crate::subject::Subject;

/// A state as a row of numbers, each of which says where it ends.
#[derive(Default)]
struct Form(Vec<u8>);

impl Form {
    fn push(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(0x80 | (number & 0x7f) as u8);
            number >>= 7;
        }
        self.0.push((number & 0x7f) as u8);
    }

    fn says(&mut self, says: &Capability) {
        self.push(u64::from(says.kind.number()) << 16 | u64::from(says.rights.bits()));
        for number in [says.badge, says.object / 64, says.size, says.space / 64, u64::from(says.number)] {
            self.push(number);
        }
    }
}

impl World {
    /// What a state is known by.
    #[must_use]
    pub fn key(&self, subject: &Subject) -> Box<[u8]> {
        match self.symmetry {
            Symmetry::Merged => self.canonical(subject),
            Symmetry::Plain => {
                self.form(subject, Symmetry::Plain, &order(subject), |at| u64::from(at.number()))
            }
        }
    }

    /// The canonical form: capabilities in the order of the forest, from the roots in the order of what they say; a
    /// slot of the root table is known by the number of the capability in it.
    #[must_use]
    pub fn canonical(&self, subject: &Subject) -> Box<[u8]> {
        let order = order(subject);
        self.form(subject, Symmetry::Merged, &order, |at| {
            let number = order.iter().position(|&other| other == at && covers(Some(self.table()), at));
            // Behind all slots: they are told apart from those that keep their numbers.
            number.map_or(u64::from(at.number()), |number| u64::from(self.size) + number as u64)
        })
    }

    /// All that a state consists of, with slots named by `name`.
    fn form(
        &self,
        subject: &Subject,
        symmetry: Symmetry,
        order: &[SlotRef],
        name: impl Fn(SlotRef) -> u64,
    ) -> Box<[u8]> {
        let link = |at: Option<SlotRef>| at.map_or(0, &name);
        let mut form = Form::default();
        form.push(u64::from(subject.forest.marks()));
        form.push(link(subject.forest.dying()));
        for &at in order {
            let slot = subject.memory.peek(at);
            let Some(says) = slot.capability() else { continue };
            let links = slot.links();
            form.push(name(at));
            form.says(&says);
            for number in [
                u64::from(slot.state().bits()) << 8 | u64::from(links.depth),
                link(links.parent),
                link(links.first_child),
                link(links.next),
                link(links.previous),
                link(links.bound_next),
                link(links.bound_previous),
                slot.watermark().unwrap_or(0),
            ] {
                form.push(number);
            }
        }
        for (at, slot) in subject.memory.written() {
            if slot.state().contains(State::DYING) {
                for number in [name(at), u64::from(slot.swept().0), link(slot.links().next)] {
                    form.push(number);
                }
            }
        }
        if self.generations == Generations::Counted {
            let age = |at: SlotRef| {
                let slot = subject.memory.peek(at);
                let who = if slot.is_free() { 0 } else { name(at) };
                (who, u64::from(u32::MAX - slot.generation().0))
            };
            let mut ages: Vec<(u64, u64)> =
                (1..=self.slots).filter_map(|number| FIRST.offset(number)).map(age).collect();
            if symmetry == Symmetry::Merged {
                ages.sort_unstable();
            }
            for (who, age) in ages {
                form.push(who);
                form.push(age);
            }
        }
        form.0.into_boxed_slice()
    }
}

/// All capabilities in the order of the forest: roots by what they say, then children, the youngest first.
fn order(subject: &Subject) -> Vec<SlotRef> {
    let mut roots: Vec<SlotRef> = Vec::new();
    roots.extend(
        subject.memory.occupied().filter(|(_, slot)| slot.links().parent.is_none()).map(|(at, _)| at),
    );
    roots.sort_by_key(|&at| {
        let says = subject.memory.peek(at).capability();
        says.map(|says| (says.kind, says.object, says.size, says.rights.bits(), says.badge))
    });
    let mut all = Vec::new();
    for root in roots.into_iter() {
        let mut stack = vec![root];
        while let Some(at) = stack.pop() {
            all.push(at);
            let mut next = subject.memory.peek(at).links().first_child;
            let first = stack.len();
            while let Some(child) = next {
                stack.insert(first, child);
                next = subject.memory.peek(child).links().next;
            }
        }
    }
    all
}
