//! The comparison: an operation is carried out by `caps`, and the specification judges what was seen of it.

use std::collections::BTreeSet;

use caps::{Effect, Error, Generation, InFlight, Slot, SlotRef, State, Step, Table};

use crate::model::{Id, Model};
use crate::operation::{Answer, Operation, Outcome};
use crate::removal::Seen;
use crate::subject::Subject;

impl Model {
    /// Judges an operation: given what `caps` answered, reported and emptied, either all of it is as specified,
    /// and the model now says what holds afterwards, or the difference is described.
    pub fn judge(
        &mut self,
        operation: &Operation,
        outcome: &Outcome,
        gone: &BTreeSet<SlotRef>,
        effects: &[Effect],
    ) -> Result<(), String> {
        let seen = |budget| Seen { gone, effects, budget };
        let judged = match *operation {
            Operation::RevokeStep { root, budget } => self.check_removable(root).map(|id| match outcome {
                Ok(Answer::Step(step)) => self.revoke_step(id, *step, &seen(budget)),
                other => Err(format!("{other:?} is no answer to a step")),
            }),
            Operation::DeleteStep { at, budget } => self.check_removable(at).map(|id| match outcome {
                Ok(Answer::Step(step)) => self.delete_step(id, *step, &seen(budget)),
                other => Err(format!("{other:?} is no answer to a step")),
            }),
            Operation::SweepStep { budget } => Ok(match outcome {
                Ok(Answer::Step(step)) => self.sweep_step(*step, &seen(budget)),
                other => Err(format!("{other:?} is no answer to a step")),
            }),
            Operation::ResetStep { untyped, budget } => {
                self.check_resetting(untyped).map(|id| match outcome {
                    Ok(Answer::Reset(reset)) => self.reset_step(id, *reset, &seen(budget)),
                    other => Err(format!("{other:?} is no answer to a step")),
                })
            }
            Operation::ResetCleared { untyped, .. }
                if *outcome == Err(Error::WrongState) && !self.fallen.is_empty() =>
            {
                // Whether an empty fallen table was passed already is not for the specification to say.
                return self.check_resetting(untyped).map(|_| ()).or_else(|error| match error {
                    Error::WrongState => Ok(()),
                    other => Err(format!("expected {other}")),
                });
            }
            _ => {
                let expected = self.expected(operation);
                if *outcome != expected {
                    return Err(format!("answered {outcome:?}, expected {expected:?}"));
                }
                let moved = matches!(operation, Operation::Move { .. } | Operation::Land { .. });
                if !effects.is_empty() || (!gone.is_empty() && !moved) {
                    return Err(format!("removed {gone:?} and reported {effects:?}"));
                }
                return Ok(());
            }
        };
        match (judged, outcome) {
            (Ok(result), _) => result,
            (Err(error), Err(answered)) if error == *answered && gone.is_empty() && effects.is_empty() => {
                Ok(())
            }
            (Err(error), _) => Err(format!("answered {outcome:?}, expected {error}")),
        }
    }

    /// What an operation answers that is not a step of a removal.
    fn expected(&mut self, operation: &Operation) -> Outcome {
        match *operation {
            Operation::Plant { dest, capability } => self.plant(dest, capability).map(|()| Answer::Unit),
            Operation::Lookup { table, handle, kind, rights } => {
                let id = self.find(table, handle)?;
                if self.is_doomed(id) || self.fallen.contains(&(table.first, table.count)) {
                    return Err(Error::BeingRevoked);
                }
                let cap = &self.caps[&id];
                if cap.locked {
                    return Err(Error::Locked);
                }
                if cap.says.kind != kind {
                    return Err(Error::WrongKind);
                }
                if !cap.says.rights.contains(rights) {
                    return Err(Error::MissingRight);
                }
                Ok(Answer::Found(cap.place, cap.says))
            }
            Operation::Locate { table, handle } => {
                let id = self.find(table, handle)?;
                let cap = &self.caps[&id];
                if cap.locked { Err(Error::Locked) } else { Ok(Answer::Found(cap.place, cap.says)) }
            }
            Operation::Vacant { table, index } => {
                let place = place(table, index)?;
                if self.fallen.contains(&(table.first, table.count)) {
                    return Err(Error::BeingRevoked);
                }
                self.check_vacant(place).map(|()| Answer::Slot(place))
            }
            Operation::Derive { parent, dest, change } => {
                self.derive(parent, dest, change).map(Answer::Capability)
            }
            Operation::Replace { parent, dest } => self.check_replace(parent, dest).map(|()| Answer::Unit),
            Operation::Retype { untyped, dest, kind, bytes, align } => {
                self.retype(untyped, dest, kind, bytes, align).map(Answer::Capability)
            }
            Operation::Bind { region, space, dest, number } => {
                self.bind(region, space, dest, number).map(Answer::Capability)
            }
            Operation::Move { source, dest } => {
                let id = self.check_movable(source)?;
                self.check_vacant(dest)?;
                Ok(Answer::Capability(self.put(id, dest)))
            }
            Operation::Lock { source } => {
                let id = self.check_movable(source)?;
                self.caps.entry(id).and_modify(|cap| cap.locked = true);
                let generation = Generation(self.emptied.get(&source).copied().unwrap_or(0));
                Ok(Answer::Ticket(InFlight { slot: source, generation }))
            }
            Operation::Unlock { ticket } => {
                if let Some(id) = self.in_flight(ticket) {
                    self.caps.entry(id).and_modify(|cap| cap.locked = false);
                }
                Ok(Answer::Unit)
            }
            Operation::Land { ticket, dest } => {
                let id = self.in_flight(ticket).ok_or(Error::Cancelled)?;
                if self.is_doomed(id) {
                    return Err(Error::BeingRevoked);
                }
                self.check_vacant(dest)?;
                Ok(Answer::Capability(self.put(id, dest)))
            }
            Operation::Watch { at } => {
                let id = self.at(at).ok_or(Error::EmptySlot)?;
                self.caps.entry(id).and_modify(|cap| cap.watched = true);
                Ok(Answer::Unit)
            }
            Operation::MarkRevoking { root } => {
                let id = self.check_removable(root)?;
                self.revoking.insert(id);
                Ok(Answer::Unit)
            }
            Operation::ResetBegin { untyped } => self.reset_begin(untyped).map(|()| Answer::Unit),
            Operation::ResetCleared { untyped, bytes } => {
                let id = self.check_resetting(untyped)?;
                if !self.removable(self.descendants(id)).is_empty() {
                    return Err(Error::WrongState);
                }
                self.reset_cleared(id, bytes).map(Answer::Reset)
            }
            Operation::RevokeStep { .. }
            | Operation::DeleteStep { .. }
            | Operation::SweepStep { .. }
            | Operation::ResetStep { .. } => Ok(Answer::Step(Step::More)),
        }
    }

