//! A reference means nothing to another program.

/// Speaks.
#[idl::interface]
pub trait Speaker {
    /// Says something.
    fn say(&self, text: &str); //~ a reference does not fit in a register; mark the method `#[bytes]`
}

fn main() {}
