//! A server of an interface with events says whom it tells.

use idl::interface::Caller;

/// A watched number.
#[idl::interface]
pub trait Gauge {
    /// Sets it.
    fn set(&self, to: u64);
    /// It was set.
    #[event]
    fn changed(&self, to: u64);
}

struct Number;

impl GaugeServer for Number { //~ not all trait items implemented, missing: `events`
    fn set(&mut self, _: Caller<Gauge>, _: u64) {}
}

fn main() {}
