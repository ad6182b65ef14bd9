//! Every client has that event.

/// A watched number.
#[idl::interface]
pub trait Gauge {
    /// It was set.
    #[event]
    fn lost(&self); //~ every client has an event `lost` already: choose another name
}

fn main() {}
