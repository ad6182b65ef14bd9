//! A server does everything that its interface says.

use idl::interface::Caller;

/// Runs and stops.
#[idl::interface]
pub trait Runner {
    /// Runs.
    fn run(&self);
    /// Stops.
    fn stop(&self);
}

struct Half;

impl RunnerServer for Half { //~ not all trait items implemented, missing: `stop`
    fn run(&mut self, _: Caller<Runner>) {}
}

fn main() {}
