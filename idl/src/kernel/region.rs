//! Memory that can be mapped.

use caps::{Handle, Rights, SlotIndex};
use idl_macros::kernel_object;

use crate::types::{PageIndex, Pages};

/// Memory that can be mapped: whole pages, contiguous in physical memory, all zero when made.
#[kernel_object(kind = Region)]
pub trait Region {
    /// Binds the region to an address space: the answer is a Binding with the region's rights, in a slot of
    /// the caller's table. The space needs MANAGE.
    #[method(id = 1, rights = DERIVE, errors(SlotOccupied, DepthExceeded, OutOfBindings))]
    fn bind(space: Handle, slot: SlotIndex) -> Handle;

    /// Derives a capability to a part of the region, with at most the given rights.
    #[method(id = 2, rights = DERIVE, errors(BadSize, BadRange, SlotOccupied, DepthExceeded))]
    fn slice(page: PageIndex, pages: Pages, rights: Rights, slot: SlotIndex) -> Handle;

    /// How many pages it has.
    #[method(id = 3, rights = NONE)]
    fn info() -> Pages;
}
