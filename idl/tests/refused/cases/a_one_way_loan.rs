//! No answer says when to take it back.

use idl::interface::{Lent, right};
use idl::kernel::region::Region;

/// Takes.
#[idl::interface]
pub trait Taker {
    /// A buffer.
    #[one_way]
    fn take(
        &self,
        buffer: Lent<Region, { right::READ }>, //~ a one-way method borrows nothing: no answer says when to take it back
    );
}

fn main() {}
