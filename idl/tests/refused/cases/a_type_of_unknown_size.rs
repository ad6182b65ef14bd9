//! A vector can be of any length.

/// Speaks.
#[idl::interface]
pub trait Speaker {
    /// Says something.
    #[bytes]
    fn say( //~ serde::
        &self,
        text: Vec<u8>, //~ `Vec<u8>` has no known maximum size, so it cannot travel in a message
    );
}

fn main() {}
