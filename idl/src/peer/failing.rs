//! A transport that fails as it is told to.

use core::cell::{Cell, RefCell};
use std::boxed::Box;

use caps::Error;

use crate::interface::{Long, Short, Transport};
use crate::types::Deadline;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server dies before it sees the request.
    DiesBefore,
    /// The server does what it is asked, and dies before it answers.
    DiesAfter,
    /// The server does not answer in time, and never sees the request.
    TimesOut,
    /// The kernel refuses.
    Kernel(Error),
}

/// A transport whose calls, counted from 0, fail as a plan says: opening the connection is one too.
pub struct Failing<T> {
    transport: T,
    plan: RefCell<Box<dyn FnMut(u32) -> Option<Failure>>>,
    calls: Cell<u32>,
}

impl<T: Transport> Failing<T> {
    /// Calls over this transport, but for those that the plan lets fail.
    pub fn new(transport: T, plan: impl FnMut(u32) -> Option<Failure> + 'static) -> Self {
        Self { transport, plan: RefCell::new(Box::new(plan)), calls: Cell::new(0) }
    }

    /// The transport below.
    pub const fn transport(&self) -> &T {
        &self.transport
    }

    /// How many calls were begun.
    pub const fn calls(&self) -> u32 {
        self.calls.get()
    }

    fn pass<R>(&self, call: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
        let number = self.calls.get();
        self.calls.set(number + 1);
        let failure = (self.plan.borrow_mut())(number);
        match failure {
            None => call(),
            Some(Failure::DiesBefore) => Err(Error::Cancelled),
            Some(Failure::DiesAfter) => call().and(Err(Error::Cancelled)),
            Some(Failure::TimesOut) => Err(Error::TimedOut),
            Some(Failure::Kernel(error)) => Err(error),
        }
    }
}

impl<T: Transport> Transport for Failing<T> {
    fn deadline(&self) -> Deadline {
        self.transport.deadline()
    }

    fn call_short(&self, request: &Short, until: Deadline) -> Result<Short, Error> {
        self.pass(|| self.transport.call_short(request, until))
    }

    fn call_long(&self, message: &mut Long, until: Deadline) -> Result<(), Error> {
        self.pass(|| self.transport.call_long(message, until))
    }

    fn send(&self, message: &Long, until: Deadline) -> Result<(), Error> {
        self.pass(|| self.transport.send(message, until))
    }
}
