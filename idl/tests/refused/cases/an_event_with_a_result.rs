//! Nobody answers an event.

/// A watched number.
#[idl::interface]
pub trait Gauge {
    /// It was set.
    #[event]
    fn changed(&self, to: u64) -> u64; //~ an event has no result: nobody answers it
}

fn main() {}
