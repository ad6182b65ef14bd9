//! What generated clients are made of.

use core::convert::Infallible;

use caps::Error;
use serde::{Deserialize, Serialize};

use super::body::take;
use super::{ASK_FINGERPRINT, CallError, Interface, Long, Short, status};
use crate::abi::REGISTER_WORDS;
use crate::word::{Word, Words};

/// What carries requests to a server and answers back: an endpoint, or the server itself in a test.
pub trait Transport {
    /// A request and an answer that both fit in registers. An answer that does not is `TooLong`.
    ///
    /// # Errors
    /// What the carrier fails with.
    fn call_short(&self, request: &Short) -> Result<Short, Error>;

    /// A request and an answer of any length: `message` holds the request's words and gets the answer's.
    /// Gives the answer's label.
    ///
    /// # Errors
    /// What the carrier fails with.
    fn call_long(&self, label: u32, message: &mut Long) -> Result<u32, Error>;
}

impl<T: Transport> Transport for &T {
    fn call_short(&self, request: &Short) -> Result<Short, Error> {
        (**self).call_short(request)
    }

    fn call_long(&self, label: u32, message: &mut Long) -> Result<u32, Error> {
        (**self).call_long(label, message)
    }
}

/// What generated clients call for methods in registers.
///
/// # Errors
/// As the method's.
#[inline]
pub fn call_words<T: Transport, R: Words, E: Refused>(
    transport: &T,
    label: u32,
    count: usize,
    words: [u64; REGISTER_WORDS],
) -> Result<R, CallError<E>> {
    let count = u8::try_from(count).map_err(|_| CallError::TooLong)?;
    let answer = transport.call_short(&Short { label, count, words })?;
    check_status(answer.label, answer.words[0])?;
    if usize::from(answer.count) != R::FIELDS.len() {
        return Err(CallError::Malformed);
    }
    R::from_words(&answer.words).map_err(|_| CallError::Malformed)
}

/// What generated clients call for methods in bytes.
///
/// # Errors
/// As the method's.
pub fn call_bytes<T: Transport, A: Serialize, R: for<'a> Deserialize<'a>, E: Refused>(
    transport: &T,
    label: u32,
    arguments: &A,
) -> Result<R, CallError<E>> {
    let mut message = Long::new();
    if size_of::<A>() > 0 {
        message.put(arguments).map_err(|_| CallError::TooLong)?;
    }
    let label = transport.call_long(label, &mut message)?;
    check_status(label, message.words().first().copied().unwrap_or(0))?;
    take(message.words()).ok_or(CallError::Malformed)
}

fn check_status<E: Refused>(label: u32, word: u64) -> Result<(), CallError<E>> {
    match label {
        status::OK => Ok(()),
        status::REFUSED => Err(E::from_refusal(word).map_or(CallError::Malformed, CallError::Refused)),
        status::UNKNOWN_METHOD => Err(CallError::UnknownMethod),
        status::TOO_LONG => Err(CallError::TooLong),
        _ => Err(CallError::Malformed),
    }
}

/// An error of an interface's own, or none at all.
pub trait Refused: Sized {
    /// The error with this number.
    fn from_refusal(word: u64) -> Option<Self>;
}

impl<E: Word> Refused for E {
    fn from_refusal(word: u64) -> Option<Self> {
        E::from_word(word).ok()
    }
}

impl Refused for Infallible {
    fn from_refusal(_: u64) -> Option<Self> {
        None
    }
}

/// Asks a server for its fingerprint and compares.
///
/// # Errors
/// `WrongInterface`, and what a call can fail with.
pub fn check_fingerprint<I: Interface, T: Transport>(transport: &T) -> Result<(), CallError> {
    let found = call_words::<T, u64, Infallible>(transport, ASK_FINGERPRINT, 0, [0; REGISTER_WORDS])?;
    if found == I::FINGERPRINT { Ok(()) } else { Err(CallError::WrongInterface(found)) }
}
