//! What goes in a register is a word.

/// Speaks.
#[idl::interface]
pub trait Speaker {
    /// Says something.
    fn say(
        &self,
        pair: (u64, u64), //~ `(u64, u64)` does not fit in a register
    );
}

fn main() {}
