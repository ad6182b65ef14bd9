//! The naive specification: what the capability model means, as sets and maps.
//!
//! Read this file to learn the model. It has no links, no marks in slots and no clever order: a capability is an
//! entry of a map, with the number of its parent, and every rule is a sentence about all entries. Removal is a
//! relation, not a function: the specification says what a step *may* remove and when it may call itself done, and
//! is told what it did remove.

use std::collections::{BTreeMap, BTreeSet};

use caps::bounds::{MAX_BINDING, MAX_DEPTH, MAX_MEMORY, MAX_TABLE_SLOTS, PAGE};
use caps::{Capability, Change, Error, InFlight, Kind, Rights, SlotRef, Table};

/// The number of a capability, never used twice.
pub type Id = u64;
/// A set of capabilities.
pub type Ids = BTreeSet<Id>;

/// A capability that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cap {
    /// The slot that it is in.
    pub place: SlotRef,
    /// What it says.
    pub says: Capability,
    /// What it was derived from; `None` for a root.
    pub parent: Option<Id>,
    /// Whether the object was made (or planted) with it, so that the object lives as long as it does.
    pub first: bool,
    /// Whether it is in flight.
    pub locked: bool,
    /// Whether the kernel wants to hear of its removal.
    pub watched: bool,
}

/// The state of the whole model.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// All capabilities.
    pub caps: BTreeMap<Id, Cap>,
    /// The number of the next one.
    pub next: Id,
    /// How often each slot has been emptied since its memory was cleared.
    pub emptied: BTreeMap<SlotRef, u32>,
    /// Capabilities whose descendants are to go.
    pub revoking: Ids,
    /// Capabilities that are to go themselves.
    pub deleting: Ids,
    /// How many bytes of each Untyped (by its first capability) are in use.
    pub used: BTreeMap<Id, u64>,
    /// Untypeds (by their first capabilities) that are being reset.
    pub resetting: Ids,
    /// Tables whose object is gone or going for good, and whose memory was not cleared yet.
    pub fallen: BTreeSet<(SlotRef, u32)>,
}

impl Model {
    /// The capability in a slot.
    #[must_use]
    pub fn at(&self, place: SlotRef) -> Option<Id> {
        self.caps.iter().find(|(_, cap)| cap.place == place).map(|(&id, _)| id)
    }

    /// Parent, parent's parent, and so on.
    #[must_use]
    pub fn ancestors(&self, id: Id) -> Vec<Id> {
        std::iter::successors(self.caps[&id].parent, |above| self.caps[above].parent).collect()
    }

    /// Everything below.
    #[must_use]
    pub fn descendants(&self, id: Id) -> Ids {
        self.caps.keys().copied().filter(|&other| self.ancestors(other).contains(&id)).collect()
    }

    /// A capability is doomed when it is being deleted, or derives from one that is being deleted or revoked.
    #[must_use]
    pub fn is_doomed(&self, id: Id) -> bool {
        let going = |above: &Id| self.deleting.contains(above) || self.revoking.contains(above);
        self.deleting.contains(&id) || self.ancestors(id).iter().any(going)
    }

    /// The first capability to the same object.
    #[must_use]
    pub fn first_of(&self, id: Id) -> Id {
        match self.caps[&id].parent {
            Some(parent) if !self.caps[&id].first => self.first_of(parent),
            _ => id,
        }
    }

    /// What falls together with these: what derives from them, what is stored in the objects whose first
    /// capabilities are among them, what is bound to the address spaces whose first capabilities are, and what
    /// falls with all that.
    #[must_use]
    pub fn closure(&self, seed: &Ids) -> Ids {
        let mut all = seed.clone();
        loop {
            let more: Ids = all.iter().flat_map(|&id| self.dependants(id)).collect();
            if more.is_subset(&all) {
                return all;
            }
            all.extend(more);
        }
    }

    /// What falls directly with this one.
    #[must_use]
    pub fn dependants(&self, id: Id) -> Ids {
        let above = &self.caps[&id];
        let falls = |cap: &Cap| {
            let stored = above.first && covers(above.says.table(), cap.place);
            let bound = above.first
                && above.says.kind == Kind::AddressSpace
                && cap.says.kind == Kind::Binding
                && cap.says.space == above.says.object;
            cap.parent == Some(id) || stored || bound
        };
        self.caps.iter().filter(|(_, cap)| falls(cap)).map(|(&id, _)| id).collect()
    }

    /// What a removal that names these may remove: their closure, and that of what is left in fallen tables.
    #[must_use]
    pub fn removable(&self, named: Ids) -> Ids {
        let in_fallen = |cap: &Cap| {
            self.fallen.iter().any(|&(first, count)| covers(Some(Table { first, count }), cap.place))
        };
        let left = self.caps.iter().filter(|(_, cap)| in_fallen(cap)).map(|(&id, _)| id);
        self.closure(&named.into_iter().chain(left).collect())
    }

