//! A set of page tables, with the memory for them.

use caps::{Handle, Rights};
use idl_macros::kernel_object;

use crate::types::{BindingNumber, PageIndex, Pages, UserPage};
use crate::word::words;

words! {
    /// What is mapped at an address.
    pub struct Mapping {
        /// Which page of the binding's region.
        page: PageIndex,
        /// What the mapping allows.
        rights: Rights,
        /// The binding that allowed it.
        binding: BindingNumber,
    }
}

/// A set of page tables and the memory for them. What is mapped is always a page of a region that is bound to
/// this space. Long ranges are done in part: the answer says how many pages were done; call again for the
/// rest.
#[kernel_object(kind = AddressSpace)]
pub trait AddressSpace {
    /// Maps pages of a bound region, from its page `page` on, at `address`. `rights` are READ, with WRITE or
    /// EXECUTE or both, and at most the binding's. Stops at the bound of one call, or at the first page that
    /// is mapped already if some were done by then. Answers with how many pages were mapped.
    #[method(
        id = 1,
        rights = MANAGE,
        errors(InvalidArgument, MissingRight, BadRange, AlreadyMapped, OutOfTables)
    )]
    fn map(binding: Handle, page: PageIndex, address: UserPage, pages: Pages, rights: Rights) -> Pages;

    /// Takes mappings away. Pages that are not mapped count as done. Answers with how many pages of the range
    /// were done.
    #[method(id = 2, rights = MANAGE, errors(BadRange))]
    fn unmap(address: UserPage, pages: Pages) -> Pages;

    /// Changes what mappings allow, at most to what their bindings allow. Answers with how many pages were
    /// done; stops at a page that is not mapped.
    #[method(id = 3, rights = MANAGE, errors(InvalidArgument, MissingRight, BadRange, NotMapped))]
    fn protect(address: UserPage, pages: Pages, rights: Rights) -> Pages;

    /// What is mapped at an address.
    #[method(id = 4, rights = READ, errors(BadRange, NotMapped))]
    fn query(address: UserPage) -> Mapping;
}
