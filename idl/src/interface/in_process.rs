//! The transport of tests: the server in the same process, called at once.

use core::cell::{Cell, RefCell};

use caps::Error;

use super::{Answer, Dispatch, Generation, Long, Parcel, Request, Session, Short, Transport};
use crate::types::{Badge, Deadline};

/// The transport of tests: the server in the same process, called at once. Capabilities arrive as they are.
#[derive(Debug)]
pub struct InProcess<D> {
    server: RefCell<D>,
    life: Cell<Generation>,
    badge: Badge,
    until: Deadline,
}

impl<D: Dispatch> InProcess<D> {
    /// A transport to this server, whose caller appears with this badge.
    pub const fn new(server: D, badge: Badge) -> Self {
        Self {
            server: RefCell::new(server),
            life: Cell::new(Generation::FIRST),
            badge,
            until: Deadline::NEVER,
        }
    }

    /// A transport to this server, whose caller has this session.
    pub const fn with_session(server: D, session: Session<D::Interface>) -> Self {
        Self::new(server, session.badge())
    }

    /// With this deadline, which the server is told.
    #[must_use]
    pub const fn until(mut self, until: Deadline) -> Self {
        self.until = until;
        self
    }

    /// Ends the server's life and begins the next, with another server in its place. Gives the old one; nothing if it
    /// is in the middle of a call.
    pub fn restart(&self, server: D) -> Option<D> {
        let mut place = self.server.try_borrow_mut().ok()?;
        self.life.set(self.life.get().next());
        Some(core::mem::replace(&mut *place, server))
    }

    /// Has something done with the server between two calls: what it does by itself. Nothing if it is in the middle of one.
    pub fn with<R>(&self, work: impl FnOnce(&mut D) -> R) -> Option<R> {
        Some(work(&mut *self.server.try_borrow_mut().ok()?))
    }

    /// The server, when the test is over.
    pub fn into_server(self) -> D {
        self.server.into_inner()
    }

    fn pass(&self, label: u32, words: &[u64], parcel: &Parcel) -> Result<Answer, Error> {
        // A server that calls itself waits for itself: on the machine it would wait for ever.
        let mut server = self.server.try_borrow_mut().map_err(|_| Error::TimedOut)?;
        let mut answer = Answer::new();
        server.answer(self.life.get(), self.badge, &Request { label, words, parcel }, &mut answer);
        Ok(answer)
    }
}

impl<D: Dispatch> Transport for InProcess<D> {
    fn deadline(&self) -> Deadline {
        self.until
    }

    fn call_short(&self, request: &Short, _: Deadline) -> Result<Short, Error> {
        let words = request.words.get(..usize::from(request.count)).ok_or(Error::InvalidArgument)?;
        self.pass(request.label, words, &Parcel::new())?.message.short().ok_or(Error::TooLong)
    }

    fn call_long(&self, message: &mut Long, _: Deadline) -> Result<(), Error> {
        *message = self.pass(message.label, message.words(), &message.parcel)?.message;
        Ok(())
    }

    fn send(&self, message: &Long, _: Deadline) -> Result<(), Error> {
        self.pass(message.label, message.words(), &message.parcel).map(|_| ())
    }
}
