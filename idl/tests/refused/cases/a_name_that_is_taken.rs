//! Clients have methods of their own.

/// Opens.
#[idl::interface]
pub trait Door {
    /// Opens it.
    fn connect(&self); //~ every client has a method `connect` already: choose another name
}

fn main() {}
