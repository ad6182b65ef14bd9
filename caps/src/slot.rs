//! Where one capability lives, and how slots are found.
//!
//! A slot is 64 bytes: one cache line, one capability, its place in the forest. Its fields are private to this
//! crate; the kernel stores slots and nothing else touches what is in them.

use core::num::NonZeroU32;

use bitflags::bitflags;

use crate::{Capability, Generation, Kind, Rights, Table};

/// Which slot. The kernel uses the physical address divided by [`Slot::SIZE`], so consecutive slots of a table
/// have consecutive references; tests use the index into a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct SlotRef(NonZeroU32);

impl SlotRef {
    /// The slot with this number. There is no slot 0.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The slot at this address, in bytes, if slots can lie there.
    #[must_use]
    #[inline]
    pub fn at(address: u64) -> Option<Self> {
        if !address.is_multiple_of(Slot::SIZE) {
            return None;
        }
        u32::try_from(address / Slot::SIZE).ok().and_then(Self::new)
    }

    /// The slot `index` places on, or `None` beyond the last number.
    #[must_use]
    #[inline]
    pub const fn offset(self, index: u32) -> Option<Self> {
        match self.0.checked_add(index) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0.get()
    }

    /// The address in bytes.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0.get() as u64 * Slot::SIZE
    }
}

/// Where the slots are. Every reference that the forest uses came from a table or a `plant`, so an
/// implementation may treat an unknown one as its own bug.
pub trait Slots {
    /// Looks at a slot.
    fn slot(&self, at: SlotRef) -> &Slot;
    /// Changes a slot.
    fn slot_mut(&mut self, at: SlotRef) -> &mut Slot;
}

bitflags! {
    /// What goes on with the capability in a slot, or with the table that a header belongs to.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct State: u8 {
        /// It was derived from a capability to the same object; without this bit it is the object's first.
        const COPY = 1 << 0;
        /// It is in flight: it stays here until the rendezvous completes.
        const LOCKED = 1 << 1;
        /// All that derives from it is being removed.
        const REVOKING = 1 << 2;
        /// It is being removed itself, with all that derives from it.
        const DELETING = 1 << 3;
        /// An Untyped whose memory is being taken back; kept in its first capability.
        const RESETTING = 1 << 4;
        /// The kernel wants to hear when this slot loses its capability.
        const WATCHED = 1 << 5;
        /// Its table is on the list of dying tables already.
        const ENLISTED = 1 << 6;
        /// A header only: its table is dying.
        const DYING = 1 << 7;
    }
}

/// A place for one capability. All bytes zero is a free slot of generation 0, which is [`Slot::FREE`], so
/// cleared memory is a table of free slots.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[repr(C, align(64))]
pub struct Slot {
    pub(crate) generation: Generation,
    pub(crate) kind: Kind,
    pub(crate) state: State,
    pub(crate) rights: Rights,
    pub(crate) parent: Option<SlotRef>,
    pub(crate) first_child: Option<SlotRef>,
    pub(crate) next: Option<SlotRef>,
    pub(crate) previous: Option<SlotRef>,
    /// AddressSpace: the first of its bindings. Binding: the next of the same space.
    pub(crate) bound_next: Option<SlotRef>,
    /// Binding: the one before in the same space's list, or the space's first capability.
    pub(crate) bound_previous: Option<SlotRef>,
    pub(crate) object: u64,
    pub(crate) size: u64,
    /// Endpoint, Notification and the like: the badge. Untyped: bytes used. Binding: the space's address.
    /// Header of a dying table: how far it has been swept.
    pub(crate) word: u64,
    /// Binding: its number in the space.
    pub(crate) number: u16,
    pub(crate) depth: u8,
}

const _: () = assert!(size_of::<Slot>() as u64 == Slot::SIZE);
const _: () = assert!(align_of::<Slot>() as u64 == Slot::SIZE);
const _: () = assert!(size_of::<Option<SlotRef>>() == 4);
const _: () = assert!(Kind::Empty as u8 == 0);

/// A slot's place in the forest, for audits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Links {
    /// What it was derived from.
    pub parent: Option<SlotRef>,
    /// The youngest of what was derived from it.
    pub first_child: Option<SlotRef>,
    /// The next older child of the same parent.
    pub next: Option<SlotRef>,
    /// The next younger child of the same parent.
    pub previous: Option<SlotRef>,
    /// AddressSpace: its first binding. Binding: the next binding of the same space.
    pub bound_next: Option<SlotRef>,
    /// Binding: the one before, or the space's first capability.
    pub bound_previous: Option<SlotRef>,
    /// How many capabilities it derives from.
    pub depth: u8,
}

