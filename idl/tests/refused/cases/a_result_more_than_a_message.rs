//! Results have sizes too.

/// Speaks.
#[idl::interface]
pub trait Speaker {
    /// Says something.
    #[bytes]
    fn said(&self) -> [[u64; 30]; 10]; //~ the result of Speaker::said can take more bytes than a message carries (2024)
}

fn main() {}
