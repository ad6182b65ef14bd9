//! The naive specification of removal: what a step may remove, what it must report, when it is done.

use std::collections::BTreeSet;

use caps::bounds::{EFFECTS_PER_REMOVAL, STEP_EFFECTS};
use caps::{Effect, Error, Kind, Reset, SlotRef, Step, Used};

use crate::model::{Id, Ids, Model};

/// What was seen of a step.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// The slots that lost their capabilities.
    pub gone: &'a BTreeSet<SlotRef>,
    /// What was reported.
    pub effects: &'a [Effect],
    /// How much the step was allowed to do.
    pub budget: u32,
}

impl Model {
    /// The capability whose descendants or self are to be removed.
    pub fn check_removable(&self, place: SlotRef) -> Result<Id, Error> {
        let id = self.at(place).ok_or(Error::EmptySlot)?;
        if self.caps[&id].locked { Err(Error::Locked) } else { Ok(id) }
    }

    /// A step of a revoke below `id`.
    pub fn revoke_step(&mut self, id: Id, step: Step, seen: &Seen<'_>) -> Result<(), String> {
        self.revoking.insert(id);
        self.remove(self.descendants(id), step, seen)?;
        if step == Step::Done {
            self.expect_nothing_left(self.caps.contains_key(&id).then_some(id))?;
            self.revoking.remove(&id);
        }
        Ok(())
    }

    /// A step of the deletion of `id`.
    pub fn delete_step(&mut self, id: Id, step: Step, seen: &Seen<'_>) -> Result<(), String> {
        // What takes nothing along is gone at once. Of the first capability to memory or to a table that is never said:
        // when that is gone, no table that lies in it or hung on it is being swept.
        let cap = &self.caps[&id];
        let holds = cap.first && (cap.says.kind == Kind::Untyped || cap.says.table().is_some());
        let begun = self.deleting.contains(&id) || self.revoking.contains(&id);
        let alone = !holds && !begun && self.dependants(id).is_empty();
        self.deleting.insert(id);
        // Its slot may be emptied early only if it falls with what it takes along, or with what falls already.
        let may_go_early =
            self.closure(&self.dependants(id)).contains(&id) || self.removable(Ids::new()).contains(&id);
        self.remove(Ids::from([id]), step, seen)?;
        match (self.caps.get(&id), step) {
            (Some(_), Step::Done) => return Err("done, and the capability is still there".into()),
            (Some(cap), Step::More) => {
                // Nothing is put into a table from when only its own capability is left.
                let depends = |other| self.depends_on(other, id);
                if let (true, Some(table), false) =
                    (cap.first, cap.says.table(), self.caps.keys().any(|&other| depends(other)))
                {
                    self.fallen.insert((table.first, table.count));
                }
            }
            (None, Step::More) if !may_go_early => {
                return Err("its slot is empty, so its handle cannot be used to go on".into());
            }
            (None, _) => {}
        }
        if step == Step::Done && !alone { self.expect_nothing_left(None) } else { Ok(()) }
    }

    /// A step on behalf of nobody.
    pub fn sweep_step(&mut self, step: Step, seen: &Seen<'_>) -> Result<(), String> {
        self.remove(Ids::new(), step, seen)?;
        if step == Step::Done { self.expect_nothing_left(None) } else { Ok(()) }
    }

    /// Begins a reset.
    pub fn reset_begin(&mut self, place: SlotRef) -> Result<(), Error> {
        let id = self.check_removable(place)?;
        if self.caps[&id].says.kind != Kind::Untyped {
            return Err(Error::WrongKind);
        }
        if self.is_doomed(id) {
            return Err(Error::BeingRevoked);
        }
        self.check_only_user(id)?;
        self.resetting.insert(self.first_of(id));
        self.revoking.insert(id);
        Ok(())
    }

    /// The Untyped whose reset can go on through this capability.
    pub fn check_resetting(&self, place: SlotRef) -> Result<Id, Error> {
        let id = self.at(place).ok_or(Error::EmptySlot)?;
        if self.caps[&id].says.kind != Kind::Untyped {
            return Err(Error::WrongKind);
        }
        self.check_only_user(id)?;
        let begun = self.revoking.contains(&id) && self.resetting.contains(&self.first_of(id));
        if begun { Ok(id) } else { Err(Error::WrongState) }
    }

    /// A step of a reset.
    pub fn reset_step(&mut self, id: Id, answer: Reset, seen: &Seen<'_>) -> Result<(), String> {
        let step = if answer == Reset::Removing { Step::More } else { Step::Done };
        let may_go =
            self.closure(&self.dependants(id)).contains(&id) || self.removable(Ids::new()).contains(&id);
        let gone = seen.gone.contains(&self.caps[&id].place);
        // A step in which the Untyped itself fell need not use up its budget: there is nothing to go on with.
        self.remove(self.descendants(id), if gone { Step::Done } else { step }, seen)?;
        match answer {
            Reset::Removing if gone && !may_go => Err("the Untyped went with its own reset".into()),
            Reset::Removing => Ok(()),
            _ if gone => Err("as new, and the Untyped is gone".into()),
            _ => {
                self.expect_nothing_left(Some(id))?;
                let expected = self.next_of_reset(id);
                if answer == expected { Ok(()) } else { Err(format!("expected {expected:?}")) }
            }
        }
    }