impl Slot {
    /// Bytes of a slot.
    pub const SIZE: u64 = 64;

    /// A slot never used. Its bytes are all zero.
    pub const FREE: Self = Self::free(Generation(0));

    /// A free slot that was emptied this often; for tests that need old slots.
    #[must_use]
    pub const fn free(generation: Generation) -> Self {
        Self {
            generation,
            kind: Kind::Empty,
            state: State::empty(),
            rights: Rights::empty(),
            parent: None,
            first_child: None,
            next: None,
            previous: None,
            bound_next: None,
            bound_previous: None,
            object: 0,
            size: 0,
            word: 0,
            number: 0,
            depth: 0,
        }
    }

    /// Whether it holds no capability. A retired slot is free too, but takes none any more.
    #[must_use]
    #[inline]
    pub fn is_free(&self) -> bool {
        self.kind == Kind::Empty
    }

    /// Whether it has been emptied so often that it is never used again.
    #[must_use]
    #[inline]
    pub fn is_retired(&self) -> bool {
        self.generation == Generation::LAST
    }

    /// The kind of the capability in it; `Empty` if there is none.
    #[must_use]
    #[inline]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The object that the capability in it names; 0 if there is none.
    #[must_use]
    #[inline]
    pub const fn object(&self) -> u64 {
        self.object
    }

    /// The table that the capability in it names, if that is a CSpace.
    #[must_use]
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "what is in a slot was checked when it was put there")]
    pub fn cspace(&self) -> Option<Table> {
        let first = SlotRef::new((self.object / Self::SIZE) as u32)?;
        (self.kind == Kind::CSpace).then_some(Table { first, count: self.size as u32 })
    }

    /// How often it has been emptied.
    #[must_use]
    #[inline]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// What goes on with it.
    #[must_use]
    #[inline]
    pub fn state(&self) -> State {
        self.state
    }

    /// Its place in the forest.
    #[must_use]
    pub fn links(&self) -> Links {
        Links {
            parent: self.parent,
            first_child: self.first_child,
            next: self.next,
            previous: self.previous,
            bound_next: self.bound_next,
            bound_previous: self.bound_previous,
            depth: self.depth,
        }
    }

    /// The capability in it, if there is one.
    #[must_use]
    #[inline]
    pub fn capability(&self) -> Option<Capability> {
        if self.is_free() {
            return None;
        }
        let (badge, space) = match self.kind {
            Kind::Untyped => (0, 0),
            Kind::Binding => (0, self.word),
            _ => (self.word, 0),
        };
        Some(Capability {
            kind: self.kind,
            rights: self.rights,
            badge,
            object: self.object,
            size: self.size,
            space,
            number: self.number,
        })
    }

    /// Bytes of an Untyped's memory in use, counted from its start, if this is an Untyped's first capability.
    #[must_use]
    pub fn watermark(&self) -> Option<u64> {
        (self.kind == Kind::Untyped && self.is_first()).then_some(self.word)
    }

    /// For the header of a dying table: the index of the slot that the sweep comes to next, and how many slots the
    /// table has; for audits.
    #[must_use]
    pub fn swept(&self) -> (u32, u32) {
        let small = |word| u32::try_from(word).unwrap_or(u32::MAX);
        (small(self.word), small(self.size))
    }

    /// Whether it holds the first capability of its object: the one that the object lives as long as.
    #[must_use]
    #[inline]
    pub fn is_first(&self) -> bool {
        !self.is_free() && !self.state.contains(State::COPY)
    }

    /// Puts a capability in, without a place in the forest.
    #[inline]
    pub(crate) fn fill(&mut self, capability: Capability, state: State) {
        self.kind = capability.kind;
        self.state = state;
        self.rights = capability.rights;
        self.object = capability.object;
        self.size = capability.size;
        self.word = match capability.kind {
            Kind::Untyped => 0,
            Kind::Binding => capability.space,
            _ => capability.badge,
        };
        self.number = capability.number;
    }

    /// Makes it free, one generation older.
    pub(crate) fn empty(&mut self) {
        *self = Self::free(self.generation.next());
    }
}
