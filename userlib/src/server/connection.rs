//! A client's way to a server.

use core::time::Duration;

use caps::Error;
use idl::abi::REGISTER_WORDS;
use idl::interface::{Long, Short, Transport};
use idl::message::Message;
use idl::types::Deadline;

use super::parcel::{Expected, Outgoing};
use super::{put, take};
use crate::cap::{Cap, Endpoint};
use crate::{page, time};

/// A client's way to a server: a capability to its endpoint, with the right to call.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    endpoint: Cap<Endpoint>,
    patience: Option<Duration>,
}

impl Connection {
    /// Calls through this endpoint, and waits for ever.
    #[must_use]
    pub const fn new(endpoint: Cap<Endpoint>) -> Self {
        Self { endpoint, patience: None }
    }

    /// Waits for each answer only so long; then the call fails with `TimedOut`. The server is told until when.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// A call with capabilities among its arguments, or as its result. Whatever comes of it, what was lent is taken
    /// back before this returns.
    #[cold]
    fn call_with_capabilities(&self, message: &mut Long, until: Deadline) -> Result<(), Error> {
        let outgoing = Outgoing::new(&message.parcel)?;
        let expected = Expected::new(message.parcel.expected)?;
        let mut request = put(message)?;
        request.caps = outgoing.announce()?;
        // Who calls may be a server, which has announced where its requests' capabilities go.
        let before = page::receive_slots()?;
        expected.announce()?;
        let answer = self.endpoint.call(&request, until);
        page::set_receive_slots(&before)?;
        let answer = answer?;
        message.parcel = expected.collect(answer.caps)?;
        take(&answer, message)
    }
}

impl Transport for Connection {
    #[inline]
    fn deadline(&self) -> Deadline {
        self.patience.map_or(Deadline::NEVER, time::after)
    }

    #[inline]
    fn call_short(&self, request: &Short, until: Deadline) -> Result<Short, Error> {
        let message = Message { label: request.label, count: request.count, caps: 0, words: request.words };
        let answer = self.endpoint.call(&message, until)?;
        if usize::from(answer.count) > REGISTER_WORDS {
            return Err(Error::TooLong);
        }
        Ok(Short { label: answer.label, count: answer.count, words: answer.words })
    }

    fn call_long(&self, message: &mut Long, until: Deadline) -> Result<(), Error> {
        if !message.parcel.is_empty() || message.parcel.expected > 0 {
            return self.call_with_capabilities(message, until);
        }
        let answer = self.endpoint.call(&put(message)?, until)?;
        take(&answer, message)
    }

    fn send(&self, message: &Long, until: Deadline) -> Result<(), Error> {
        let outgoing = Outgoing::new(&message.parcel)?;
        let mut request = put(message)?;
        request.caps = outgoing.announce()?;
        self.endpoint.send(&request, until)
    }
}
