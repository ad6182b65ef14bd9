//! An event is words.

/// A watched number.
#[idl::interface]
pub trait Gauge {
    /// It was set.
    #[event]
    #[bytes] //~ an event is `#[event]`, perhaps with `#[requires(..)]`, and nothing else
    fn changed(&self, to: u64);
}

fn main() {}
