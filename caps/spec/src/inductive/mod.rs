//! Inductiveness: from *every* well-formed state, reachable or not, every operation leads to a well-formed state.
//!
//! A search of what is reachable says nothing of a state that it did not reach because its world was too small. Here states
//! are not reached but written ([`crate::forge`]): a family describes all candidates of so many capabilities by the choices
//! that make one, those in which every invariant holds are kept, and every operation is tried in each. The same choices
//! made at random give samples of larger ones.
//!
//! Reading order: this file (candidates and the search), `families` (what is chosen).

mod families;

use std::collections::HashSet;

use caps::{Capability, Kind, Links, SlotRef, State};

use crate::forge;
use crate::invariant;
use crate::layout::Fields;
use crate::play::numbers;
use crate::small::{Extent, World};
use crate::subject::Subject;

pub use families::FAMILIES;

/// A way to describe states.
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// The slots that such a state has and the operations that are tried.
    pub world: fn(slots: u32) -> World,
    /// Makes a candidate of this many capabilities, by choices; `None` if these choices do not make one.
    pub candidate: fn(&mut Chooser, usize) -> Option<Plan>,
}

/// Makes choices: one after another until all were made, or at random.
pub struct Chooser {
    path: Vec<(usize, usize)>,
    at: usize,
    random: Option<Box<dyn Iterator<Item = u64>>>,
}

impl Chooser {
    /// All choices, in order.
    #[must_use]
    pub fn all() -> Self {
        Self { path: Vec::new(), at: 0, random: None }
    }

    /// Choices from a seed.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        Self { random: Some(Box::new(numbers(seed))), ..Self::all() }
    }

    /// One of `0..of`.
    pub fn pick(&mut self, of: usize) -> usize {
        if let Some(random) = &mut self.random {
            return usize::try_from(random.next().unwrap_or(0) >> 16).unwrap_or(0) % of;
        }
        if self.at == self.path.len() {
            self.path.push((0, of));
        }
        self.at += 1;
        self.path[self.at - 1].0
    }

    /// Whether or not.
    pub fn flip(&mut self) -> bool {
        self.pick(2) == 1
    }

    /// Goes to the next row of choices; false if there is none.
    pub fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some((choice, of)) = self.path.pop() {
            if choice + 1 < of {
                self.path.push((choice + 1, of));
                return true;
            }
        }
        false
    }
}

/// A capability of a candidate.
#[derive(Clone, Debug)]
pub struct Node {
    /// The number of its parent among the nodes before it. Of two siblings, the later is the younger.
    pub parent: Option<usize>,
    /// What it says.
    pub says: Capability,
    /// Its marks.
    pub state: State,
    /// Where it is.
    pub place: SlotRef,
    /// How often its slot was emptied.
    pub generation: u32,
    /// Untyped: bytes used.
    pub used: u64,
}

/// The header of a table that is dying.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Where.
    pub place: SlotRef,
    /// How far it was swept.
    pub swept: u64,
    /// Whether it is on the list; the order is that of the headers.
    pub listed: bool,
}

/// A candidate.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Its capabilities; the bindings of a space are listed in this order.
    pub nodes: Vec<Node>,
    /// Its dying tables, of two slots each.
    pub headers: Vec<Header>,
    /// Free slots that are not new.
    pub aged: Vec<(SlotRef, u32)>,
}

impl Plan {
    /// The state that it describes.
    #[must_use]
    pub fn build(&self, size: u32) -> Subject {
        let mut subject = Subject::new(size);
        let marks = self.nodes.iter().map(|node| node.state & (State::REVOKING | State::DELETING));
        let marks: usize = marks.map(|marks| marks.iter().count()).sum();
        let listed: Vec<SlotRef> =
            self.headers.iter().filter(|header| header.listed).map(|header| header.place).collect();
        subject.forest = forge::forest(u32::try_from(marks).unwrap_or(0), listed.first().copied());
        for (place, generation) in &self.aged {
            subject.memory.set(*place, Fields::free(*generation).forge());
        }
        for header in &self.headers {
            let next = listed.iter().skip_while(|&&at| at != header.place).nth(1).copied();
            let mut fields = Fields { state: State::DYING, word: header.swept, count: 2, ..Fields::free(0) };
            fields.links.next = next;
            subject.memory.set(header.place, fields.forge());
        }
        for (number, node) in self.nodes.iter().enumerate() {
            let generation = node.generation;
            let links = self.links(number);
            let fields = Fields { generation, links, word: node.used, ..Fields::new(node.says, node.state) };
            subject.memory.set(node.place, fields.forge());
        }
        subject.memory.forget_journal();
        subject
    }

