//! A right that nobody declared.

/// A watched number.
#[idl::interface]
pub trait Gauge {
    /// It was set.
    #[event]
    #[requires(READ)] //~ `READ` is no right of this interface; `#[interface(rights(..))]` declares none
    fn changed(&self);
}

fn main() {}
