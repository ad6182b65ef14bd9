//! Clients read the comments.

/// Speaks.
#[idl::interface]
pub trait Speaker {
    fn say(&self, word: u64); //~ document it: clients read these comments
}

fn main() {}
