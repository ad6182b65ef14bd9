//! Subscribers belong to a server of one call at a time.

/// A watched number.
#[idl::interface(asynchronous)] //~ an interface with events is not asynchronous
pub trait Gauge {
    /// It was set.
    #[event]
    fn changed(&self, to: u64);
}

fn main() {}
