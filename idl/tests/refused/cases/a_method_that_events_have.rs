//! A client of an interface with events has that method already.

/// A watched number.
#[idl::interface]
pub trait Gauge {
    /// Begins.
    fn subscribe(&self); //~ an interface with events has a method `subscribe` already: choose another name
    /// It was set.
    #[event]
    fn changed(&self, to: u64);
}

fn main() {}
