//! A server's side of an endpoint.

use caps::Error;
use idl::abi::MESSAGE_CAPS;
use idl::interface::{
    Answer, Dispatch, Generation, Interface, Label, Long, Method, Passing, Request, SUBSCRIBE, Shape,
    Verdict, most_capabilities,
};
use idl::message::Received;
use idl::types::{Badge, Bits, Deadline};

use super::parcel::{Expected, NOWHERE, Outgoing, remove};
use super::{put, take};
use crate::cap::{Cap, Endpoint, Notification, Reply};
use crate::{environment, memory, page, thread};

/// A server's side of an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    endpoint: Cap<Endpoint>,
    reply: Cap<Reply>,
    life: Generation,
}

impl Service {
    /// Serves an endpoint to which this program has the right to receive.
    ///
    /// # Errors
    /// Those of making a Reply.
    pub fn on(endpoint: Cap<Endpoint>) -> Result<Self, Error> {
        let life = environment().startup().generation();
        Ok(Self { endpoint, reply: memory::create::<Reply>(0)?, life })
    }

    /// Makes an endpoint and serves it.
    ///
    /// # Errors
    /// Those of making an Endpoint and a Reply.
    pub fn create() -> Result<Self, Error> {
        Self::on(memory::create::<Endpoint>(0)?)
    }

    /// In this life instead of the program's: when the program itself begins serving anew.
    #[must_use]
    pub const fn life(mut self, life: Generation) -> Self {
        self.life = life;
        self
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

    /// Serves until the endpoint goes, or the kernel refuses in another way. A caller who does not wait for the answer
    /// any more costs nothing: the answer is dropped, and so is what was to be moved with it.
    pub fn serve(&self, handler: &mut impl Handler) -> Error {
        let Err(error) = self.serve_each(handler);
        // The slots have been given back. Without a page nothing arrives anyway.
        let _ = page::set_receive_slots(&[NOWHERE; MESSAGE_CAPS]);
        error
    }

    fn serve_each(&self, handler: &mut impl Handler) -> Result<core::convert::Infallible, Error> {
        let mut inbox = Expected::new(0)?;
        let bells = if handler.has_events() { SUBSCRIBE.capabilities() } else { 0 };
        let most = most_capabilities(handler.methods()).max(bells);
        let mut request = Long::new(0);
        let mut answer = Answer::new();
        inbox.fill(most)?;
        inbox.announce()?;
        let mut next = arrived(self.receive()?, &mut request, &mut inbox)?;
        loop {
            let received = match next {
                Arrived::Request(badge) => {
                    let Long { label, parcel, .. } = &request;
                    let seen = Request { label: *label, words: request.words(), parcel };
                    let verdict = handler.request(self.life, badge, &seen, &mut answer);
                    settle(handler.methods(), &request, verdict);
                    if inbox.fill(most)? {
                        inbox.announce()?;
                    }
                    self.answer(&answer)?
                }
                Arrived::Signal(bits) => {
                    handler.signalled(bits);
                    self.receive()?
                }
            };
            next = arrived(received, &mut request, &mut inbox)?;
        }
    }

    #[inline]
    fn receive(&self) -> Result<Received, Error> {
        self.endpoint.receive(&self.reply, Deadline::NEVER)
    }

    /// Answers and receives the next.
    #[inline]
    fn answer(&self, answer: &Answer) -> Result<Received, Error> {
        let mut message = put(&answer.message)?;
        if answer.message.parcel.is_empty() {
            return self.endpoint.reply_receive(&self.reply, &message, Deadline::NEVER);
        }
        let mut outgoing = Outgoing::new(&answer.message.parcel)?;
        message.caps = outgoing.announce()?;
        let received = self.endpoint.reply_receive(&self.reply, &message, Deadline::NEVER);
        outgoing.discard();
        received
    }
}

/// What a server was waiting for.
#[derive(Clone, Copy, Debug)]
enum Arrived {
    /// This caller's request arrived.
    Request(Badge),
    /// The bound notification was signalled.
    Signal(Bits),
}

/// Takes what was received from where the kernel put it.
#[inline(always)]
fn arrived(received: Received, request: &mut Long, inbox: &mut Expected) -> Result<Arrived, Error> {
    match received {
        Received::Message { badge, message } => {
            take(&message, request)?;
            inbox.collect_into(message.caps, &mut request.parcel)?;
            Ok(Arrived::Request(badge))
        }
        Received::Signal(bits) => Ok(Arrived::Signal(bits)),
    }
}

/// Takes back what came with a request and is not the server's to keep: what was lent, and all of it if the server
/// never saw it.
#[inline]
fn settle(methods: &[Method], request: &Long, verdict: Verdict) {
    if !request.parcel.is_empty() {
        settle_some(methods, request, verdict);
    }
}

#[cold]
fn settle_some(methods: &[Method], request: &Long, verdict: Verdict) {
    let number = Label::unpack(request.label).map_or(0, |label| label.method);
    let method = methods.iter().chain([&SUBSCRIBE]).find(|method| method.number == number);
    for index in 0..MESSAGE_CAPS {
        let Some(passed) = request.parcel.get(index) else { continue };
        let kept = verdict == Verdict::Taken && passing(method, index) == Some(Passing::Moved);
        if !kept {
            remove(passed.handle);
        }
    }
}

/// How the capability in this place is passed, if the method has one there.
fn passing(method: Option<&Method>, index: usize) -> Option<Passing> {
    let shapes = method?.arguments.iter().map(|argument| argument.shape);
    let mut ways = shapes.filter_map(|shape| match shape {
        Shape::Capability(passing, ..) => Some(passing),
        _ => None,
    });
    ways.nth(index)
}

/// What a server does with what arrives.
pub trait Handler {
    /// The methods, for what goes along with their arguments.
    fn methods(&self) -> &'static [Method] {
        &[]
    }

    /// Whether callers can subscribe to events.
    fn has_events(&self) -> bool {
        false
    }

    /// A request in this life of the server: make an answer.
    fn request(
        &mut self,
        life: Generation,
        caller: Badge,
        request: &Request<'_>,
        answer: &mut Answer,
    ) -> Verdict;

    /// The notification that is bound to the thread was signalled.
    fn signalled(&mut self, bits: Bits) {
        let _ = bits;
    }
}

impl<D: Dispatch> Handler for D {
    #[inline]
    fn methods(&self) -> &'static [Method] {
        <D::Interface as Interface>::METHODS
    }

    #[inline]
    fn has_events(&self) -> bool {
        !<D::Interface as Interface>::EVENTS.is_empty()
    }

    #[inline]
    fn request(
        &mut self,
        life: Generation,
        caller: Badge,
        request: &Request<'_>,
        answer: &mut Answer,
    ) -> Verdict {
        self.answer(life, caller, request, answer)
    }
}