    /// Memory at the end of the used range was cleared.
    pub fn reset_cleared(&mut self, id: Id, bytes: u64) -> Result<Reset, Error> {
        let first = self.first_of(id);
        let used = self.used[&first];
        let left = used.checked_sub(bytes).ok_or(Error::BadSize)?;
        let start = self.caps[&first].says.object;
        let cleared = |place: SlotRef| (start + left..start + used).contains(&place.address());
        self.emptied.retain(|&place, _| !cleared(place));
        self.fallen.retain(|&(table, _)| !cleared(table));
        self.used.insert(first, left);
        Ok(self.next_of_reset(id))
    }

    fn next_of_reset(&mut self, id: Id) -> Reset {
        let first = self.first_of(id);
        let bytes = self.used[&first];
        if bytes > 0 {
            return Reset::Clear(Used { start: self.caps[&first].says.object, bytes });
        }
        self.resetting.remove(&first);
        self.revoking.remove(&id);
        Reset::Done
    }

    /// Memory is taken back only through the one capability that it was used through.
    fn check_only_user(&self, id: Id) -> Result<(), Error> {
        let cap = &self.caps[&id];
        let Some(parent) = cap.parent.filter(|_| !cap.first) else { return Ok(()) };
        let others = self.caps.iter().any(|(&other, cap)| other != id && cap.parent == Some(parent));
        if others { Err(Error::Busy) } else { self.check_only_user(parent) }
    }

    /// Whether `other` must go before `id` does.
    fn depends_on(&self, other: Id, id: Id) -> bool {
        let (above, below) = (&self.caps[&id], &self.caps[&other]);
        let bound = above.first
            && above.says.kind == Kind::AddressSpace
            && below.says.kind == Kind::Binding
            && below.says.space == above.says.object;
        below.parent == Some(id) || bound
    }

    /// Takes note of what a step removed, having checked that it might, that it reported it, and that it did as
    /// much as it was asked to.
    fn remove(&mut self, named: Ids, step: Step, seen: &Seen<'_>) -> Result<(), String> {
        let gone: Ids = seen.gone.iter().filter_map(|&place| self.at(place)).collect();
        if let Some(id) = gone.difference(&self.removable(named)).next() {
            return Err(format!("{:?} is outside of what was to be removed", self.caps[id]));
        }
        let count = u32::try_from(gone.len()).unwrap_or(u32::MAX);
        if count > seen.budget {
            return Err(format!("{count} removed with a budget of {}", seen.budget));
        }
        let full = seen.effects.len() + EFFECTS_PER_REMOVAL > STEP_EFFECTS;
        if step == Step::More && count < seen.budget && !full && self.fallen.is_empty() && !self.tables(&gone)
        {
            return Err("stopped before its budget was used up".into());
        }
        let mut expected: Vec<String> = Vec::new();
        for &id in &gone {
            expected.extend(self.effects_of(id).iter().map(|effect| format!("{effect:?}")));
        }
        let mut reported: Vec<String> = seen.effects.iter().map(|effect| format!("{effect:?}")).collect();
        expected.sort();
        reported.sort();
        if expected != reported {
            return Err(format!("reported {reported:?}, expected {expected:?}"));
        }
        for &id in &gone {
            let left = self.caps.keys().find(|&&other| !gone.contains(&other) && self.depends_on(other, id));
            if let Some(left) = left {
                return Err(format!("{:?} outlived what it depends on", self.caps[left]));
            }
        }
        for id in gone {
            self.forget(id);
        }
        Ok(())
    }

    /// Whether one of these has a table.
    fn tables(&self, ids: &Ids) -> bool {
        ids.iter().any(|id| self.caps[id].first && self.caps[id].says.table().is_some())
            || self.deleting.iter().any(|id| self.caps[id].says.table().is_some())
    }

    /// What the kernel must be told when this goes.
    fn effects_of(&self, id: Id) -> Vec<Effect> {
        let cap = &self.caps[&id];
        let caps::Capability { kind, object, size, badge, space, number, .. } = cap.says;
        let parents_badge = cap.parent.map_or(0, |parent| self.caps[&parent].says.badge);
        let mut effects = Vec::new();
        if kind == Kind::Binding {
            effects.push(Effect::Unbind { space, number, object, size });
        } else if cap.first {
            effects.push(Effect::Destroy { kind, object, size, badge });
        } else if matches!(kind, Kind::Endpoint | Kind::Notification) && badge != parents_badge {
            effects.push(Effect::Unbadge { object, badge });
        }
        if cap.watched {
            effects.push(Effect::Lost { slot: cap.place, capability: cap.says });
        }
        effects
    }

    /// Takes a capability out of the world.
    fn forget(&mut self, id: Id) {
        let Some(cap) = self.caps.remove(&id) else { return };
        self.empty(cap.place);
        self.revoking.remove(&id);
        self.deleting.remove(&id);
        self.resetting.remove(&id);
        self.used.remove(&id);
        if let Some(table) = cap.says.table().filter(|_| cap.first) {
            self.fallen.insert((table.first, table.count));
        }
    }

    /// At *done* nothing is left below `root`, nor in any table that fell.
    fn expect_nothing_left(&self, root: Option<Id>) -> Result<(), String> {
        let named = root.map(|root| self.descendants(root)).unwrap_or_default();
        match self.removable(named).first() {
            Some(id) => Err(format!("done, and {:?} is left", self.caps[id])),
            None => Ok(()),
        }
    }
}
