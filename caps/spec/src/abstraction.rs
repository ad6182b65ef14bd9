//! What a state of `caps` says in the words of the specification: so that any well-formed state can be a beginning.

use caps::State;

use crate::model::{Cap, Id, Model};
use crate::subject::Subject;

impl Model {
    /// The specification's state for a state of the real code. The number of a capability is that of its slot.
    #[must_use]
    pub fn of(subject: &Subject) -> Self {
        let mut model = Self { next: Id::from(subject.memory.len()), ..Self::default() };
        for (at, slot) in subject.memory.written() {
            let id = Id::from(at.number());
            let state = slot.state();
            if slot.generation().0 > 0 {
                model.emptied.insert(at, slot.generation().0);
            }
            if state.contains(State::DYING) {
                model.fallen.insert((at, slot.swept().1));
            }
            let Some(says) = slot.capability() else { continue };
            let cap = Cap {
                place: at,
                says,
                parent: slot.links().parent.map(|parent| Id::from(parent.number())),
                first: slot.is_first(),
                locked: state.contains(State::LOCKED),
                watched: state.contains(State::WATCHED),
            };
            model.caps.insert(id, cap);
            for (mark, set) in [
                (State::REVOKING, &mut model.revoking),
                (State::DELETING, &mut model.deleting),
                (State::RESETTING, &mut model.resetting),
            ] {
                if state.contains(mark) {
                    set.insert(id);
                }
            }
            if let Some(used) = slot.watermark() {
                model.used.insert(id, used);
            }
        }
        model
    }
}
