//! There are five registers.

/// Adds.
#[idl::interface]
pub trait Adder {
    /// The sum.
    fn sum(
        &self,
        a: u64,
        b: u64,
        c: u64,
        d: u64,
        e: u64,
        f: u64, //~ more than five arguments do not fit in registers; mark the method `#[bytes]`
    ) -> u64;
}

fn main() {}
