//! What a slot says, as a value that can be looked at but not used: authority stays in the slot.

use crate::bounds::{GUEST_SLOTS, PAGE, THREAD_SLOTS};
use crate::{Kind, Rights, Slot, SlotRef, Table};

/// What a capability says. A copy for the eyes: nothing in the system accepts one as authority, except
/// `plant`, which only boot and the ledger call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Capability {
    /// What it refers to.
    pub kind: Kind,
    /// What it allows.
    pub rights: Rights,
    /// The badge that it was minted with, or 0. Only Endpoint and Notification capabilities can be minted;
    /// for planted kinds (Core, SubOs) the planter may use it as it likes.
    pub badge: u64,
    /// The address of the object in bytes; for a Region, an Untyped or a Binding the start of the range.
    pub object: u64,
    /// Untyped, Region, Binding: bytes. CSpace: slots. AddressSpace: pages. Other kinds: bytes of the object.
    pub size: u64,
    /// Binding: the address of the AddressSpace; otherwise 0.
    pub space: u64,
    /// Binding: its number in the space, from 1; otherwise 0.
    pub number: u16,
}

impl Capability {
    /// A capability without badge to a whole object; `size` in the units of the kind.
    #[must_use]
    pub const fn new(kind: Kind, rights: Rights, object: u64, size: u64) -> Self {
        Self { kind, rights, badge: 0, object, size, space: 0, number: 0 }
    }

    /// The table of slots that the object's memory begins with, if it has one: a CSpace is nothing else, a
    /// Thread and a Guest begin with a small one. What is stored there falls with the object.
    #[must_use]
    pub fn table(&self) -> Option<Table> {
        let count = match self.kind {
            Kind::CSpace => u32::try_from(self.size).ok()?,
            kind => kind.embedded_slots(),
        };
        if count == 0 {
            return None;
        }
        SlotRef::at(self.object).map(|first| Table { first, count })
    }

    /// The bytes of memory that the object takes up.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.size.saturating_mul(self.kind.unit())
    }
}

impl Kind {
    /// How many slots the memory of such an object begins with, the header included; 0 for most. A CSpace says
    /// its own number.
    #[must_use]
    pub const fn embedded_slots(self) -> u32 {
        match self {
            Self::Thread => THREAD_SLOTS,
            Self::Guest => GUEST_SLOTS,
            _ => 0,
        }
    }

    /// Bytes per unit of [`Capability::size`].
    #[must_use]
    pub const fn unit(self) -> u64 {
        match self {
            Self::CSpace => Slot::SIZE,
            Self::AddressSpace => PAGE,
            _ => 1,
        }
    }

    /// The alignment and the granule of the object's memory, in bytes, if such objects are made by retyping.
    #[must_use]
    pub const fn granule(self) -> Option<u64> {
        match self {
            Self::Untyped | Self::Region | Self::AddressSpace => Some(PAGE),
            Self::CSpace | Self::Thread | Self::Endpoint | Self::Notification | Self::Reply | Self::Guest => {
                Some(Slot::SIZE)
            }
            _ => None,
        }
    }

    /// Whether copies may be derived. A Binding is one permission to map, which a page-table entry names by its
    /// number, so a copy could be revoked without its mappings; a Reply answers once, so it has one holder.
    #[must_use]
    pub const fn is_derivable(self) -> bool {
        !matches!(self, Self::Empty | Self::Binding | Self::Reply)
    }

    /// Whether a badge can be set when a copy is derived.
    #[must_use]
    pub const fn is_mintable(self) -> bool {
        matches!(self, Self::Endpoint | Self::Notification)
    }
}
