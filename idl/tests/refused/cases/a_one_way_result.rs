//! Nothing comes back.

/// Counts.
#[idl::interface]
pub trait Counter {
    /// One more.
    #[one_way]
    fn count(&self) -> u64; //~ a one-way method has no result: nothing comes back
}

fn main() {}
