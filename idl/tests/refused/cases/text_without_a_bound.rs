//! Nobody could say whether it fits.

/// Speaks.
#[idl::interface]
pub trait Speaker {
    /// Says something.
    #[bytes]
    fn say(&self, text: &str); //~ say how long it may be: `#[max(256)]` before the argument
}

fn main() {}
