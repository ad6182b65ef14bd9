//! A reference is no word.

/// A watched number.
#[idl::interface]
pub trait Gauge {
    /// It was set.
    #[event]
    fn changed(&self, name: &str); //~ a reference does not fit in a register
}

fn main() {}