    fn find(&self, table: Table, handle: caps::Handle) -> Result<u64, Error> {
        let place = place(table, handle.index().0)?;
        let id = self.at(place).ok_or(Error::EmptySlot)?;
        let emptied = self.emptied.get(&place).copied().unwrap_or(0);
        if handle.generation().0 == emptied { Ok(id) } else { Err(Error::StaleHandle) }
    }

    /// Whether every slot of `caps` says exactly what the model says of it.
    pub fn compare(&self, subject: &Subject) -> Result<(), String> {
        for (id, cap) in &self.caps {
            let slot = subject.memory.peek(cap.place);
            let (state, parent) = (self.state_of(*id), self.parent_of(*id));
            let same = slot.capability() == Some(cap.says)
                && slot.state().difference(State::ENLISTED) == state
                && slot.links().parent == parent
                && slot.watermark() == self.used.get(id).copied();
            if !same {
                return Err(format!("{cap:?} (parent in {parent:?}, {state:?}) is {slot:?}"));
            }
        }
        let (there, expected) = (subject.memory.occupied().count(), self.caps.len());
        if there != expected {
            return Err(format!("{there} capabilities, expected {expected}"));
        }
        for (&place, &times) in &self.emptied {
            if subject.memory.peek(place).generation() != Generation(times) {
                return Err(format!("{place:?} was emptied {times} times and says otherwise"));
            }
        }
        let marks = u32::try_from(self.revoking.len() + self.deleting.len()).unwrap_or(u32::MAX);
        if subject.forest.marks() != marks {
            return Err(format!("{} marks counted, {marks} set", subject.forest.marks()));
        }
        self.compare_untouched(subject)
    }

    /// What the slot of a capability says of what goes on with it. (Whether its table is enlisted is not for the
    /// specification to say.)
    #[must_use]
    pub fn state_of(&self, id: Id) -> State {
        let cap = &self.caps[&id];
        let mut state = State::empty();
        state.set(State::COPY, !cap.first);
        state.set(State::LOCKED, cap.locked);
        state.set(State::WATCHED, cap.watched);
        state.set(State::REVOKING, self.revoking.contains(&id));
        state.set(State::DELETING, self.deleting.contains(&id));
        state.set(State::RESETTING, self.resetting.contains(&id));
        state
    }

    /// The slot of what a capability was derived from.
    #[must_use]
    pub fn parent_of(&self, id: Id) -> Option<SlotRef> {
        self.caps[&id].parent.map(|parent| self.caps[&parent].place)
    }

    /// A slot that was never emptied has no generation, whatever lies there.
    fn compare_untouched(&self, subject: &Subject) -> Result<(), String> {
        let touched = |place| self.emptied.contains_key(&place);
        let header = |slot: &Slot| slot.state().contains(State::DYING);
        for (place, slot) in subject.memory.written() {
            if slot.generation() != Generation(0) && !touched(place) && !header(slot) {
                return Err(format!("{place:?} has a generation and was never emptied"));
            }
        }
        Ok(())
    }
}

fn place(table: Table, index: u32) -> Result<SlotRef, Error> {
    if index == 0 || index >= table.count {
        return Err(Error::OutOfRange);
    }
    table.first.offset(index).ok_or(Error::OutOfRange)
}
