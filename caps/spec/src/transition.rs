//! One operation, with every check there is: of the answer, of what was reported and emptied, and of the state after.

use std::collections::BTreeSet;

use caps::{Effect, SlotRef, Table};

use crate::invariant;
use crate::model::Model;
use crate::operation::{Operation, Outcome};
use crate::subject::Subject;

/// What was seen of one operation on the real code.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What it answered.
    pub outcome: Outcome,
    /// What it reported.
    pub effects: Vec<Effect>,
    /// The slots whose capability left them.
    pub gone: BTreeSet<SlotRef>,
    /// How often it touched a slot.
    pub touches: u64,
}

/// An operation between the two states that it was seen between.
#[derive(Clone, Copy, Debug)]
pub struct Transition<'a> {
    /// The state before.
    pub before: &'a Subject,
    /// The state after.
    pub after: &'a Subject,
    /// What was asked.
    pub operation: &'a Operation,
    /// What was seen.
    pub seen: &'a Seen,
    /// The tables that no capability stands for.
    pub fixed: &'a [Table],
}

/// How closely an operation is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scrutiny {
    /// The specification judges the operation, and every invariant is looked at.
    Everything,
    /// The specification judges it, and the invariants on one operation are looked at; for searches that look at those
    /// on one state once for each state.
    Operation,
    /// The specification judges it and compares the states: for long runs.
    Refinement,
}

impl Scrutiny {
    /// Everything, unless the environment asks for the comparison with the specification alone, to see what it is worth.
    #[must_use]
    pub fn asked() -> Self {
        if std::env::var_os("COMPARISON_ALONE").is_some() { Self::Refinement } else { Self::Everything }
    }
}

/// Carries an operation out on `after`, which is as `before` and whose journal is empty.
pub fn perform(before: &Subject, after: &mut Subject, operation: &Operation) -> Seen {
    let touched = after.memory.touched();
    let mut effects = Vec::new();
    let outcome = after.perform(operation, &mut effects);
    let touches = after.memory.touched() - touched;
    let left = |at: &&SlotRef| {
        let (old, new) = (before.memory.peek(**at), after.memory.peek(**at));
        !old.is_free() && (new.is_free() || new.generation() != old.generation())
    };
    let gone = after.memory.journal().iter().filter(left).copied().collect();
    Seen { outcome, effects, gone, touches }
}

impl Transition<'_> {
    /// Whether the state is as it was.
    #[must_use]
    pub fn changed_nothing(&self) -> bool {
        let same = |at: &SlotRef| self.before.memory.peek(*at) == self.after.memory.peek(*at);
        self.before.forest == self.after.forest && self.after.memory.journal().iter().all(same)
    }

    /// Everything that is to be said of it. `model` is the specification's state before, and becomes that after.
    pub fn check(&self, model: &mut Model, scrutiny: Scrutiny) -> Result<(), String> {
        let Seen { outcome, effects, gone, .. } = self.seen;
        if scrutiny == Scrutiny::Refinement {
            invariant::refusal::changes_nothing(self).map_err(|why| format!("I23 refines: {why}"))?;
        } else {
            invariant::check_transition(self)?;
        }
        model.judge(self.operation, outcome, gone, effects).map_err(|why| format!("I23 refines: {why}"))?;
        if outcome.is_err() {
            return Ok(());
        }
        model.compare(self.after).map_err(|why| format!("I23 refines: {why}"))?;
        if scrutiny == Scrutiny::Everything { invariant::check_state(self.after, self.fixed) } else { Ok(()) }
    }
}
