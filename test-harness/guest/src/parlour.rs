//! An interface for the cases, and its server.

use alloc::string::String;

use idl::Word;
use idl::types::Badge;
use userlib::Error;

/// Why the parlour refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParlourError {
    /// By zero.
    DivisionByZero,
}

impl Word for ParlourError {
    const NAME: &'static str = "ParlourError";

    fn to_word(self) -> u64 {
        1
    }

    fn from_word(word: u64) -> Result<Self, Error> {
        if word == 1 { Ok(Self::DivisionByZero) } else { Err(Error::InvalidArgument) }
    }
}

/// Small talk.
#[idl::interface]
pub(crate) trait Parlour {
    /// The quotient.
    fn divide(&self, value: u64, by: u64) -> Result<u64, ParlourError>;
    /// Who calls.
    fn who(&self) -> Badge;
    /// How many calls there were before.
    fn calls(&self) -> u64;
    /// The text, so often.
    #[bytes]
    fn repeat(&self, text: &str, times: u32) -> String;
}

/// The server.
#[derive(Debug, Default)]
pub(crate) struct Host {
    calls: u64,
}

impl ParlourServer for Host {
    fn divide(&mut self, _: Badge, value: u64, by: u64) -> Result<u64, ParlourError> {
        self.calls += 1;
        value.checked_div(by).ok_or(ParlourError::DivisionByZero)
    }

    fn who(&mut self, caller: Badge) -> Badge {
        self.calls += 1;
        caller
    }

    fn calls(&mut self, _: Badge) -> u64 {
        self.calls
    }

    fn repeat(&mut self, _: Badge, text: &str, times: u32) -> String {
        self.calls += 1;
        text.repeat(times as usize)
    }
}
