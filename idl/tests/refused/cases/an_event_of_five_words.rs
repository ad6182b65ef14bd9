//! An event says what it is about.

/// A watched number.
#[idl::interface]
pub trait Gauge {
    /// It was set.
    #[event]
    fn changed(&self, a: u64, b: u64, c: u64, d: u64, e: u64); //~ an event has at most four words: say what it is about, and let who wants more ask
}

fn main() {}
