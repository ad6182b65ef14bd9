//! A server's side of an endpoint.

use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::task::{Context, Waker};

use caps::Error;
use idl::abi::MESSAGE_CAPS;
use idl::interface::{
    Answer, AsyncDispatch, Dispatch, Generation, Interface, Label, Long, Method, Passing, Request, SUBSCRIBE,
    Shape, Verdict, most_capabilities, status,
};
use idl::message::{Message, Received};
use idl::types::{Badge, Bits, Deadline};

use super::parcel::{Expected, NOWHERE, Outgoing, remove};
use super::turns::{Done, Turns};
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

    /// Serves calls that may wait for something, until the endpoint goes, or the kernel refuses in another way: while one waits,
    /// others are carried out, at most `most` at once, and `each` of one session. Who comes when there are `most` waits
    /// until one has ended; whose session has its part is refused (`NoRoom`). The thread must have no notification bound to it.
    pub fn serve_concurrently<D: AsyncDispatch>(&self, server: &D, most: usize, each: usize) -> Error {
        let Err(error) = self.serve_turns(server, most, each);
        // As above.
        let _ = page::set_receive_slots(&[NOWHERE; MESSAGE_CAPS]);
        error
    }

    fn serve_turns<D: AsyncDispatch>(
        &self,
        server: &D,
        most: usize,
        each: usize,
    ) -> Result<core::convert::Infallible, Error> {
        let bell = memory::create::<Notification>(0)?;
        self.bind(bell)?;
        let waker = Waker::from(Arc::new(Alarm(bell)));
        let methods = <D::Interface as Interface>::METHODS;
        let mut replies = Vec::from([self.reply]);
        while replies.len() < most {
            replies.push(memory::create::<Reply>(0)?);
        }
        let mut inbox = Expected::new(0)?;
        let mut turns = Turns::new(server, self.life, each);
        loop {
            while let Some(done) = turns.next(&mut Context::from_waker(&waker)) {
                replies.push(finish(&done, methods)?);
            }
            let Some(reply) = replies.last().copied() else {
                bell.wait(Deadline::NEVER)?;
                continue;
            };
            inbox.fill(most_capabilities(methods))?;
            inbox.announce()?;
            let received = self.endpoint.receive(&reply, Deadline::NEVER)?;
            let mut request = Long::new(0);
            // A signal says that a call can go on.
            if let Arrived::Request(badge) = arrived(received, &mut request, &mut inbox)? {
                replies.pop();
                if let Some(done) = turns.begin(reply, badge, request) {
                    replies.push(finish(&done, methods)?);
                }
            }
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

/// What wakes a thread that serves: the notification that is bound to it.
struct Alarm(Cap<Notification>);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // It is this program's own, and goes with it.
        let _ = self.0.signal(Bits(1));
    }
}

/// Answers a call that has come to its end; gives back what its caller waited in, which is free then. A caller who does not
/// wait any more costs nothing.
fn finish(done: &Done<Cap<Reply>>, methods: &[Method]) -> Result<Cap<Reply>, Error> {
    settle(methods, &done.request, done.verdict);
    let mut message = put(&done.answer.message)?;
    let mut outgoing = Outgoing::new(&done.answer.message.parcel)?;
    message.caps = outgoing.announce()?;
    let answered = done.ticket.reply(&message);
    outgoing.discard();
    match answered {
        // He goes on waiting for one that fits.
        Err(Error::TooLong) => {
            let _ = done.ticket.reply(&Message { label: status::TOO_LONG, ..Message::default() });
        }
        Ok(()) | Err(Error::NotPending) => {}
        Err(error) => return Err(error),
    }
    Ok(done.ticket)
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
