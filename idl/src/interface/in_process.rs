//! The transport of tests.

use caps::Error;

use super::{Answer, Dispatch, Long, Request, Short, Transport};
use crate::types::Badge;

/// The transport of tests: the server in the same process, called at once.
#[derive(Debug)]
pub struct InProcess<D> {
    server: core::cell::RefCell<D>,
    caller: Badge,
}

impl<D: Dispatch> InProcess<D> {
    /// A transport to this server, whose caller appears with this badge.
    pub const fn new(server: D, caller: Badge) -> Self {
        Self { server: core::cell::RefCell::new(server), caller }
    }

    /// The server, when the test is over.
    pub fn into_server(self) -> D {
        self.server.into_inner()
    }

    fn pass(&self, label: u32, words: &[u64]) -> Result<Answer, Error> {
        // A server that calls itself waits for itself: on the machine it would wait for ever.
        let mut server = self.server.try_borrow_mut().map_err(|_| Error::TimedOut)?;
        let mut answer = Answer::new();
        server.answer(self.caller, &Request { label, words }, &mut answer);
        Ok(answer)
    }
}

impl<D: Dispatch> Transport for InProcess<D> {
    fn call_short(&self, request: &Short) -> Result<Short, Error> {
        let words = request.words.get(..usize::from(request.count)).ok_or(Error::InvalidArgument)?;
        self.pass(request.label, words)?.short().ok_or(Error::TooLong)
    }

    fn call_long(&self, label: u32, message: &mut Long) -> Result<u32, Error> {
        let answer = self.pass(label, message.words())?;
        *message = answer.message;
        Ok(answer.label)
    }
}
