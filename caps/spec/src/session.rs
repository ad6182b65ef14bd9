//! A session: the real code and the specification side by side, with every check after every operation.

use std::collections::BTreeSet;

use caps::bounds::{MAX_DEPTH, PAGE};
use caps::{
    Capability, Change, Effect, Error, Generation, InFlight, Kind, Reset, Rights, Slot, SlotRef, Step, Table,
};

use crate::invariant::{self, authority::History, revocation};
use crate::model::Model;
use crate::operation::{Answer, Operation, Outcome};
use crate::subject::Subject;

/// What was reached: operations with what they answered.
pub type Reached = BTreeSet<(&'static str, Option<Error>)>;

/// Both sides of a comparison, and what happened so far.
#[derive(Clone, Debug)]
pub struct Session {
    /// The real code.
    pub subject: Subject,
    /// The specification.
    pub model: Model,
    /// The tables that no capability stands for: the kernel's root table.
    pub fixed: Vec<Table>,
    /// Every flight that was begun.
    pub flights: Vec<InFlight>,
    /// Every operation and its outcome, to be shown when something is wrong.
    pub log: Vec<(Operation, Outcome)>,
    /// What was reached.
    pub reached: Reached,
    history: History,
}

impl Session {
    /// The same, and a chain of derivation as deep as can be: copies of an Untyped, or of a Region of it.
    #[must_use]
    pub fn tall(kind: Kind) -> Self {
        let mut session = Self::new();
        let (untyped, mut depth) = (FIRST.offset(1), 0);
        let mut top = untyped;
        if kind == Kind::Region {
            (top, depth) = (FIRST.offset(5), 1);
            let made = untyped.zip(top).map(|(untyped, dest)| {
                session.apply(&Operation::Retype { untyped, dest, kind, bytes: 2 * PAGE, align: 1 })
            });
            assert!(matches!(made, Some(Ok(Ok(_)))), "{made:?}");
        }
        for depth in depth + 1..u32::from(MAX_DEPTH) {
            let change = Change::rights(Rights::all());
            let next = FIRST.offset(5 + depth);
            let made = top
                .zip(next)
                .map(|(parent, dest)| session.apply(&Operation::Derive { parent, dest, change }));
            assert!(matches!(made, Some(Ok(Ok(_)))), "{made:?}");
            top = next;
        }
        session
    }

    /// One of the beginnings, by number.
    #[must_use]
    pub fn variant(number: u8) -> Self {
        match number % 4 {
            0 => Self::tall(Kind::Region),
            1 => Self::tall(Kind::Untyped),
            _ => Self::new(),
        }
    }

    /// A root table of 40 slots, some of them nearly worn out, with two Untypeds of 16 and 8 pages and a few roots of
    /// the kinds that the ledger plants.
    #[must_use]
    pub fn new() -> Self {
        let mut session = Self::empty(64 * 25, 40);
        for (number, age) in [(36, u32::MAX - 1), (37, u32::MAX - 2), (38, u32::MAX), (39, 7)] {
            session.age(number, age);
        }
        let roots = [
            Capability::new(Kind::Untyped, Rights::all(), PAGE, 16 * PAGE),
            Capability::new(Kind::Untyped, Rights::all(), 17 * PAGE, 8 * PAGE),
            Capability::new(Kind::Core, Rights::all(), 3, 0),
            Capability::new(Kind::DebugConsole, Rights::CALL | Rights::DERIVE, 0, 0),
        ];
        for (number, capability) in (1..).zip(roots) {
            let planted =
                FIRST.offset(number).map(|dest| session.apply(&Operation::Plant { dest, capability }));
            assert!(matches!(planted, Some(Ok(Ok(_)))), "{planted:?}");
        }
        session
    }

    /// This many cleared slots, the first few of which are the root table.
    #[must_use]
    pub fn empty(slots: u32, table: u32) -> Self {
        Self {
            subject: Subject::new(slots),
            model: Model::default(),
            fixed: vec![Table { first: FIRST, count: table }],
            flights: Vec::new(),
            log: Vec::new(),
            reached: Reached::new(),
            history: History::default(),
        }
    }

    /// Lets a slot of the root table be as if it had been emptied this often.
    pub fn age(&mut self, number: u32, times: u32) {
        if let Some(at) = FIRST.offset(number) {
            self.subject.memory.set(at, Slot::free(Generation(times)));
            self.model.emptied.insert(at, times);
        }
    }

    /// Carries an operation out on both sides and checks everything. The error says what is wrong.
    pub fn apply(&mut self, operation: &Operation) -> Result<Outcome, String> {
        let before = self.subject.clone();
        let mut effects: Vec<Effect> = Vec::new();
        let outcome = self.subject.perform(operation, &mut effects);
        let touched = self.subject.memory.touched() - before.memory.touched();
        self.log.push((*operation, outcome));
        self.reached.insert((operation.name(), outcome.err()));
        if let Ok(Answer::Ticket(ticket)) = outcome {
            self.flights.push(ticket);
        }
        let gone: BTreeSet<SlotRef> = before
            .memory
            .occupied()
            .filter(|(at, slot)| {
                let now = self.subject.memory.peek(*at);
                now.is_free() || now.generation() != slot.generation()
            })
            .map(|(at, _)| at)
            .collect();

        self.check_total(operation, &outcome, &before)?;
        check_step(operation, &outcome, &before, &self.subject, touched)?;
        self.model
            .judge(operation, &outcome, &gone, &effects)
            .and_then(|()| self.model.compare(&self.subject))
            .map_err(|why| format!("I23 refines: {why}"))?;
        let cleared = cleared_by(operation, &outcome, &before);
        self.history
            .no_resurrection(&self.subject, |at| gone.contains(&at), cleared)
            .map_err(|why| format!("I5 no resurrection: {why}"))?;
        invariant::check_all(&self.subject, &self.fixed)?;
        Ok(outcome)
    }

    /// I25: each error is one that the operation's documentation names, and an error changes nothing.
    fn check_total(&self, operation: &Operation, outcome: &Outcome, before: &Subject) -> Result<(), String> {
        let Err(error) = outcome else { return Ok(()) };
        if !operation.errors().contains(error) {
            return Err(format!("I25 total: {error} is not documented for {}", operation.name()));
        }
        let same = (1..before.memory.len())
            .filter_map(SlotRef::new)
            .all(|at| before.memory.peek(at) == self.subject.memory.peek(at));
        if before.forest != self.subject.forest || !same {
            return Err(format!("I23 refines: {} answered {error} and changed something", operation.name()));
        }
        Ok(())
    }

    /// Finishes every removal there is, step by step with this budget, checking each step; and that it ends after as
    /// many steps as there can be work for. Then ends every reset.
    pub fn finish(&mut self, budget: u32) -> Result<(), String> {
        let slots = self.subject.memory.len();
        let bound = 4 * (slots / budget.max(1) + 8);
        for _ in 0..bound {
            match self.pending(budget) {
                None => return Ok(()),
                Some(operation) => {
                    let outcome = self.apply(&operation)?;
                    if let Ok(Answer::Reset(Reset::Clear(used))) = outcome {
                        let untyped = match operation {
                            Operation::ResetStep { untyped, .. } => untyped,
                            _ => return Err("a reset without an Untyped".into()),
                        };
                        let _ = self.apply(&Operation::ResetCleared { untyped, bytes: used.bytes })?;
                    }
                }
            }
        }
        Err(format!("I17 bounded: not done after {bound} steps of {budget}"))
    }

    /// Something that was begun and not finished.
    #[must_use]
    pub fn pending(&self, budget: u32) -> Option<Operation> {
        let place = |id: &u64| self.model.caps[id].place;
        let resetting = |id: &&u64| {
            let first = self.model.first_of(**id);
            self.model.resetting.contains(&first) && self.model.check_resetting(place(id)).is_ok()
        };
        if let Some(id) = self.model.deleting.iter().next() {
            return Some(Operation::DeleteStep { at: place(id), budget });
        }
        if let Some(id) = self.model.revoking.iter().find(resetting) {
            return Some(Operation::ResetStep { untyped: place(id), budget });
        }
        if let Some(id) = self.model.revoking.iter().next() {
            return Some(Operation::RevokeStep { root: place(id), budget });
        }
        self.subject.forest.dying().map(|_| Operation::SweepStep { budget })
    }

    /// The operations so far, one a line, as a story to read and to run again.
    #[must_use]
    pub fn story(&self) -> String {
        let line = |(operation, outcome): &(Operation, Outcome)| match outcome {
            Ok(answer) => format!("{operation:?} -> {answer:?}\n"),
            Err(error) => format!("{operation:?} -> refused, {error}\n"),
        };
        self.log.iter().map(line).collect()
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

/// The header of the root table.
const FIRST: SlotRef = match SlotRef::new(8) {
    Some(first) => first,
    None => panic!("there is no slot 0"),
};

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