    /// Whether a capability can be put there.
    pub fn check_vacant(&self, dest: SlotRef) -> Result<(), Error> {
        if self.at(dest).is_some() {
            return Err(Error::SlotOccupied);
        }
        if self.emptied.get(&dest) == Some(&u32::MAX) {
            return Err(Error::SlotRetired);
        }
        Ok(())
    }

    /// Whether the capability there may get children or be handed on.
    pub fn check_parent(&self, place: SlotRef) -> Result<Id, Error> {
        let id = self.at(place).ok_or(Error::EmptySlot)?;
        if self.revoking.contains(&id) || self.is_doomed(id) {
            return Err(Error::BeingRevoked);
        }
        if self.caps[&id].locked {
            return Err(Error::Locked);
        }
        Ok(id)
    }

    fn check_child(&self, parent: Id, dest: SlotRef) -> Result<(), Error> {
        self.check_vacant(dest)?;
        self.check_depth(parent)
    }

    fn check_depth(&self, parent: Id) -> Result<(), Error> {
        let deepest = self.ancestors(parent).len() + 1 >= usize::from(MAX_DEPTH);
        if deepest { Err(Error::DepthExceeded) } else { Ok(()) }
    }

    fn add(&mut self, place: SlotRef, says: Capability, parent: Option<Id>, first: bool) -> Id {
        let id = self.next;
        self.next += 1;
        self.caps.insert(id, Cap { place, says, parent, first, locked: false, watched: false });
        if says.kind == Kind::Untyped && first {
            self.used.insert(id, 0);
        }
        id
    }

    /// Makes a root.
    pub fn plant(&mut self, dest: SlotRef, says: Capability) -> Result<(), Error> {
        if matches!(says.kind, Kind::Empty | Kind::Binding) {
            return Err(Error::InvalidArgument);
        }
        check_table(&says)?;
        let last = says.object.checked_add(says.size);
        let memory = says.object > 0
            && says.size > 0
            && says.object.is_multiple_of(PAGE)
            && says.size.is_multiple_of(PAGE)
            && last.is_some_and(|last| last <= MAX_MEMORY);
        let slots = says.object > 0 && says.object.is_multiple_of(64) && says.object < MAX_MEMORY;
        match says.kind {
            Kind::Untyped | Kind::Region if !memory => return Err(Error::BadRange),
            Kind::CSpace | Kind::Thread | Kind::Guest if !slots => return Err(Error::BadRange),
            _ => {}
        }
        self.check_vacant(dest)?;
        self.add(dest, says, None, true);
        Ok(())
    }

    /// Derives a copy: the same object, no more rights, at most one badge, a part of the range.
    pub fn derive(&mut self, parent: SlotRef, dest: SlotRef, change: Change) -> Result<Capability, Error> {
        let (id, says) = self.copy(parent, change)?;
        self.check_child(id, dest)?;
        self.add(dest, says, Some(id), false);
        Ok(says)
    }

    /// Whether a copy with all rights could take the place of what is in `dest`, if anything is, once that has gone.
    pub fn check_replace(&self, parent: SlotRef, dest: SlotRef) -> Result<(), Error> {
        let above = self.at(parent).ok_or(Error::EmptySlot)?;
        let (id, _) = self.copy(parent, Change::rights(self.caps[&above].says.rights))?;
        let emptied = self.emptied.get(&dest).copied().unwrap_or(0);
        if emptied.saturating_add(self.at(dest).is_some().into()) == u32::MAX {
            return Err(Error::SlotRetired);
        }
        self.check_depth(id)
    }

    /// What a copy says, if there can be one.
    fn copy(&self, parent: SlotRef, change: Change) -> Result<(Id, Capability), Error> {
        let id = self.check_parent(parent)?;
        let mut says = self.caps[&id].says;
        if matches!(says.kind, Kind::Binding | Kind::Reply) {
            return Err(Error::WrongKind);
        }
        if !says.rights.contains(Rights::DERIVE) || !says.rights.contains(change.rights) {
            return Err(Error::MissingRight);
        }
        says.rights = change.rights;
        if let Some(badge) = change.badge {
            if !matches!(says.kind, Kind::Endpoint | Kind::Notification) || says.badge != 0 {
                return Err(Error::InvalidArgument);
            }
            says.badge = badge.get();
        }
        if let Some((offset, length)) = change.part {
            if says.kind != Kind::Region {
                return Err(Error::InvalidArgument);
            }
            let end = u128::from(offset) + u128::from(length);
            if length == 0 || offset % PAGE != 0 || length % PAGE != 0 || end > u128::from(says.size) {
                return Err(Error::BadRange);
            }
            (says.object, says.size) = (says.object + offset, length);
        }
        if self.resetting.contains(&self.first_of(id)) {
            return Err(Error::Busy);
        }
        Ok((id, says))
    }

