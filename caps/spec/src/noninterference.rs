//! I24: two who share nothing do not notice each other, although their capabilities are in one forest.
//!
//! Each of the two has slots of its own and objects of its own. What one sees is what is in its slots, and what its
//! operations answer. Then, of all states that can be reached by both:
//!
//! - *nothing is done to it*: an operation of the other leaves what it sees as it is;
//! - *nothing is told to it*: in two states that look the same to it, each of its operations answers the same, and leads to
//!   states that look the same.
//!
//! Together these say that two runs that differ only in what the other does look the same to it. Two channels are declared.
//! A removal finishes what others' removals left to sweep before it says *done*, so how many *steps* it takes is seen: here
//! one goes on with a removal until it is done. And a lookup takes longer while anybody removes anything.

use std::collections::{HashMap, HashSet, VecDeque};

use caps::{Error, Reset, SlotRef, State, Step};

use crate::invariant;
use crate::operation::{Answer, Operation, Outcome};
use crate::small::{Extent, World};
use crate::subject::Subject;

/// Two with nothing in common, in a world.
pub struct Pair {
    /// The world: its roots lie in slots of one or the other.
    pub world: World,
    /// The slots of the one who looks, with the headers of its tables.
    pub mine: Vec<SlotRef>,
    /// The slots of the other.
    pub others: Vec<SlotRef>,
}

/// What one sees of its slots: all but the order in which tables are swept that have fallen.
#[must_use]
pub fn view(subject: &Subject, slots: &[SlotRef]) -> Vec<u8> {
    let mut view = Vec::new();
    for &at in slots {
        let slot = subject.memory.peek(at);
        let header = slot.state().contains(State::DYING);
        let links = if header { format!("{:?}", slot.swept()) } else { format!("{:?}", slot.links()) };
        let says = (slot.capability(), slot.state(), slot.generation(), slot.watermark());
        view.extend(format!("{says:?} {links}|").into_bytes());
    }
    view
}

/// Carries an operation out, and goes on with it until it is done.
pub fn to_the_end(subject: &mut Subject, operation: &Operation) -> Outcome {
    let mut outcome = subject.perform(operation, &mut Vec::new());
    for _ in 0..10_000 {
        let again = match outcome {
            Ok(Answer::Step(Step::More) | Answer::Reset(Reset::Removing)) => {
                subject.perform(operation, &mut Vec::new())
            }
            _ => break,
        };
        // It fell with what it took along: what is left is swept below, and then it is done.
        let fell = matches!(outcome, Ok(Answer::Step(_))) && again == Err(Error::EmptySlot);
        outcome = if fell { Ok(Answer::Step(Step::Done)) } else { again };
    }
    // What fell on the way is swept by somebody; whose removal that was cannot be seen from the answer.
    let _ = subject.perform(&Operation::SweepStep { budget: u32::MAX }, &mut Vec::new());
    outcome
}

impl Pair {
    /// Goes through all states that the two can reach.
    pub fn explore(&self) -> Result<Extent, String> {
        let mut extent = Extent { complete: true, ..Extent::default() };
        let begin = self.world.begin();
        let mut seen = HashSet::from([self.world.key(&begin)]);
        let mut queue = VecDeque::from([begin]);
        let mut told: HashMap<(Vec<u8>, Operation), (Outcome, Vec<u8>)> = HashMap::new();
        while let Some(subject) = queue.pop_front() {
            let before = view(&subject, &self.mine);
            for operation in (self.world.operations)(&self.world, &subject) {
                let own = invariant::confinement::is_own(&operation, &self.mine.iter().copied().collect());
                let foreign =
                    invariant::confinement::is_own(&operation, &self.others.iter().copied().collect());
                let mut after = subject.clone();
                let wrong = |why: &str| {
                    Err(format!("I24 non-interfering: {why}: {operation:?}\nin {}", before_text(&subject)))
                };
                if own && !matches!(operation, Operation::SweepStep { .. }) {
                    let outcome = to_the_end(&mut after, &operation);
                    let now = view(&after, &self.mine);
                    let expected = told.entry((before.clone(), operation)).or_insert((outcome, now.clone()));
                    if *expected != (outcome, now) {
                        return wrong("two states that look the same, and not the same answer");
                    }
                } else if foreign {
                    let _ = after.perform(&operation, &mut Vec::new());
                    if view(&after, &self.mine) != before {
                        return wrong("something was done to the other");
                    }
                } else {
                    continue;
                }
                extent.transitions += 1;
                after.memory.forget_journal();
                if seen.insert(self.world.key(&after)) {
                    queue.push_back(after);
                }
            }
        }
        extent.states = seen.len();
        extent.forms = told.len();
        Ok(extent)
    }
}

/// What is in all slots, for people.
fn before_text(subject: &Subject) -> String {
    subject.memory.written().map(|(at, slot)| format!("{at:?}: {slot:?}\n")).collect()
}
