//! Memory that has no purpose yet.

use caps::{Handle, Kind, SlotIndex};
use idl_macros::kernel_object;

use crate::types::Progress;
use crate::word::words;

words! {
    /// How large untyped memory is.
    pub struct UntypedInfo {
        /// Bytes in all.
        size: u64,
        /// Bytes that objects take, and what alignment cost.
        used: u64,
    }
}

/// Memory that has no purpose yet. Every object is retyped from it and is its child: revoking the untyped
/// memory destroys what was made from it, and resetting it makes the memory usable again.
#[kernel_object(kind = Untyped)]
pub trait Untyped {
    /// Makes an object and puts its first capability, with all rights that its kind knows, into a slot of the
    /// caller's table.
    /// The unit of `size` is the kind's: CSpace, slots; Region and Untyped, pages of 4 KiB; AddressSpace,
    /// pages for page tables; all others, 0.
    #[method(
        id = 1,
        rights = WRITE,
        errors(InvalidArgument, OutOfMemory, BadSize, SlotOccupied, OutOfRange, DepthExceeded, Busy)
    )]
    fn retype(kind: Kind, size: u64, slot: SlotIndex) -> Handle;

    /// Removes everything that was made from this memory, clears it, and makes it usable again. A bounded
    /// amount at a time: call until it is done. Meanwhile nothing can be made from it. `Busy`: this is a copy, and
    /// something was made through another.
    #[method(id = 2, rights = MANAGE, errors(Busy))]
    fn reset() -> Progress;

    /// How large it is, and how much is used.
    #[method(id = 3, rights = READ)]
    fn info() -> UntypedInfo;
}
