//! Lending ends with the answer.

use idl::interface::{Lent, right};
use idl::kernel::region::Region;

/// Lends.
#[idl::interface]
pub trait Lender {
    /// A buffer.
    fn buffer(&self) -> Lent<Region, { right::READ }>; //~ a result cannot be lent: what is lent is taken back when the answer comes
}

fn main() {}
