//! A game: the real code and the specification side by side, with every check after every operation.

use std::collections::BTreeSet;
use std::ops::Range;

use caps::bounds::{MAX_DEPTH, PAGE};
use caps::{
    Capability, Change, Error, Forest, Generation, InFlight, Kind, Reset, Rights, Slot, SlotRef, Table,
};

use crate::model::Model;
use crate::operation::{Answer, Operation, Outcome};
use crate::subject::{Memory, Subject};
use crate::transition::{Scrutiny, Transition, perform};

/// What was reached: operations with what they answered.
pub type Reached = BTreeSet<(&'static str, Option<Error>)>;

/// Both sides of a comparison, and what happened so far.
#[derive(Clone, Debug)]
pub struct Game {
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
    /// How closely each operation is looked at.
    pub scrutiny: Scrutiny,
    /// The real code before the last operation.
    before: Subject,
}

impl Game {
    /// The same, and a chain of derivation as deep as can be: copies of an Untyped, or of a Region of it.
    #[must_use]
    pub fn tall(kind: Kind) -> Self {
        let mut game = Self::new();
        let (untyped, mut depth) = (FIRST.offset(1), 0);
        let mut top = untyped;
        if kind == Kind::Region {
            (top, depth) = (FIRST.offset(5), 1);
            let made = untyped.zip(top).map(|(untyped, dest)| {
                game.apply(&Operation::Retype { untyped, dest, kind, bytes: 2 * PAGE, align: 1 })
            });
            assert!(matches!(made, Some(Ok(Ok(_)))), "{made:?}");
        }
        for depth in depth + 1..u32::from(MAX_DEPTH) {
            let change = Change::rights(Rights::all());
            let next = FIRST.offset(5 + depth);
            let made =
                top.zip(next).map(|(parent, dest)| game.apply(&Operation::Derive { parent, dest, change }));
            assert!(matches!(made, Some(Ok(Ok(_)))), "{made:?}");
            top = next;
        }
        game
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
        let mut game = Self::empty(64 * 25, 40);
        for (number, age) in [(36, u32::MAX - 1), (37, u32::MAX - 2), (38, u32::MAX), (39, 7)] {
            game.age(number, age);
        }
        let roots = [
            Capability::new(Kind::Untyped, Rights::all(), PAGE, 16 * PAGE),
            Capability::new(Kind::Untyped, Rights::all(), 17 * PAGE, 8 * PAGE),
            Capability::new(Kind::Core, Rights::all(), 3, 0),
            Capability::new(Kind::DebugConsole, Rights::CALL | Rights::DERIVE, 0, 0),
        ];
        for (number, capability) in (1..).zip(roots) {
            let planted = FIRST.offset(number).map(|dest| game.apply(&Operation::Plant { dest, capability }));
            assert!(matches!(planted, Some(Ok(Ok(_)))), "{planted:?}");
        }
        game
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
            scrutiny: Scrutiny::asked(),
            before: Subject::new(slots),
        }
    }

    /// The same over memory that is spread: a root table, and some slots at the beginning of each chunk.
    #[must_use]
    pub fn spread(table: u32, chunks: u32, each: u32) -> Self {
        let memory = Memory::spread(FIRST.number() + table, chunks, each);
        let subject = Subject { forest: Forest::new(), memory };
        Self { before: subject.clone(), subject, ..Self::empty(0, table) }
    }

    /// Takes everything out of a range of addresses, as slots by their numbers.
    pub fn carry_away(&mut self, range: Range<u64>) -> Vec<(u32, Slot)> {
        let inside = |(at, _): &(SlotRef, &Slot)| range.contains(&at.address());
        let taken: Vec<(u32, Slot)> = self
            .subject
            .memory
            .written()
            .filter(inside)
            .map(|(at, slot)| (at.number(), slot.clone()))
            .filter(|(_, slot)| *slot != Slot::FREE)
            .collect();
        self.model.emptied.retain(|at, _| !range.contains(&at.address()));
        self.model.fallen.retain(|(at, _)| !range.contains(&at.address()));
        self.bring(taken.iter().map(|(number, _)| (*number, Slot::FREE)).collect());
        taken
    }

    /// Puts slots there as they are.
    pub fn bring(&mut self, slots: Vec<(u32, Slot)>) {
        for (number, slot) in slots {
            if let Some(at) = SlotRef::new(number) {
                self.subject.memory.set(at, slot);
            }
        }
        self.before.follow(&mut self.subject);
    }

    /// Lets a slot of the root table be as if it had been emptied this often.
    pub fn age(&mut self, number: u32, times: u32) {
        if let Some(at) = FIRST.offset(number) {
            self.subject.memory.set(at, Slot::free(Generation(times)));
            self.before.follow(&mut self.subject);
            self.model.emptied.insert(at, times);
        }
    }

    /// Carries an operation out on both sides and checks everything. The error says what is wrong.
    pub fn apply(&mut self, operation: &Operation) -> Result<Outcome, String> {
        let Self { subject, before, model, fixed, .. } = self;
        let seen = perform(before, subject, operation);
        let transition = Transition { before, after: subject, operation, seen: &seen, fixed };
        let wrong = transition.check(model, self.scrutiny);
        let outcome = seen.outcome;
        before.follow(subject);
        self.log.push((*operation, outcome));
        self.reached.insert((operation.name(), outcome.err()));
        if let Ok(Answer::Ticket(ticket)) = outcome {
            self.flights.push(ticket);
        }
        wrong.map(|()| outcome)
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

impl Default for Game {
    fn default() -> Self {
        Self::new()
    }
}

/// The header of the root table.
pub const FIRST: SlotRef = match SlotRef::new(8) {
    Some(first) => first,
    None => panic!("there is no slot 0"),
};
