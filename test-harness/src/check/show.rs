//! States as text: forests as trees, the ledger as lists, two of them side by side where they differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use caps::ledger::Holder;
use caps::{Capability, Kind, Rights, SlotRef, State, Table};
use caps_spec::layout::Fields;
use caps_spec::ledger::LedgerModel;
use caps_spec::model::Model;

/// How many capabilities a difference shows of each state.
const SHOWN: usize = 40;

/// A capability in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it was derived from.
    pub parent: Option<SlotRef>,
    /// What it says.
    pub says: Capability,
    /// What goes on with it.
    pub state: State,
    /// Bytes used of an Untyped.
    pub used: Option<u64>,
}

/// The capabilities of a forest, by their slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<SlotRef, Node>);

impl Tree {
    /// The specification's.
    #[must_use]
    pub fn of_model(model: &Model) -> Self {
        let node = |(&id, cap): (&u64, &caps_spec::model::Cap)| {
            let (parent, state) = (model.parent_of(id), model.state_of(id));
            (cap.place, Node { parent, says: cap.says, state, used: model.used.get(&id).copied() })
        };
        Self(model.caps.iter().map(node).collect())
    }

    /// Of slots as they lie in memory.
    #[must_use]
    pub fn of_slots(slots: &BTreeMap<SlotRef, Fields>) -> Self {
        let node = |(&at, view): (&SlotRef, &Fields)| {
            let state = view.state.difference(State::ENLISTED);
            let node = Node { parent: view.links.parent, says: view.says?, state, used: view.watermark() };
            Some((at, node))
        };
        Self(slots.iter().filter_map(node).collect())
    }

    /// The tables that its capabilities have, in the order of their addresses, each with the slots of its first
    /// capability.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        let firsts = self.0.values().filter(|node| !node.state.contains(State::COPY));
        let mut tables: Vec<Table> = firsts.filter_map(|node| node.says.table()).collect();
        tables.sort_by_key(|table| table.first);
        tables
    }

    /// A short name of a slot: the number of its table here, and its index there.
    #[must_use]
    pub fn name(&self, at: SlotRef) -> String {
        let inside = |table: &Table| {
            at.number().checked_sub(table.first.number()).filter(|index| *index < table.count)
        };
        let found = (1..).zip(self.tables()).find_map(|(number, table)| Some((number, inside(&table)?)));
        match found {
            Some((number, index)) => format!("{number}.{index}"),
            None => format!("{:#x}", at.address()),
        }
    }

    /// One line for each capability, children below their parents and further in.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines(|_| true, &BTreeSet::new())
    }

    fn lines(&self, shown: impl Fn(SlotRef) -> bool, marked: &BTreeSet<SlotRef>) -> String {
        let mut text = String::new();
        for (at, depth) in self.in_order().into_iter().filter(|(at, _)| shown(*at)) {
            let mark = if marked.contains(&at) { "! " } else { "" };
            let line = self.describe(at);
            let _ = writeln!(text, "{:depth$}{mark}{line}", "", depth = 2 * depth);
        }
        text
    }

    /// All slots, parents before their children, with how deep they are.
    #[must_use]
    pub fn in_order(&self) -> Vec<(SlotRef, usize)> {
        let mut children: BTreeMap<Option<SlotRef>, Vec<SlotRef>> = BTreeMap::new();
        for (&at, node) in &self.0 {
            // What derives from something that is not there stands at the top, so that it is seen.
            let parent = node.parent.filter(|parent| self.0.contains_key(parent) && *parent != at);
            children.entry(parent).or_default().push(at);
        }
        let mut order = Vec::new();
        let mut left: Vec<(SlotRef, usize)> =
            children.remove(&None).into_iter().flatten().rev().map(|at| (at, 0)).collect();
        while let Some((at, depth)) = left.pop() {
            order.push((at, depth));
            left.extend(children.remove(&Some(at)).into_iter().flatten().rev().map(|at| (at, depth + 1)));
        }
        order
    }

    /// What is in a slot, in one line.
    #[must_use]
    pub fn describe(&self, at: SlotRef) -> String {
        let Some(node) = self.0.get(&at) else { return String::new() };
        let (says, name) = (node.says, self.name(at));
        let mut text = format!("{name} {}", what(&says));
        if let Some(used) = node.used {
            let _ = write!(text, ", {used:#x} used");
        }
        for (state, word) in STATES {
            if node.state.contains(*state) {
                let _ = write!(text, ", {word}");
            }
        }
        text
    }
}

