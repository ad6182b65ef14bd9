//! Capabilities are typed on the client's side too.

use idl::interface::{InProcess, Lent, right};
use idl::kernel::{endpoint::Endpoint, region::Region};
use idl::{Cap, Invoke};

/// Fills.
#[idl::interface]
pub trait Filler {
    /// A buffer.
    fn fill(&self, buffer: Lent<Region, { right::READ }>);
}

pub fn wrong<S: FillerServer, I: Invoke>(
    client: &FillerClient<InProcess<FillerDispatch<S>>>,
    endpoint: &Cap<Endpoint, I>,
) {
    let _ = client.fill(endpoint.lend::<1>()); //~ mismatched types
}

fn main() {}
