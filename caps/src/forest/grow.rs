//! How capabilities come to be: copies, objects made of untyped memory, and bindings.

use core::num::NonZeroU64;

use super::{Forest, link};
use crate::bounds::{MAX_BINDING, MAX_DEPTH, MAX_TABLE_SLOTS, PAGE};
use crate::slot::State;
use crate::table::check_vacant;
use crate::{Capability, Error, Generation, Kind, Rights, Slot, SlotRef, Slots};

/// How a derived capability differs from its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// What it allows: no more than the parent.
    pub rights: Rights,
    /// The badge it gets. Only an Endpoint or Notification capability without one can be given one.
    pub badge: Option<NonZeroU64>,
    /// For a Region, the part of the parent's range: offset from its start and length, in bytes.
    pub part: Option<(u64, u64)>,
}

impl Change {
    /// A copy that differs in nothing but its rights.
    #[must_use]
    pub const fn rights(rights: Rights) -> Self {
        Self { rights, badge: None, part: None }
    }
}

/// A child that may be made: everything was checked. [`Forest::grow`] makes it. It is void as soon as anything else
/// has changed the forest.
#[derive(Debug)]
#[must_use]
pub struct Child {
    parent: SlotRef,
    dest: SlotRef,
    capability: Capability,
    origin: Origin,
}

/// What a child is to its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Another capability to the same object.
    Copy,
    /// An object made of memory, of which the first capability then says that it is used as far as this.
    Made {
        /// Where that is.
        first: SlotRef,
        /// How many bytes from the start.
        mark: u64,
    },
    /// A binding to the address space whose first capability is there.
    Bound {
        /// Where that is.
        space: SlotRef,
    },
}

impl Child {
    /// Where it is going to be.
    #[must_use]
    pub const fn dest(&self) -> SlotRef {
        self.dest
    }

    /// Its parent, what it is going to say and what it is to its parent, for journals.
    #[must_use]
    pub const fn says(&self) -> (SlotRef, Capability, Origin) {
        (self.parent, self.capability, self.origin)
    }
}

impl Forest {
    /// Makes a child that was checked.
    pub fn grow(&mut self, slots: &mut impl Slots, child: Child) -> Capability {
        let Child { parent, dest, capability, origin } = child;
        match origin {
            Origin::Copy => place(slots, parent, dest, capability, State::COPY),
            Origin::Made { first, mark } => {
                slots.slot_mut(first).word = mark;
                place(slots, parent, dest, capability, State::empty());
            }
            Origin::Bound { space } => {
                place(slots, parent, dest, capability, State::empty());
                link::attach(slots, space, dest);
            }
        }
        capability
    }

    /// Derives a copy as a child. Needs DERIVE on the parent.
    ///
    /// A copy of an Untyped is another way to the same memory: what is made through the copy is the copy's child,
    /// and is taken from the one watermark that the first capability keeps.
    ///
    /// Errors, in the order of the checks: `EmptySlot`, `BeingRevoked`, `Locked`, `WrongKind` (not derivable),
    /// `MissingRight` (no DERIVE, or rights beyond the parent's), `InvalidArgument` (a badge or a part that the
    /// kind does not take, or a second badge), `BadRange`, `Busy` (an Untyped that is being reset),
    /// `SlotOccupied`, `SlotRetired`, `DepthExceeded`.
    pub fn check_derive(
        &self,
        slots: &impl Slots,
        parent: SlotRef,
        dest: SlotRef,
        change: Change,
    ) -> Result<Child, Error> {
        let capability = self.check_copy(slots, parent, change)?;
        check_child(slots, parent, dest)?;
        Ok(Child { parent, dest, capability, origin: Origin::Copy })
    }

    /// Derives a copy that has all rights of its parent, to take the place of what is in `dest`, if anything is:
    /// whoever asks empties that first. Errors: as [`Forest::check_derive`], but for `SlotOccupied`.
    pub fn check_replace(&self, slots: &impl Slots, parent: SlotRef, dest: SlotRef) -> Result<Child, Error> {
        let change = Change::rights(slots.slot(parent).rights);
        let capability = self.check_copy(slots, parent, change)?;
        let old = slots.slot(dest);
        let generation = if old.is_free() { old.generation } else { old.generation.next() };
        if generation == Generation::LAST {
            return Err(Error::SlotRetired);
        }
        check_depth(slots, parent)?;
        Ok(Child { parent, dest, capability, origin: Origin::Copy })
    }

    /// What a copy would say, if it can be derived at all.
    fn check_copy(&self, slots: &impl Slots, parent: SlotRef, change: Change) -> Result<Capability, Error> {
        let mut capability = self.check_parent(slots, parent)?;
        if !capability.kind.is_derivable() {
            return Err(Error::WrongKind);
        }
        if !capability.rights.contains(Rights::DERIVE | change.rights) {
            return Err(Error::MissingRight);
        }
        capability.rights = change.rights;
        if let Some(badge) = change.badge {
            if !capability.kind.is_mintable() || capability.badge != 0 {
                return Err(Error::InvalidArgument);
            }
            capability.badge = badge.get();
        }
        if let Some((offset, length)) = change.part {
            if capability.kind != Kind::Region {
                return Err(Error::InvalidArgument);
            }
            capability.object = narrow(&capability, offset, length)?;
            capability.size = length;
        }
        // Nothing is copied from memory that is being reset.
        let first = self.first_of(slots, parent);
        if slots.slot(first).state.contains(State::RESETTING) {
            return Err(Error::Busy);
        }
        Ok(capability)
    }