    fn links(&self, number: usize) -> Links {
        let node = &self.nodes[number];
        let place = |number: usize| self.nodes[number].place;
        let siblings = |parent: Option<usize>| -> Vec<usize> {
            let of = |&other: &usize| parent.is_some() && self.nodes[other].parent == parent;
            (0..self.nodes.len()).rev().filter(of).collect()
        };
        let (children, mine) = (siblings(Some(number)), siblings(node.parent));
        let at = mine.iter().position(|&other| other == number).unwrap_or(0);
        let bindings = |space: u64| -> Vec<usize> {
            let of = |&other: &usize| {
                let says = self.nodes[other].says;
                says.kind == Kind::Binding && says.space == space
            };
            (0..self.nodes.len()).filter(of).collect()
        };
        let (mut bound_next, mut bound_previous) = (None, None);
        if node.says.kind == Kind::AddressSpace && !node.state.contains(State::COPY) {
            bound_next = bindings(node.says.object).first().copied().map(place);
        } else if node.says.kind == Kind::Binding {
            let list = bindings(node.says.space);
            let at = list.iter().position(|&other| other == number).unwrap_or(0);
            let space = self.nodes.iter().find(|other| {
                other.says.kind == Kind::AddressSpace
                    && other.says.object == node.says.space
                    && !other.state.contains(State::COPY)
            });
            bound_next = list.get(at + 1).copied().map(place);
            bound_previous = if at > 0 { Some(place(list[at - 1])) } else { space.map(|space| space.place) };
        }
        let depth = std::iter::successors(node.parent, |&above| self.nodes[above].parent).count();
        Links {
            parent: node.parent.map(place),
            first_child: children.first().copied().map(place),
            next: mine.get(at + 1).copied().map(place),
            previous: if at > 0 { Some(place(mine[at - 1])) } else { None },
            bound_next,
            bound_previous,
            depth: u8::try_from(depth).unwrap_or(u8::MAX),
        }
    }
}

impl Family {
    /// Every well-formed state of up to this many capabilities, and every operation in each.
    pub fn search(&self, most: usize) -> Result<Extent, String> {
        let mut extent = Extent { complete: true, ..Extent::default() };
        for count in 1..=most {
            let mut seen = HashSet::new();
            let mut chooser = Chooser::all();
            loop {
                if let Some(plan) = (self.candidate)(&mut chooser, count) {
                    self.try_candidate(&plan, &mut extent, |key| seen.insert(key))?;
                }
                if !chooser.advance() {
                    break;
                }
            }
        }
        Ok(extent)
    }

    /// Well-formed states of exactly this many capabilities, by so many rows of random choices.
    pub fn sample(&self, count: usize, seed: u64, rows: usize) -> Result<Extent, String> {
        let mut extent = Extent::default();
        let mut chooser = Chooser::random(seed);
        for _ in 0..rows {
            if let Some(plan) = (self.candidate)(&mut chooser, count) {
                self.try_candidate(&plan, &mut extent, |_| true)?;
            }
        }
        Ok(extent)
    }

    fn try_candidate(
        &self,
        plan: &Plan,
        extent: &mut Extent,
        is_new: impl FnOnce(Box<[u8]>) -> bool,
    ) -> Result<(), String> {
        let world = (self.world)(u32::try_from(plan.nodes.len()).unwrap_or(0) + 1);
        let (subject, fixed) = (plan.build(world.size), [world.table()]);
        if invariant::check_state(&subject, &fixed).is_err() || !is_new(world.canonical(&subject)) {
            return Ok(());
        }
        extent.states += 1;
        world
            .expand(&subject, extent, |_, after| invariant::check_state(after, &fixed))
            .map_err(|(operation, why)| format!("{}: {why}\nafter {operation:?}\nin {plan:#?}", self.name))
    }
}
