//! One operation, with every check there is: of the answer, of what was reported and emptied, and of the state after.

use std::collections::BTreeSet;

use caps::{Effect, Reset, Slot, SlotRef, Step, Table};

use crate::invariant::{self, authority::History, revocation};
use crate::model::Model;
use crate::operation::{Answer, Operation, Outcome};
use crate::subject::Subject;

/// Carries an operation out on the real code and has the specification judge it. The second part of the answer says
/// what is wrong.
pub fn transition(
    subject: &mut Subject,
    model: &mut Model,
    history: &mut History,
    fixed: &[Table],
    operation: &Operation,
) -> (Outcome, Result<(), String>) {
    let before = subject.clone();
    let mut effects: Vec<Effect> = Vec::new();
    let outcome = subject.perform(operation, &mut effects);
    let touched = subject.memory.touched() - before.memory.touched();
    let gone: BTreeSet<SlotRef> = before
        .memory
        .occupied()
        .filter(|(at, slot)| {
            let now = subject.memory.peek(*at);
            now.is_free() || now.generation() != slot.generation()
        })
        .map(|(at, _)| at)
        .collect();
    let wrong = check_total(operation, &outcome, &before, subject)
        .and_then(|()| check_foretold(operation, &outcome, &before))
        .and_then(|()| check_step(operation, &outcome, &before, subject, touched))
        .and_then(|()| {
            model
                .judge(operation, &outcome, &gone, &effects)
                .and_then(|()| model.compare(subject))
                .map_err(|why| format!("I23 refines: {why}"))
        })
        .and_then(|()| {
            let cleared = cleared_by(operation, &outcome, &before);
            history
                .no_resurrection(subject, |at| gone.contains(&at), cleared)
                .map_err(|why| format!("I5 no resurrection: {why}"))
        })
        .and_then(|()| invariant::check_all(subject, fixed));
    (outcome, wrong)
}

/// I23 for `check_derivable`: what it refuses cannot be derived, and what it allows fails only for what the copy is to
/// be and where it is to go.
fn check_foretold(operation: &Operation, outcome: &Outcome, before: &Subject) -> Result<(), String> {
    use caps::Error::{BadRange, InvalidArgument, MissingRight, SlotOccupied, SlotRetired};
    let Operation::Derive { parent, .. } = *operation else { return Ok(()) };
    let foretold = before.forest.check_derivable(&before.memory, parent);
    let agrees = match (foretold, outcome) {
        (Err(_), outcome) => outcome.is_err(),
        (Ok(()), Err(error)) => {
            [BadRange, InvalidArgument, MissingRight, SlotOccupied, SlotRetired].contains(error)
        }
        (Ok(()), Ok(_)) => true,
    };
    if agrees { Ok(()) } else { Err(format!("I23 refines: foretold {foretold:?}, answered {outcome:?}")) }
}

/// I25: each error is one that the operation's documentation names, and an error changes nothing.
fn check_total(
    operation: &Operation,
    outcome: &Outcome,
    before: &Subject,
    after: &Subject,
) -> Result<(), String> {
    let Err(error) = outcome else { return Ok(()) };
    if !operation.errors().contains(error) {
        return Err(format!("I25 total: {error} is not documented for {}", operation.name()));
    }
    if before.forest != after.forest || !before.memory.same_slots(&after.memory) {
        return Err(format!("I23 refines: {} answered {error} and changed something", operation.name()));
    }
    Ok(())
}

/// I16, I17, I18 on a step of a removal.
fn check_step(
    operation: &Operation,
    outcome: &Outcome,
    before: &Subject,
    after: &Subject,
    touched: u64,
) -> Result<(), String> {
    let children = |root: SlotRef| -> BTreeSet<SlotRef> {
        let child = |slot: &Slot| slot.links().parent == Some(root);
        before.memory.occupied().filter(|(_, slot)| child(slot)).map(|(at, _)| at).collect()
    };
    let (named, root, budget) = match *operation {
        Operation::RevokeStep { root, budget } => (children(root), Some(root), budget),
        Operation::ResetStep { untyped, budget } => (children(untyped), Some(untyped), budget),
        Operation::DeleteStep { at, budget } => (BTreeSet::from([at]), Some(at), budget),
        Operation::SweepStep { budget } => (BTreeSet::new(), None, budget),
        Operation::Move { source, .. } => return unless_moved(before, after, source),
        Operation::Land { ticket, .. } => return unless_moved(before, after, ticket.slot),
        _ => return revocation::framed(before, after, &BTreeSet::new()),
    };
    if outcome.is_err() {
        return Ok(());
    }
    if touched > revocation::touch_bound(budget) {
        return Err(format!("I17 bounded: {touched} touches with a budget of {budget}"));
    }
    revocation::framed(before, after, &named)?;
    if let Operation::DeleteStep { at, .. } = *operation
        && revocation::takes_nothing_along(before, at)
    {
        return Ok(());
    }
    match outcome {
        Ok(Answer::Step(Step::Done) | Answer::Reset(Reset::Clear(_) | Reset::Done)) => {
            revocation::complete(after, root)
        }
        _ => Ok(()),
    }
}

/// A move empties its source and nothing else.
fn unless_moved(before: &Subject, after: &Subject, source: SlotRef) -> Result<(), String> {
    let lost = |(at, slot): &(SlotRef, &Slot)| {
        *at != source && after.memory.peek(*at).generation() != slot.generation()
    };
    match before.memory.occupied().find(lost) {
        Some((at, _)) => Err(format!("I18 framed: a move emptied {at:?}")),
        None => Ok(()),
    }
}

/// Which slots an operation cleared as memory.
fn cleared_by(
    operation: &Operation,
    outcome: &Outcome,
    before: &Subject,
) -> impl Fn(SlotRef) -> bool + use<> {
    let range = match (*operation, outcome) {
        (Operation::ResetCleared { untyped, bytes }, Ok(_)) => {
            let first = before.forest.first_of(&before.memory, untyped);
            let slot = before.memory.peek(first);
            let start = slot.capability().map_or(0, |says| says.object);
            let end = start + slot.watermark().unwrap_or(0);
            end - bytes..end
        }
        _ => 0..0,
    };
    move |at: SlotRef| range.contains(&at.address())
}
