//! Notification: a word of bits to signal and to wait for.

use caps::Kind;

use crate::memory::{Header, Object, Ref};
use crate::object::thread::Thread;
use crate::queue::Queue;

/// Bytes that retype carves for a notification.
pub const SIZE: u64 = 64;

/// A notification. While threads wait, `bits` is 0.
#[repr(C, align(64))]
pub struct Notification {
    header: Header,
    /// What was signalled and not yet waited for.
    pub bits: u64,
    /// Threads that wait.
    pub waiters: Queue,
    /// The thread that a signal wakes while it receives from an endpoint.
    pub bound: Option<Ref<Thread>>,
    /// Whether shares may have doorbell bits for this notification, so that a wait looks there too.
    pub doorbells: bool,
    /// The next notification whose waiters are to be woken because it has gone.
    pub next_dying: Option<Ref<Notification>>,
}

const _: () = assert!(size_of::<Notification>() as u64 <= SIZE);

// SAFETY: repr(C), the header first, and the size fits what retype carves.
unsafe impl Object for Notification {
    const KIND: Kind = Kind::Notification;
    const HEADER: usize = 0;
}

impl Notification {
    /// A notification without bits.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            header: Header::new(Kind::Notification),
            bits: 0,
            waiters: Queue::EMPTY,
            bound: None,
            doorbells: false,
            next_dying: None,
        }
    }
}

impl Default for Notification {
    fn default() -> Self {
        Self::new()
    }
}
