//! Serving an interface over an endpoint, and calling one.

use core::time::Duration;

use caps::Error;
use idl::abi::REGISTER_WORDS;
use idl::interface::{Answer, Dispatch, Long, Request, Short, Transport};
use idl::message::{Message, Received};
use idl::types::{Badge, Bits, Deadline};

use crate::cap::{Cap, Endpoint, Notification, Reply};
use crate::{memory, page, thread, time};

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

    /// Waits for each answer only so long; then the call fails with `TimedOut`.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    fn deadline(&self) -> Deadline {
        self.patience.map_or(Deadline::NEVER, time::after)
    }
}

impl Transport for Connection {
    #[inline]
    fn call_short(&self, request: &Short) -> Result<Short, Error> {
        let message = Message { label: request.label, count: request.count, caps: 0, words: request.words };
        let answer = self.endpoint.call(&message, self.deadline())?;
        if usize::from(answer.count) > REGISTER_WORDS {
            return Err(Error::TooLong);
        }
        Ok(Short { label: answer.label, count: answer.count, words: answer.words })
    }

    fn call_long(&self, label: u32, body: &mut Long) -> Result<u32, Error> {
        let answer = self.endpoint.call(&put(label, body)?, self.deadline())?;
        take(&answer, body)?;
        Ok(answer.label)
    }
}

/// Puts the words of a message where the kernel takes them from: five in registers, the others in the page.
fn put(label: u32, body: &Long) -> Result<Message, Error> {
    let mut message = Message::short(label, body.words().get(..REGISTER_WORDS).unwrap_or(body.words()));
    message.count = body.count;
    if let Some(rest) = body.words().get(REGISTER_WORDS..)
        && !rest.is_empty()
    {
        page::put_words(REGISTER_WORDS, rest)?;
    }
    Ok(message)
}

/// The inverse of [`put`].
fn take(message: &Message, body: &mut Long) -> Result<(), Error> {
    body.count = message.count;
    body.words[..REGISTER_WORDS].copy_from_slice(&message.words);
    let count = usize::from(message.count);
    if count > REGISTER_WORDS {
        page::get_words(REGISTER_WORDS, &mut body.words[REGISTER_WORDS..count])?;
    }
    Ok(())
}

/// A server's side of an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    endpoint: Cap<Endpoint>,
    reply: Cap<Reply>,
}

impl Service {
    /// Serves an endpoint to which this program has the right to receive.
    ///
    /// # Errors
    /// Those of making a Reply.
    pub fn on(endpoint: Cap<Endpoint>) -> Result<Self, Error> {
        Ok(Self { endpoint, reply: memory::create::<Reply>(0)? })
    }

    /// Makes an endpoint and serves it.
    ///
    /// # Errors
    /// Those of making an Endpoint and a Reply.
    pub fn create() -> Result<Self, Error> {
        Self::on(memory::create::<Endpoint>(0)?)
    }

    /// The endpoint: mint capabilities for clients from it.
    #[must_use]
    pub const fn endpoint(&self) -> Cap<Endpoint> {
        self.endpoint
    }

    /// Lets a signal of this notification end a wait for messages; see [`Handler::signalled`].
    ///
    /// # Errors
    /// Those of `Thread.bind`.
    pub fn bind(&self, notification: Cap<Notification>) -> Result<(), Error> {
        thread::current().bind(notification.handle())
    }

    /// Serves until the endpoint goes, or the kernel refuses in another way.
    pub fn serve(&self, handler: &mut impl Handler) -> Error {
        let mut request = Long::new();
        let mut answer = Answer::new();
        let mut received = self.endpoint.receive(&self.reply, Deadline::NEVER);
        loop {
            received = match received {
                Ok(Received::Message { badge, message }) => {
                    if let Err(error) = take(&message, &mut request) {
                        return error;
                    }
                    let words = request.words();
                    handler.request(badge, &Request { label: message.label, words }, &mut answer);
                    self.answer(&answer)
                }
                Ok(Received::Signal(bits)) => {
                    handler.signalled(bits);
                    self.endpoint.receive(&self.reply, Deadline::NEVER)
                }
                Err(error) => return error,
            };
        }
    }

    /// Answers and receives the next.
    fn answer(&self, answer: &Answer) -> Result<Received, Error> {
        let message = put(answer.label, &answer.message)?;
        self.endpoint.reply_receive(&self.reply, &message, Deadline::NEVER)
    }
}

/// What a server does with what arrives.
pub trait Handler {
    /// A request: make an answer.
    fn request(&mut self, caller: Badge, request: &Request<'_>, answer: &mut Answer);

    /// The notification that is bound to the thread was signalled.
    fn signalled(&mut self, bits: Bits) {
        let _ = bits;
    }
}

impl<D: Dispatch> Handler for D {
    #[inline]
    fn request(&mut self, caller: Badge, request: &Request<'_>, answer: &mut Answer) {
        self.answer(caller, request, answer);
    }
}