    /// Makes an object of the first memory of the Untyped that was not used since its last reset.
    pub fn retype(
        &mut self,
        untyped: SlotRef,
        dest: SlotRef,
        kind: Kind,
        bytes: u64,
        align: u64,
    ) -> Result<Capability, Error> {
        let id = self.check_parent(untyped)?;
        let above = self.caps[&id].says;
        let granule = match kind {
            Kind::Untyped | Kind::Region | Kind::AddressSpace => PAGE,
            Kind::CSpace | Kind::Thread | Kind::Guest => 64,
            Kind::Endpoint | Kind::Notification | Kind::Reply => 64,
            _ => return Err(Error::WrongKind),
        };
        if above.kind != Kind::Untyped {
            return Err(Error::WrongKind);
        }
        if bytes == 0 || !bytes.is_multiple_of(granule) {
            return Err(Error::BadSize);
        }
        let size = match kind {
            Kind::CSpace => bytes / 64,
            Kind::AddressSpace => bytes / PAGE,
            _ => bytes,
        };
        check_table(&Capability::new(kind, above.rights, 0, size))?;
        if align.count_ones() != 1 {
            return Err(Error::InvalidArgument);
        }
        let first = self.first_of(id);
        if self.resetting.contains(&first) {
            return Err(Error::Busy);
        }
        let (free, align) = (u128::from(above.object + self.used[&first]), u128::from(align.max(granule)));
        let start = free.div_ceil(align) * align;
        let end = start + u128::from(bytes);
        if end > u128::from(above.object) + u128::from(above.size) {
            return Err(Error::OutOfMemory);
        }
        self.check_child(id, dest)?;
        let (start, end) = (u64::try_from(start).unwrap_or(u64::MAX), u64::try_from(end).unwrap_or(u64::MAX));
        self.used.insert(first, end - above.object);
        let says = Capability::new(kind, above.rights, start, size);
        self.add(dest, says, Some(id), true);
        Ok(says)
    }

    /// Binds a region to a space: a child of the region that also falls with the space.
    pub fn bind(
        &mut self,
        region: SlotRef,
        space: SlotRef,
        dest: SlotRef,
        number: u16,
    ) -> Result<Capability, Error> {
        let region = self.check_parent(region)?;
        let says = self.caps[&region].says;
        if says.kind != Kind::Region {
            return Err(Error::WrongKind);
        }
        let space = self.check_parent(space)?;
        if self.caps[&space].says.kind != Kind::AddressSpace {
            return Err(Error::WrongKind);
        }
        if !(1..=MAX_BINDING).contains(&number) {
            return Err(Error::InvalidArgument);
        }
        self.check_child(region, dest)?;
        let space = self.caps[&space].says.object;
        let says = Capability { kind: Kind::Binding, badge: 0, space, number, ..says };
        self.add(dest, says, Some(region), true);
        Ok(says)
    }

    /// Whether the capability there can be moved or locked.
    pub fn check_movable(&self, place: SlotRef) -> Result<Id, Error> {
        let id = self.check_parent(place)?;
        let has_children = self.caps.values().any(|cap| cap.parent == Some(id));
        if has_children || self.resetting.contains(&id) {
            return Err(Error::Busy);
        }
        Ok(id)
    }

    /// Puts a capability into another slot.
    pub fn put(&mut self, id: Id, dest: SlotRef) -> Capability {
        let source = self.caps[&id].place;
        self.empty(source);
        let says = self.caps[&id].says;
        let parent = self.caps[&id].parent;
        let first = self.caps[&id].first;
        self.caps.insert(id, Cap { place: dest, says, parent, first, locked: false, watched: false });
        says
    }

    /// The capability that a ticket stands for, if it still waits.
    #[must_use]
    pub fn in_flight(&self, ticket: InFlight) -> Option<Id> {
        let emptied = self.emptied.get(&ticket.slot).copied().unwrap_or(0);
        self.at(ticket.slot).filter(|id| self.caps[id].locked && emptied == ticket.generation.0)
    }

    /// Counts a slot as emptied once more.
    pub fn empty(&mut self, place: SlotRef) {
        let times = self.emptied.entry(place).or_insert(0);
        *times = times.saturating_add(1);
    }
}

/// Whether a slot belongs to a table.
#[must_use]
pub fn covers(table: Option<Table>, place: SlotRef) -> bool {
    let inside = |table: Table| {
        let first = table.first.number();
        (first + 1..first + table.count).contains(&place.number())
    };
    table.is_some_and(inside)
}

/// Whether the object is large enough for its table, and the table neither too small nor too large.
fn check_table(says: &Capability) -> Result<(), Error> {
    let slots = match says.kind {
        Kind::CSpace => says.size,
        Kind::Thread if says.size < 1024 => 0,
        Kind::Guest if says.size < 256 => 0,
        _ => 2,
    };
    if (2..=u64::from(MAX_TABLE_SLOTS)).contains(&slots) { Ok(()) } else { Err(Error::BadSize) }
}
