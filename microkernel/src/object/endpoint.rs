//! Endpoint: where a caller and a receiver meet.

use caps::Kind;

use crate::aftermath::Drain;
use crate::memory::{Header, Object, Ref};
use crate::queue::Queue;

/// Bytes that retype carves for an endpoint.
pub const SIZE: u64 = 128;

/// An endpoint. At most one of its queues has threads in it.
#[repr(C, align(64))]
pub struct Endpoint {
    header: Header,
    /// Threads that called and wait for a receiver.
    pub callers: Queue,
    /// Threads that wait for a caller.
    pub receivers: Queue,
    /// Which callers are to be woken because what they called through has gone.
    pub drain: Drain,
    /// Whether it is on the list of endpoints to drain.
    pub enlisted: bool,
    /// The next endpoint on that list.
    pub next_dying: Option<Ref<Endpoint>>,
}

const _: () = assert!(size_of::<Endpoint>() as u64 <= SIZE);

// SAFETY: repr(C), the header first, and the size fits what retype carves.
unsafe impl Object for Endpoint {
    const KIND: Kind = Kind::Endpoint;
    const HEADER: usize = 0;
}

impl Endpoint {
    /// An endpoint where nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            header: Header::new(Kind::Endpoint),
            callers: Queue::EMPTY,
            receivers: Queue::EMPTY,
            drain: Drain::Nobody,
            enlisted: false,
            next_dying: None,
        }
    }
}
