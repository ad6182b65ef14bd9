//! What generated servers are made of.

use serde::{Deserialize, Serialize};

use super::body::take;
use super::{ASK_FINGERPRINT, Interface, Long, Short, status};
use crate::abi::REGISTER_WORDS;
use crate::types::Badge;
use crate::word::{Word, Words};

/// A request, as a server sees it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method's number.
    pub label: u32,
    /// The words.
    pub words: &'a [u64],
}

impl<'a> Request<'a> {
    /// Refuses a request that has not exactly so many words.
    ///
    /// # Errors
    /// `Malformed`.
    #[inline]
    pub fn expect_words(&self, count: usize) -> Result<(), Refusal> {
        if self.words.len() == count { Ok(()) } else { Err(Refusal::Malformed) }
    }

    /// The argument in this word.
    ///
    /// # Errors
    /// `Malformed`.
    #[inline]
    pub fn word<W: Word>(&self, index: usize) -> Result<W, Refusal> {
        let word = self.words.get(index).ok_or(Refusal::Malformed)?;
        W::from_word(*word).map_err(|_| Refusal::Malformed)
    }

    /// The arguments in the bytes.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn bytes<V: Deserialize<'a>>(&self) -> Result<V, Refusal> {
        take(self.words).ok_or(Refusal::Malformed)
    }
}

/// Why dispatch did not reach the server, or its result not the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such method.
    UnknownMethod,
    /// The arguments do not decode.
    Malformed,
    /// The result does not fit.
    TooLong,
}

/// An answer in the making.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status.
    pub label: u32,
    /// The words.
    pub message: Long,
}

impl Answer {
    /// An empty answer.
    #[must_use]
    pub const fn new() -> Self {
        Self { label: status::OK, message: Long::new() }
    }

    /// Answers with words.
    ///
    /// # Errors
    /// None; the type is that of [`Answer::bytes`].
    #[inline]
    pub fn words<R: Words>(&mut self, value: R) -> Result<(), Refusal> {
        self.set(status::OK, &value.to_words(), R::FIELDS.len())
    }

    /// Answers with bytes.
    ///
    /// # Errors
    /// `TooLong`.
    pub fn bytes<R: Serialize>(&mut self, value: &R) -> Result<(), Refusal> {
        self.label = status::OK;
        self.message.put(value)
    }

    /// Answers with an error of the interface's own.
    ///
    /// # Errors
    /// None; the type is that of [`Answer::bytes`].
    #[inline]
    pub fn refused_words<E: Word>(&mut self, error: E) -> Result<(), Refusal> {
        self.set(status::REFUSED, &[error.to_word()], 1)
    }

    #[inline]
    fn set(&mut self, label: u32, words: &[u64], count: usize) -> Result<(), Refusal> {
        self.label = label;
        for (to, from) in self.message.words.iter_mut().zip(words) {
            *to = *from;
        }
        self.message.count = u8::try_from(count).map_err(|_| Refusal::TooLong)?;
        Ok(())
    }

    /// The same as a short message, if it is one.
    #[must_use]
    #[inline]
    pub fn short(&self) -> Option<Short> {
        let mut short = Short { label: self.label, count: self.message.count, ..Short::default() };
        if usize::from(short.count) > REGISTER_WORDS {
            return None;
        }
        short.words.copy_from_slice(&self.message.words[..REGISTER_WORDS]);
        Some(short)
    }
}

/// A server, ready to be served: generated for each interface.
pub trait Dispatch {
    /// Its interface.
    type Interface: Interface;

    /// Decodes a request, has it done, encodes the result.
    ///
    /// # Errors
    /// When there is nothing to be done, or the result does not fit.
    fn dispatch(&mut self, caller: Badge, request: &Request<'_>, answer: &mut Answer) -> Result<(), Refusal>;

    /// The whole of what a server does with a request: this always makes an answer.
    fn answer(&mut self, caller: Badge, request: &Request<'_>, answer: &mut Answer) {
        let outcome = if request.label == ASK_FINGERPRINT {
            answer.words(<Self::Interface as Interface>::FINGERPRINT)
        } else {
            self.dispatch(caller, request, answer)
        };
        if let Err(refusal) = outcome {
            answer.message.count = 0;
            answer.label = match refusal {
                Refusal::UnknownMethod => status::UNKNOWN_METHOD,
                Refusal::Malformed => status::MALFORMED,
                Refusal::TooLong => status::TOO_LONG,
            };
        }
    }
}
