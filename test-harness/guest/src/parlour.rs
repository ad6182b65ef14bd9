//! An interface for the cases, and its server.

use heapless::String;
use idl::interface::Caller;

/// Why the parlour refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, idl::Word)]
pub(crate) enum ParlourError {
    /// By zero.
    DivisionByZero = 1,
}

/// Most bytes of a talk.
const TALK: usize = 1024;

/// Small talk.
#[idl::interface]
pub(crate) trait Parlour {
    /// The quotient.
    fn divide(&self, value: u64, by: u64) -> Result<u64, ParlourError>;
    /// Who calls.
    fn who(&self) -> u32;
    /// How many calls there were before.
    fn calls(&self) -> u64;
    /// The text, so often.
    #[bytes]
    fn repeat(&self, #[max(512)] text: &str, times: u32) -> String<TALK>;
}

/// The server.
#[derive(Debug, Default)]
pub(crate) struct Host {
    calls: u64,
}

impl ParlourServer for Host {
    fn divide(&mut self, _: Caller<Parlour>, value: u64, by: u64) -> Result<u64, ParlourError> {
        self.calls += 1;
        value.checked_div(by).ok_or(ParlourError::DivisionByZero)
    }

    fn who(&mut self, caller: Caller<Parlour>) -> u32 {
        self.calls += 1;
        caller.number()
    }

    fn calls(&mut self, _: Caller<Parlour>) -> u64 {
        self.calls
    }

    fn repeat(&mut self, _: Caller<Parlour>, text: &str, times: u32) -> String<TALK> {
        self.calls += 1;
        let mut talk = String::new();
        // What does not fit is left out, text by text.
        (0..times).take_while(|_| talk.push_str(text).is_ok()).for_each(drop);
        talk
    }
}
