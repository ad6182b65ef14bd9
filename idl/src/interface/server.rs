//! What generated servers are made of.

use serde::{Deserialize, Serialize};

use super::body::take;
use super::event::{self, LAST_METHOD, Subscribed};
use super::identity::welcome;
use super::{
    Access, CONNECT, Caller, Generation, Interface, Label, Long, Parcel, Passable, Session, Short, status,
};
use crate::abi::REGISTER_WORDS;
use crate::types::{Badge, Deadline};
use crate::word::{Word, Words};

/// A request, as a server sees it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method's number, and what goes with it.
    pub label: u32,
    /// The words.
    pub words: &'a [u64],
    /// The capabilities.
    pub parcel: &'a Parcel,
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

    /// The capability in this place.
    ///
    /// # Errors
    /// `WrongCapability`: there is none, or it is of another kind, or lacks a right.
    pub fn capability<P: Passable>(&self, index: usize) -> Result<P, Refusal> {
        self.parcel.get(index).and_then(P::from_passed).ok_or(Refusal::WrongCapability)
    }
}

/// Refuses what is longer than its `#[max(..)]`: the client should have.
///
/// # Errors
/// `Malformed`.
pub fn expect_most(count: usize, most: usize) -> Result<(), Refusal> {
    if count <= most { Ok(()) } else { Err(Refusal::Malformed) }
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
    /// The caller lacks these rights.
    Denied(u16),
    /// The caller means another life of the server than this one.
    Restarted(Generation),
    /// A capability is not what the method asks for.
    WrongCapability,
    /// There are as many subscribers as there can be.
    NoRoom,
    /// The caller is no subscriber.
    NotSubscribed,
}

impl<I> Caller<I> {
    /// Refuses a caller that lacks one of these rights.
    ///
    /// # Errors
    /// `Denied`.
    #[inline]
    pub const fn require(&self, rights: Access<I>) -> Result<(), Refusal> {
        let missing = rights.bits() & !self.session.access.bits();
        if missing == 0 { Ok(()) } else { Err(Refusal::Denied(missing)) }
    }
}

/// An answer in the making.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status, the words, the capabilities.
    pub message: Long,
}

impl Answer {
    /// An empty answer.
    #[must_use]
    pub const fn new() -> Self {
        Self { message: Long::new(status::OK) }
    }

    /// Answers with words.
    #[inline]
    pub fn words<R: Words>(&mut self, value: R) {
        self.set(status::OK, &value.to_words(), R::FIELDS.len());
    }

    /// Answers with bytes.
    ///
    /// # Errors
    /// `TooLong`.
    pub fn bytes<R: Serialize>(&mut self, value: &R) -> Result<(), Refusal> {
        self.message.label = status::OK;
        self.message.put(value)
    }

    /// Answers with a capability.
    pub fn capability<P: Passable>(&mut self, value: &P) {
        self.set(status::OK, &[], 0);
        self.message.parcel = Parcel::of(&[value.to_passed()]);
    }

    /// Answers with an error of the interface's own.
    #[inline]
    pub fn refused<E: Word>(&mut self, error: E) {
        self.set(status::REFUSED, &[error.to_word()], 1);
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "at most five")]
    fn set(&mut self, label: u32, words: &[u64], count: usize) {
        self.message.label = label;
        for (to, from) in self.message.words.iter_mut().zip(words) {
            *to = *from;
        }
        self.message.count = count.min(REGISTER_WORDS) as u8;
    }

    /// Makes this the answer to a request that came to this end.
    #[inline]
    fn settle(&mut self, done: Result<(), Refusal>) -> Verdict {
        match done {
            Ok(()) => Verdict::Taken,
            Err(refusal) => {
                self.refusal(refusal);
                if refusal == Refusal::TooLong { Verdict::Taken } else { Verdict::Refused }
            }
        }
    }

    /// Answers with a refusal, and nothing else.
    pub fn refusal(&mut self, refusal: Refusal) {
        self.message.parcel.clear();
        match refusal {
            Refusal::UnknownMethod => self.set(status::UNKNOWN_METHOD, &[], 0),
            Refusal::Malformed => self.set(status::MALFORMED, &[], 0),
            Refusal::TooLong => self.set(status::TOO_LONG, &[], 0),
            Refusal::Denied(missing) => self.set(status::DENIED, &[missing.into()], 1),
            Refusal::Restarted(life) => self.set(status::RESTARTED, &[life.0.into()], 1),
            Refusal::WrongCapability => self.set(status::WRONG_CAPABILITY, &[], 0),
            Refusal::NoRoom => self.set(status::NO_ROOM, &[], 0),
            Refusal::NotSubscribed => self.set(status::NOT_SUBSCRIBED, &[], 0),
        }
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self::new()
    }
}

