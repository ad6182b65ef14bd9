//! The steps of a journal: what a real kernel did.

use std::collections::BTreeMap;

use caps_spec::operation::Operation;

use super::{Step, effect_text, stage};
use crate::check::entry::{Asked, Entry};
use crate::check::journal::Journal;
use crate::check::replay::Replay;
use crate::check::show::Tree;
use crate::failure::Result;

/// Which steps of a journal to show.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Of which kernel, by the order in which they began, from 1.
    pub kernel: u16,
    /// How many of its changes to leave out first.
    pub skip: usize,
    /// How many to show at most.
    pub count: usize,
}

/// The steps. Questions are left out, and so is what other kernels did; the ledger is shown as it stood.
///
/// # Errors
/// When the journal makes no sense, or is not as specified.
pub fn steps(journal: &Journal, wanted: Wanted) -> Result<Vec<Step>> {
    let (mut replay, mut steps, mut changes) = (Replay::default(), Vec::new(), 0);
    for record in journal.records() {
        let (head, words) = record?;
        replay.apply(head, words)?;
        if head.code.is_of_ledger() || head.kernel != wanted.kernel || steps.len() >= wanted.count {
            continue;
        }
        let Some(Entry::Forest(_, entry)) = Entry::read(head, words) else { continue };
        let Asked::Operation(operation) = entry.asked else { continue };
        if matches!(operation, Operation::Lookup { .. } | Operation::Locate { .. }) {
            continue;
        }
        changes += 1;
        if changes <= wanted.skip {
            continue;
        }
        let Some(kernel) = replay.kernels.get(&wanted.kernel) else { continue };
        let tree = Tree::of_model(&kernel.forest.model);
        let before = steps.last().map_or_else(|| tree.clone(), |step: &Step| step.tree.clone());
        steps.push(Step {
            asked: asked(&operation, &before, &tree),
            answered: stage::answer(&entry.outcome),
            effects: entry.effects.iter().map(effect_text).collect(),
            tree,
            names: BTreeMap::new(),
            ledger: replay.ledger.model.clone(),
        });
    }
    Ok(steps)
}

/// An operation, with the slots called as pictures call them.
#[must_use]
pub fn asked(operation: &Operation, before: &Tree, after: &Tree) -> String {
    let name = |at| if before.0.contains_key(&at) { before.name(at) } else { after.name(at) };
    match *operation {
        Operation::Plant { dest, capability } => format!("plant {:?} in {}", capability.kind, name(dest)),
        Operation::Derive { parent, dest, .. } => format!("derive {} from {}", name(dest), name(parent)),
        Operation::Replace { parent, dest } => {
            format!("ask to replace {} by a copy of {}", name(dest), name(parent))
        }
        Operation::Retype { untyped, dest, kind, bytes, .. } => {
            format!("retype {} as {kind:?} of {bytes:#x} bytes, from {}", name(dest), name(untyped))
        }
        Operation::Bind { region, space, dest, number } => {
            format!("bind {} to {}: {}, number {number}", name(region), name(space), name(dest))
        }
        Operation::Move { source, dest } => format!("move {} to {}", name(source), name(dest)),
        Operation::Lock { source } => format!("lock {}", name(source)),
        Operation::Unlock { ticket } => format!("unlock {}", name(ticket.slot)),
        Operation::Land { ticket, dest } => format!("land {} in {}", name(ticket.slot), name(dest)),
        Operation::Watch { at } => format!("watch {}", name(at)),
        Operation::MarkRevoking { root } => format!("mark {}", name(root)),
        Operation::RevokeStep { root, budget } => format!("revoke below {}, by {budget}", name(root)),
        Operation::DeleteStep { at, budget } => format!("delete {}, by {budget}", name(at)),
        Operation::SweepStep { budget } => format!("sweep by {budget}"),
        Operation::ResetBegin { untyped } => format!("reset {}", name(untyped)),
        Operation::ResetStep { untyped, budget } => format!("reset {}, by {budget}", name(untyped)),
        Operation::ResetCleared { untyped, bytes } => {
            format!("{bytes:#x} bytes of {} are cleared", name(untyped))
        }
        Operation::Lookup { table, handle, .. } | Operation::Locate { table, handle } => table
            .first
            .offset(handle.index().0)
            .map_or("a lookup".to_owned(), |at| format!("look up {}", name(at))),
        Operation::Vacant { .. } => "ask for a vacant slot".to_owned(),
    }
}
