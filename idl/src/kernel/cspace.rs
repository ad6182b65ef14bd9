//! A table of capability slots.

use caps::{Handle, Kind, Rights, SlotIndex};
use idl_macros::kernel_object;

use crate::types::{Badge, Progress};
use crate::word::words;

words! {
    /// What a slot holds.
    pub struct SlotInfo {
        /// The kind of object.
        kind: Kind,
        /// What the capability allows.
        rights: Rights,
        /// What it was minted with.
        badge: Badge,
        /// How large the object is, in the unit that `Untyped.retype` takes for its kind; else 0.
        size: u64,
    }
}

/// A table of capability slots. Slot 0 is never used. Handles that these methods take as `source` are looked
/// up in the target table; a destination table is named by a handle of the caller's own table, or by 0 for
/// that table itself, and needs WRITE.
#[kernel_object(kind = CSpace)]
pub trait CSpace {
    /// Derives a capability with at most the given rights. The source needs DERIVE. Rights that it lacks are
    /// refused (`MissingRight`), not dropped. `Busy`: it is memory that is being reset.
    #[method(id = 1, rights = READ, errors(SlotOccupied, DepthExceeded, Busy))]
    fn copy(source: Handle, table: Handle, slot: SlotIndex, rights: Rights) -> Handle;

    /// As `copy`, with a badge. The source must be of a kind that takes badges (Endpoint, Notification) and
    /// have none yet.
    #[method(id = 2, rights = READ, errors(InvalidArgument, SlotOccupied, DepthExceeded))]
    fn mint(source: Handle, table: Handle, slot: SlotIndex, rights: Rights, badge: Badge) -> Handle;

    /// Moves a capability to another slot. It keeps its place in the derivation tree; handles of the old slot
    /// are stale. `Busy`: something was derived from it.
    #[method(id = 3, rights = WRITE, errors(SlotOccupied, Busy))]
    fn move_(source: Handle, table: Handle, slot: SlotIndex) -> Handle;

    /// Deletes a capability and all that was derived from it; deleting the first capability of an object
    /// destroys the object. A bounded amount at a time: call until it is done.
    #[method(id = 4, rights = MANAGE)]
    fn delete(source: Handle) -> Progress;

    /// Deletes all that was derived from a capability, but not the capability. From the first call on
    /// nothing below it can be used. A bounded amount at a time: call until it is done.
    #[method(id = 5, rights = MANAGE)]
    fn revoke(source: Handle) -> Progress;

    /// What a slot holds.
    #[method(id = 6, rights = READ)]
    fn info(source: Handle) -> SlotInfo;

    /// The handle of what a slot holds now, for tables that somebody else fills.
    #[method(id = 7, rights = READ, errors(EmptySlot))]
    fn at(slot: SlotIndex) -> Handle;
}
