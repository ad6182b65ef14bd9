//! What carries requests to a server and answers back.

use caps::Error;

use super::{Long, Short};
use crate::types::Deadline;

/// What carries requests to a server and answers back: an endpoint, or the server itself in a test.
pub trait Transport {
    /// Until when a call that begins now may take.
    fn deadline(&self) -> Deadline {
        Deadline::NEVER
    }

    /// A request and an answer that both fit in registers. An answer that does not is `TooLong`.
    ///
    /// # Errors
    /// What the carrier fails with; `Cancelled` when the server died over the call.
    fn call_short(&self, request: &Short, until: Deadline) -> Result<Short, Error>;

    /// A request and an answer of any length: `message` holds the request and gets the answer.
    ///
    /// # Errors
    /// What the carrier fails with; `Cancelled` when the server died over the call.
    fn call_long(&self, message: &mut Long, until: Deadline) -> Result<(), Error>;

    /// A request that has no answer.
    ///
    /// # Errors
    /// What the carrier fails with.
    fn send(&self, message: &Long, until: Deadline) -> Result<(), Error>;
}

impl<T: Transport + ?Sized> Transport for &T {
    fn deadline(&self) -> Deadline {
        (**self).deadline()
    }

    #[inline]
    fn call_short(&self, request: &Short, until: Deadline) -> Result<Short, Error> {
        (**self).call_short(request, until)
    }

    fn call_long(&self, message: &mut Long, until: Deadline) -> Result<(), Error> {
        (**self).call_long(message, until)
    }

    fn send(&self, message: &Long, until: Deadline) -> Result<(), Error> {
        (**self).send(message, until)
    }
}

/// A transport whose calls also end at a given time: that of the caller for whom they are made.
#[derive(Clone, Copy, Debug)]
pub struct Until<T> {
    transport: T,
    until: Deadline,
}

impl<T> Until<T> {
    /// Calls over this transport, at most until then.
    pub const fn new(transport: T, until: Deadline) -> Self {
        Self { transport, until }
    }
}

impl<T: Transport> Transport for Until<T> {
    fn deadline(&self) -> Deadline {
        self.transport.deadline().earlier(self.until)
    }

    #[inline]
    fn call_short(&self, request: &Short, until: Deadline) -> Result<Short, Error> {
        self.transport.call_short(request, until)
    }

    fn call_long(&self, message: &mut Long, until: Deadline) -> Result<(), Error> {
        self.transport.call_long(message, until)
    }

    fn send(&self, message: &Long, until: Deadline) -> Result<(), Error> {
        self.transport.send(message, until)
    }
}
