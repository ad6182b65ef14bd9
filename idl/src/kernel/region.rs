//! Memory that can be mapped.

use caps::{Handle, Rights, SlotIndex};
use idl_macros::kernel_object;

use crate::types::{Bits, PageIndex, Pages};

/// Memory that can be mapped: whole pages, contiguous in physical memory, all zero when made. Of a window, which two
/// subOSes share, a region is all that there is: nothing is made of it, and the rest of the window is the doorbells'.
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

    /// Of a window: tells the other side that there is something to look at. It is told once for each of its waits, however
    /// often it is rung for. `WrongState`: this is no window.
    #[method(id = 4, rights = CALL, errors(WrongState))]
    fn ring();

    /// Of a window: which bits of which notification to signal when the other side rang. 0 unbinds. The notification
    /// needs CALL.
    #[method(id = 5, rights = RECEIVE, errors(WrongState, AlreadyBound))]
    fn listen(notification: Handle, bits: Bits);
}
