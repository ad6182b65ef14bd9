//! Sizes add up.

/// Speaks.
#[idl::interface]
pub trait Speaker {
    /// Says something.
    #[bytes]
    fn say(&self, #[max(2000)] text: &str, #[max(100)] name: &str); //~ the arguments of Speaker::say can take more bytes than a message carries (2024)
}

fn main() {}