/// What goes on with a capability, in words.
pub const STATES: &[(State, &str)] = &[
    (State::COPY, "copy"),
    (State::LOCKED, "in flight"),
    (State::REVOKING, "REVOKING"),
    (State::DELETING, "DELETING"),
    (State::RESETTING, "RESETTING"),
    (State::WATCHED, "watched"),
];

/// What a capability says, in a few words.
#[must_use]
pub fn what(says: &Capability) -> String {
    let Capability { kind, rights, badge, object, size, space, number } = *says;
    let mut text = format!("{kind:?} {object:#x}");
    match kind {
        Kind::Untyped | Kind::Region => drop(write!(text, "+{size:#x}")),
        Kind::CSpace => drop(write!(text, " of {size} slots")),
        Kind::Binding => drop(write!(text, "+{size:#x} number {number} in {space:#x}")),
        _ => {}
    }
    if badge != 0 {
        let _ = write!(text, " badge {badge}");
    }
    let letters = [
        (Rights::READ, 'r'),
        (Rights::WRITE, 'w'),
        (Rights::EXECUTE, 'x'),
        (Rights::DERIVE, 'd'),
        (Rights::CALL, 'c'),
        (Rights::RECEIVE, 'v'),
        (Rights::MANAGE, 'm'),
    ];
    text.push(' ');
    text.extend(letters.iter().map(|(right, letter)| if rights.contains(*right) { *letter } else { '-' }));
    text
}

/// Two states of a forest that should be one: what differs is marked, what does not and is not above that is left out.
#[must_use]
pub fn both(specified: &Tree, real: &Tree, about: &BTreeSet<SlotRef>) -> String {
    let places: BTreeSet<SlotRef> = specified.0.keys().chain(real.0.keys()).copied().collect();
    let differ: BTreeSet<SlotRef> =
        places.into_iter().filter(|at| specified.0.get(at) != real.0.get(at)).collect();
    let mut shown = BTreeSet::new();
    for at in differ.iter().chain(about).take(SHOWN) {
        let mut next = Some(*at);
        while let Some(at) = next.filter(|at| shown.insert(*at)) {
            next = real.0.get(&at).or(specified.0.get(&at)).and_then(|node| node.parent);
        }
    }
    let mut text = String::new();
    for (whose, tree) in [("specified", specified), ("in memory", real)] {
        let there = tree.0.keys().filter(|at| shown.contains(at)).count();
        let _ = writeln!(text, "{whose}, {there} of {} capabilities:", tree.0.len());
        text.push_str(&tree.lines(|at| shown.contains(&at), &differ));
    }
    text
}

/// The ledger: who has which cores and lots.
#[must_use]
pub fn ledger(model: &LedgerModel) -> String {
    let mut text = String::new();
    for (subos, life) in &model.suboses {
        let _ =
            writeln!(text, "subOS {} ({life:?}, the {}. of its number)", subos.index, subos.generation + 1);
    }
    for (core, holder) in &model.cores {
        let _ = writeln!(text, "core {core}: {}", holder_text(*holder));
    }
    for (id, lot) in &model.lots {
        let (first, last) = (lot.chunks.first().copied(), lot.chunks.last().copied());
        let (first, last) = (first.unwrap_or(0), last.unwrap_or(0));
        let holder = holder_text(lot.holder);
        let _ = writeln!(text, "lot {} (seat {}), chunks {first} to {last}: {holder}", id.index, lot.seat);
    }
    let (pool, lost) = (model.pool.len(), model.quarantined.len());
    let _ = writeln!(text, "{pool} chunks free, {lost} quarantined, {} reserved", model.reserved.len());
    text
}

/// Who has something, in words.
#[must_use]
pub fn holder_text(holder: Holder) -> String {
    match holder {
        Holder::Reserved => "reserved".to_owned(),
        Holder::Pool => "free".to_owned(),
        Holder::SubOs(subos) => format!("subOS {}", subos.index),
        Holder::Leaving(subos, phase) => format!("leaving subOS {}, {phase:?}", subos.index),
        Holder::Quarantined => "quarantined".to_owned(),
    }
}
