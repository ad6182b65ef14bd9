//! An event is told by the server, not called by a client.

use idl::interface::Transport;

/// A watched number.
#[idl::interface]
pub trait Gauge {
    /// It was set.
    #[event]
    fn changed(&self, to: u64);
}

/// Calls it.
pub fn call<T: Transport>(gauge: &GaugeClient<T>) {
    let _ = gauge.changed(1); //~ no method named `changed` found
}

fn main() {}