    /// Makes an object of untyped memory, as a child of the capability used, with its rights. `bytes` is a
    /// multiple of the kind's granule (a page for what is mapped or holds page tables, a slot otherwise);
    /// `align` a power of two, the granule being the least. The object begins at the answer's `object`; its
    /// memory is zero, as all memory of an Untyped beyond its watermark is.
    ///
    /// The caller checks that the capability has WRITE. Errors, in the order of the checks: `EmptySlot`,
    /// `BeingRevoked`, `Locked`, `WrongKind` (not an Untyped, or not a kind that is retyped), `BadSize`,
    /// `InvalidArgument` (`align`), `Busy` (a reset is under way), `OutOfMemory`, `SlotOccupied`, `SlotRetired`,
    /// `DepthExceeded`.
    pub fn check_retype(
        &self,
        slots: &impl Slots,
        untyped: SlotRef,
        dest: SlotRef,
        kind: Kind,
        bytes: u64,
        align: u64,
    ) -> Result<Child, Error> {
        let parent = self.check_parent(slots, untyped)?;
        if parent.kind != Kind::Untyped {
            return Err(Error::WrongKind);
        }
        let granule = kind.granule().ok_or(Error::WrongKind)?;
        if bytes == 0 || !bytes.is_multiple_of(granule) {
            return Err(Error::BadSize);
        }
        let mut capability = Capability::new(kind, parent.rights, 0, bytes / kind.unit());
        check_table(&capability)?;
        if !align.is_power_of_two() {
            return Err(Error::InvalidArgument);
        }
        let first = self.first_of(slots, untyped);
        if slots.slot(first).state.contains(State::RESETTING) {
            return Err(Error::Busy);
        }
        let used = slots.slot(first).word;
        let start = parent
            .object
            .checked_add(used)
            .and_then(|free| free.checked_next_multiple_of(align.max(granule)))
            .ok_or(Error::OutOfMemory)?;
        let mark = start
            .checked_sub(parent.object)
            .and_then(|offset| offset.checked_add(bytes))
            .filter(|&mark| mark <= parent.size)
            .ok_or(Error::OutOfMemory)?;
        check_child(slots, untyped, dest)?;
        capability.object = start;
        Ok(Child { parent: untyped, dest, capability, origin: Origin::Made { first, mark } })
    }

    /// Binds a region to an address space: a child of the region, which falls with either. The caller has looked
    /// both up and chosen a number that no other binding of the space has.
    ///
    /// Errors, in the order of the checks: `EmptySlot`, `BeingRevoked`, `Locked`, `WrongKind` (for the region,
    /// then the same for the space), `InvalidArgument` (number), `SlotOccupied`, `SlotRetired`, `DepthExceeded`.
    pub fn check_bind(
        &self,
        slots: &impl Slots,
        region: SlotRef,
        space: SlotRef,
        dest: SlotRef,
        number: u16,
    ) -> Result<Child, Error> {
        let bound = self.check_parent(slots, region)?;
        if bound.kind != Kind::Region {
            return Err(Error::WrongKind);
        }
        let target = self.check_parent(slots, space)?;
        if target.kind != Kind::AddressSpace {
            return Err(Error::WrongKind);
        }
        let first = self.first_of(slots, space);
        if number == 0 || number > MAX_BINDING {
            return Err(Error::InvalidArgument);
        }
        check_child(slots, region, dest)?;
        let capability = Capability { kind: Kind::Binding, badge: 0, space: target.object, number, ..bound };
        Ok(Child { parent: region, dest, capability, origin: Origin::Bound { space: first } })
    }
}

/// Whether the object is large enough for the table that it begins with, if any, and that not too large.
pub(super) fn check_table(capability: &Capability) -> Result<(), Error> {
    let (count, enough) = match capability.kind {
        Kind::CSpace => (capability.size, true),
        kind => {
            let count = u64::from(kind.embedded_slots());
            (count, capability.bytes() >= count * Slot::SIZE)
        }
    };
    let has_table = capability.kind == Kind::CSpace || count > 0;
    if has_table && !(enough && (2..=u64::from(MAX_TABLE_SLOTS)).contains(&count)) {
        return Err(Error::BadSize);
    }
    Ok(())
}

/// The start of a part of a region.
fn narrow(region: &Capability, offset: u64, length: u64) -> Result<u64, Error> {
    let end = offset.checked_add(length).ok_or(Error::BadRange)?;
    let aligned = offset.is_multiple_of(PAGE) && length.is_multiple_of(PAGE);
    if length == 0 || end > region.size || !aligned {
        return Err(Error::BadRange);
    }
    region.object.checked_add(offset).ok_or(Error::BadRange)
}

/// Whether `dest` can become a child of `parent`.
fn check_child(slots: &impl Slots, parent: SlotRef, dest: SlotRef) -> Result<(), Error> {
    check_vacant(slots, dest)?;
    check_depth(slots, parent)
}

/// Whether `parent` may have children.
fn check_depth(slots: &impl Slots, parent: SlotRef) -> Result<(), Error> {
    if slots.slot(parent).depth + 1 >= MAX_DEPTH { Err(Error::DepthExceeded) } else { Ok(()) }
}

/// Fills `dest` as a child of `parent`. Cannot fail.
fn place(slots: &mut impl Slots, parent: SlotRef, dest: SlotRef, capability: Capability, state: State) {
    slots.slot_mut(dest).fill(capability, state);
    link::adopt(slots, parent, dest);
}
