//! Why a call has no result.

use core::convert::Infallible;
use core::fmt;

use caps::Error;

use super::{Generation, Mismatch, RightNames};
use crate::word::Word;

/// Why a call has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError<E = Infallible> {
    /// The server refused, with an error of the interface's own.
    Refused(E),
    /// The server died over the call, or was started again since the connection opened: this was the life that the
    /// connection was with. Whether the call was carried out is not known. `reconnect` begins anew.
    Dead(Generation),
    /// The caller lacks these rights of the interface.
    Denied(RightNames),
    /// The server has another interface.
    WrongInterface(Mismatch),
    /// The server has no such method.
    UnknownMethod,
    /// A capability is not what the method asks for.
    WrongCapability,
    /// The server has as many subscribers of its events as it can have.
    NoRoom,
    /// The server does not know the caller as a subscriber: it never was, or could not be signalled any more.
    NotSubscribed,
    /// One side could not decode what the other sent.
    Malformed,
    /// More than the method allows, or than a message carries.
    TooLong,
    /// The kernel refused: the time was up, or the caller's own capability is not what it should be.
    Kernel(Error),
}

impl<E> CallError<E> {
    /// The same with another error of the interface's own.
    pub fn map<F>(self, refused: impl FnOnce(E) -> F) -> CallError<F> {
        match self {
            Self::Refused(error) => CallError::Refused(refused(error)),
            Self::Dead(generation) => CallError::Dead(generation),
            Self::Denied(rights) => CallError::Denied(rights),
            Self::WrongInterface(mismatch) => CallError::WrongInterface(mismatch),
            Self::UnknownMethod => CallError::UnknownMethod,
            Self::WrongCapability => CallError::WrongCapability,
            Self::NoRoom => CallError::NoRoom,
            Self::NotSubscribed => CallError::NotSubscribed,
            Self::Malformed => CallError::Malformed,
            Self::TooLong => CallError::TooLong,
            Self::Kernel(error) => CallError::Kernel(error),
        }
    }
}

impl CallError {
    /// As one of a call that can also be refused: for a function that makes calls of both sorts.
    #[must_use]
    pub fn widen<E>(self) -> CallError<E> {
        self.map(|never| match never {})
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "refused: {error}"),
            Self::Dead(generation) => write!(f, "the server's life number {generation} has ended"),
            Self::Denied(rights) => write!(f, "the caller's session lacks the rights {rights}"),
            Self::WrongInterface(mismatch) => mismatch.fmt(f),
            Self::UnknownMethod => f.write_str("the server has no such method"),
            Self::WrongCapability => f.write_str("a capability is not what the method asks for"),
            Self::NoRoom => f.write_str("the server has no room for another subscriber"),
            Self::NotSubscribed => f.write_str("the caller is no subscriber"),
            Self::Malformed => f.write_str("the message does not decode"),
            Self::TooLong => f.write_str("the message does not fit"),
            Self::Kernel(error) => write!(f, "kernel: {error}"),
        }
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
