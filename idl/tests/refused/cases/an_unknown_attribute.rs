//! Attributes are few.

/// Runs.
#[idl::interface]
pub trait Runner {
    /// Runs.
    #[fast] //~ expected `#[bytes]`, `#[idempotent]`, `#[one_way]`, `#[event]` or `#[requires(..)]`
    fn run(&self);
}

fn main() {}
