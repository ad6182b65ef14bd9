//! `cargo run -- caps`: a forest and a ledger, drawn step by step, so that a person can watch what the model does.
//!
//! Steps come from a [script] for people to write, which is played by `caps` and the specification side by side, with
//! every check after every step; or from a journal that a kernel kept. Each [`Step`] has the state after it.
//!
//! Reading order: [`script`] (the language), [`stage`] (what its lines do), [`recorded`] (steps of a journal), [`text`]
//! and [`picture`] (how steps are shown).

pub mod picture;
pub mod recorded;
pub mod script;
pub mod stage;
pub mod text;

use std::collections::BTreeMap;

use caps::{Effect, SlotRef};
use caps_spec::ledger::LedgerModel;

use crate::check::show::Tree;

/// One thing that happened, and what there was afterwards.
#[derive(Clone, Debug)]
pub struct Step {
    /// What was asked.
    pub asked: String,
    /// What was answered.
    pub answered: String,
    /// What the kernel is to do in consequence.
    pub effects: Vec<String>,
    /// The forest.
    pub tree: Tree,
    /// What people call its slots, where they do.
    pub names: BTreeMap<SlotRef, String>,
    /// The ledger, if there is one.
    pub ledger: Option<LedgerModel>,
}

/// What the kernel is to do, in a few words.
#[must_use]
pub fn effect_text(effect: &Effect) -> String {
    match effect {
        Effect::Destroy { kind, object, .. } => format!("tear down the {kind:?} {object:#x}"),
        Effect::Unbadge { object, badge } => format!("wake who waits at {object:#x} with badge {badge}"),
        Effect::Unbind { space, number, .. } => format!("unmap what binding {number} mapped in {space:#x}"),
        Effect::Lost { capability, .. } => format!("the {:?} it watches has gone", capability.kind),
    }
}

/// What became of a capability in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Same,
    /// It came to be, or came to this slot.
    New,
    /// It is marked otherwise, or says something else.
    Other,
    /// It went, or left this slot.
    Gone,
}

impl Step {
    /// What people call a slot: its name, or its place in a table.
    #[must_use]
    pub fn name(&self, at: SlotRef) -> String {
        self.names.get(&at).cloned().unwrap_or_else(|| self.tree.name(at))
    }

    /// What became of what is in a slot, by the step before.
    #[must_use]
    pub fn change(&self, before: Option<&Self>, at: SlotRef) -> Change {
        let was = before.and_then(|before| before.tree.0.get(&at));
        match (was, self.tree.0.get(&at)) {
            (_, None) => Change::Gone,
            (None, Some(_)) => Change::New,
            (Some(was), Some(is)) if was == is => Change::Same,
            (Some(_), Some(_)) => Change::Other,
        }
    }

    /// The slots of both states, in the order of this one's tree; what went comes below what it derived from.
    #[must_use]
    pub fn rows(&self, before: Option<&Self>) -> Vec<(SlotRef, usize)> {
        let mut both = self.tree.clone();
        for (at, node) in before.iter().flat_map(|before| &before.tree.0) {
            both.0.entry(*at).or_insert(*node);
        }
        both.in_order()
    }

    /// A capability in a few words, of this state or of the one before.
    #[must_use]
    pub fn describe(&self, before: Option<&Self>, at: SlotRef) -> String {
        let tree =
            if self.tree.0.contains_key(&at) { &self.tree } else { before.map_or(&self.tree, |it| &it.tree) };
        let text = tree.describe(at);
        let rest = text.split_once(' ').map_or("", |(_, rest)| rest);
        let named = self.names.get(&at).or(before.and_then(|before| before.names.get(&at)));
        format!("{} {rest}", named.cloned().unwrap_or_else(|| tree.name(at)))
    }
}
