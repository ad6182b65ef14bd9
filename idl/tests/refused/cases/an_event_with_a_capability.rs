//! What nobody fetches would stay with the server.

use idl::interface::{Moved, right};
use idl::kernel::endpoint::Endpoint;

/// A watched number.
#[idl::interface]
pub trait Gauge {
    /// Somebody came.
    #[event]
    fn came(&self, who: Moved<Endpoint, { right::CALL }>); //~ an event carries no capability
}

fn main() {}