impl Long {
    /// The same as a short message, if it is one.
    #[must_use]
    #[inline]
    pub fn short(&self) -> Option<Short> {
        if usize::from(self.count) > REGISTER_WORDS || !self.parcel.is_empty() {
            return None;
        }
        let words = *self.words.first_chunk::<REGISTER_WORDS>()?;
        Some(Short { label: self.label, count: self.count, words })
    }
}

/// Whether the server's own code saw a request: then what was moved to it is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It did.
    Taken,
    /// It was refused before.
    Refused,
}

/// A server, ready to be served: generated for each interface.
pub trait Dispatch {
    /// Its interface.
    type Interface: Interface;

    /// Decodes a request, has it done, encodes the result.
    ///
    /// # Errors
    /// When there is nothing to be done, or the result does not fit.
    fn dispatch(
        &mut self,
        method: u32,
        caller: Caller<Self::Interface>,
        request: &Request<'_>,
        answer: &mut Answer,
    ) -> Result<(), Refusal>;

    /// Those whom it tells of its events, if the interface has any.
    fn subscribed(&mut self) -> Option<&mut dyn Subscribed> {
        None
    }

    /// The whole of what a server in this life does with a request: this always makes an answer.
    fn answer(
        &mut self,
        life: Generation,
        badge: Badge,
        request: &Request<'_>,
        answer: &mut Answer,
    ) -> Verdict {
        answer.message.parcel.clear();
        let done = self.take(life, badge, request, answer);
        answer.settle(done)
    }

    /// What comes before the method: the label, the life that is meant, the deadline.
    #[doc(hidden)]
    #[inline]
    fn take(
        &mut self,
        life: Generation,
        badge: Badge,
        request: &Request<'_>,
        answer: &mut Answer,
    ) -> Result<(), Refusal> {
        let Some((method, caller, request)) = enter(life, badge, request, answer)? else { return Ok(()) };
        if method > LAST_METHOD {
            return event::dispatch(self.subscribed(), method, caller, &request, answer);
        }
        self.dispatch(method, caller, &request, answer)
    }
}

/// Which method is meant, by whom, and with what; nothing if the request opened a connection, which is answered with that.
#[inline]
fn enter<'a, I: Interface>(
    life: Generation,
    badge: Badge,
    request: &Request<'a>,
    answer: &mut Answer,
) -> Result<Option<(u32, Caller<I>, Request<'a>)>, Refusal> {
    let label = Label::unpack(request.label).ok_or(Refusal::UnknownMethod)?;
    if label.method == CONNECT {
        let (status, words) = welcome::<I>(request.words, life);
        answer.set(status, &words, REGISTER_WORDS);
        return Ok(None);
    }
    if label.generation != Generation::ANY && label.generation != life {
        return Err(Refusal::Restarted(life));
    }
    let mut caller = Caller { session: Session::of(badge), until: Deadline::NEVER };
    let mut words = request.words;
    if label.has_deadline {
        let (until, others) = words.split_last().ok_or(Refusal::Malformed)?;
        (caller.until, words) = (Deadline(*until), others);
    }
    Ok(Some((label.method, caller, Request { words, ..*request })))
}

/// A server whose methods may wait for something, ready to be served: generated for each interface that is `asynchronous`.
/// While one call waits, others are carried out.
pub trait AsyncDispatch {
    /// Its interface.
    type Interface: Interface;

    /// Decodes a request, has it done, encodes the result.
    ///
    /// # Errors
    /// When there is nothing to be done, or the result does not fit.
    fn dispatch(
        &self,
        method: u32,
        caller: Caller<Self::Interface>,
        request: &Request<'_>,
        answer: &mut Answer,
    ) -> impl Future<Output = Result<(), Refusal>>;

    /// The whole of what a server in this life does with a request: this always makes an answer.
    fn answer(
        &self,
        life: Generation,
        badge: Badge,
        request: &Request<'_>,
        answer: &mut Answer,
    ) -> impl Future<Output = Verdict> {
        async move {
            answer.message.parcel.clear();
            let done = match enter(life, badge, request, answer) {
                Ok(None) => Ok(()),
                Ok(Some((method, caller, request))) => self.dispatch(method, caller, &request, answer).await,
                Err(refusal) => Err(refusal),
            };
            answer.settle(done)
        }
    }
}
