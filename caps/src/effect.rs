//! What the kernel must do because a capability went.

use crate::bounds::STEP_EFFECTS;
use crate::{Capability, Kind, SlotRef};

/// What the kernel must carry out because a capability was removed. The slot is free already; the memory of the
/// object is not reused before the Untyped that it came from has been reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The object's first capability went: the object is to be torn down.
    Destroy {
        /// What it was.
        kind: Kind,
        /// Its address.
        object: u64,
        /// Its size in the units of its kind.
        size: u64,
        /// The badge that the planter gave it, or 0.
        badge: u64,
    },
    /// The capability that was minted with this badge went, with all its copies: whoever waits to be served
    /// through it waits in vain.
    Unbadge {
        /// The address of the endpoint or notification.
        object: u64,
        /// The badge.
        badge: u64,
    },
    /// A binding went: what it mapped is to be unmapped, and then its number may be used again.
    Unbind {
        /// The address of the address space.
        space: u64,
        /// The number.
        number: u16,
        /// The start of the bound range in physical memory.
        object: u64,
        /// Bytes of the range.
        size: u64,
    },
    /// A watched slot lost its capability.
    Lost {
        /// The slot.
        slot: SlotRef,
        /// What was in it.
        capability: Capability,
    },
}

/// The effects of one step, in order.
pub type Effects = heapless::Vec<Effect, STEP_EFFECTS>;

/// Whether an operation that goes by steps has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Step {
    /// There is more to do: call again.
    More,
    /// Nothing of it is left anywhere.
    Done,
}
