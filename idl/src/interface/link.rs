//! What generated clients are made of: a transport, and the life of the server that the connection is with.

use core::cell::Cell;
use core::convert::Infallible;
use core::marker::PhantomData;

use caps::Error;
use serde::{Deserialize, Serialize};

use super::body::take;
use super::event::{BellCap, NEXT, NOTHING, SUBSCRIBE, Told, UNSUBSCRIBE};
use super::identity::counts;
use super::{
    CONNECT, CallError, Delivery, Generation, Identity, Interface, Label, Long, Method, Mismatch, Parcel,
    Passable, Passed, Refused, RightNames, Short, Transport, Until, status,
};
use crate::abi::REGISTER_WORDS;
use crate::types::Deadline;
use crate::word::Words;

/// How often a call that may be repeated is, when the server dies over it.
pub const REPEATS: u32 = 3;

/// A client's end of a connection.
#[derive(Debug)]
pub struct Link<I, T> {
    transport: T,
    generation: Cell<Generation>,
    interface: PhantomData<fn() -> I>,
}

impl<I, T: Clone> Clone for Link<I, T> {
    fn clone(&self) -> Self {
        let transport = self.transport.clone();
        Self { transport, generation: self.generation.clone(), interface: PhantomData }
    }
}

impl<I: Interface, T: Transport> Link<I, T> {
    /// A connection that is not opened: it goes to whichever life of the server is there.
    pub const fn new(transport: T) -> Self {
        Self { transport, generation: Cell::new(Generation::ANY), interface: PhantomData }
    }

    /// The transport.
    pub const fn transport(&self) -> &T {
        &self.transport
    }

    /// The life of the server that the connection is with.
    pub const fn generation(&self) -> Generation {
        self.generation.get()
    }

    /// The same connection, with calls that end at this time at the latest.
    pub const fn until(&self, until: Deadline) -> Link<I, Until<&T>> {
        let transport = Until::new(&self.transport, until);
        Link { transport, generation: Cell::new(self.generation.get()), interface: PhantomData }
    }

    /// Opens the connection: compares fingerprints and learns which life the server is in.
    ///
    /// # Errors
    /// `WrongInterface`, and what the transport fails with.
    pub fn connect(&self) -> Result<(), CallError> {
        self.connect_until(self.transport.deadline())
    }

    fn connect_until(&self, until: Deadline) -> Result<(), CallError> {
        let words = [I::FINGERPRINT, counts::<I>(), 0, 0, 0];
        let label = Label::new(CONNECT, Generation::ANY).pack();
        let answer = self.transport.call_short(&Short { label, count: 2, words }, until);
        let answer = answer.map_err(|error| self.carrier(error))?;
        let (server, generation) = Identity::from_words(&answer.words);
        match answer.label {
            status::OK => {
                self.generation.set(generation);
                Ok(())
            }
            status::WRONG_INTERFACE => {
                Err(CallError::WrongInterface(Mismatch { client: Identity::of::<I>(), server }))
            }
            _ => Err(CallError::Malformed),
        }
    }

    /// A call of a method in registers.
    ///
    /// # Errors
    /// As the method's.
    #[inline]
    pub fn words<R: Words, E: Refused>(
        &self,
        method: &Method,
        words: [u64; REGISTER_WORDS],
    ) -> Result<R, CallError<E>> {
        self.repeat(method, |until| {
            let answer = self.words_once(method, words, until).map_err(|error| self.carrier(error))?;
            self.check(answer.label, answer.words[0])?;
            if usize::from(answer.count) != R::FIELDS.len() {
                return Err(CallError::Malformed);
            }
            R::from_words(&answer.words).map_err(|_| CallError::Malformed)
        })
    }

    #[inline]
    fn words_once(
        &self,
        method: &Method,
        mut words: [u64; REGISTER_WORDS],
        until: Deadline,
    ) -> Result<Short, Error> {
        let mut label = Label::new(method.number, self.generation.get());
        let mut count = method.words;
        if until != Deadline::NEVER {
            let Some(place) = words.get_mut(usize::from(count)) else {
                return self.six_words(method, words, until);
            };
            (*place, label.has_deadline) = (until.0, true);
            count += 1;
        }
        self.transport.call_short(&Short { label: label.pack(), count, words }, until)
    }

    /// Five words and a deadline: one too many for the registers.
    #[cold]
    fn six_words(
        &self,
        method: &Method,
        words: [u64; REGISTER_WORDS],
        until: Deadline,
    ) -> Result<Short, Error> {
        let mut message = self.begin(method, until);
        fill(&mut message, &[], until, |message| message.set_words(&words)).ok_or(Error::TooLong)?;
        self.transport.call_long(&mut message, until)?;
        message.short().ok_or(Error::TooLong)
    }

    /// A call of a method in registers with capabilities among its arguments or as its result.
    ///
    /// # Errors
    /// As the method's.
    pub fn words_and_caps<R: Outcome, E: Refused>(
        &self,
        method: &Method,
        words: &[u64],
        capabilities: &[Passed],
    ) -> Result<R, CallError<E>> {
        self.long(method, capabilities, R::CAPABILITIES, |message| message.set_words(words), R::from_words)
    }

    /// A call of a method in bytes.
    ///
    /// # Errors
    /// As the method's.
    pub fn bytes<A: Serialize, R: for<'a> Deserialize<'a>, E: Refused>(
        &self,
        method: &Method,
        arguments: &A,
        capabilities: &[Passed],
    ) -> Result<R, CallError<E>> {
        let encode = |message: &mut Long| encode(message, arguments);
        self.long(method, capabilities, 0, encode, |message| take(message.words()))
    }

    fn long<R, E: Refused>(
        &self,
        method: &Method,
        capabilities: &[Passed],
        expected: u8,
        encode: impl Fn(&mut Long) -> Option<()>,
        decode: impl Fn(&Long) -> Option<R>,
    ) -> Result<R, CallError<E>> {
        self.repeat(method, |until| {
            let mut message = self.begin(method, until);
            fill(&mut message, capabilities, until, &encode).ok_or(CallError::TooLong)?;
            message.parcel.expected = expected;
            self.transport.call_long(&mut message, until).map_err(|error| self.carrier(error))?;
            self.check(message.label, message.words().first().copied().unwrap_or(0))?;
            decode(&message).ok_or(CallError::Malformed)
        })
    }

    /// Sends a request that has no answer, of a method in registers.
    ///
    /// # Errors
    /// What the transport fails with.
    pub fn send_words(
        &self,
        method: &Method,
        words: &[u64],
        capabilities: &[Passed],
    ) -> Result<(), CallError> {
        self.send(method, capabilities, |message| message.set_words(words))
    }

    /// Sends a request that has no answer, of a method in bytes.
    ///
    /// # Errors
    /// `TooLong`, and what the transport fails with.
    pub fn send_bytes<A: Serialize>(
        &self,
        method: &Method,
        arguments: &A,
        capabilities: &[Passed],
    ) -> Result<(), CallError> {
        self.send(method, capabilities, |message| encode(message, arguments))
    }

    fn send(
        &self,
        method: &Method,
        capabilities: &[Passed],
        encode: impl Fn(&mut Long) -> Option<()>,
    ) -> Result<(), CallError> {
        let until = self.transport.deadline();
        let mut message = self.begin(method, until);
        fill(&mut message, capabilities, until, encode).ok_or(CallError::TooLong)?;
        self.transport.send(&message, until).map_err(|error| self.carrier(error))
    }

    /// Begins to be told of the interface's events: the server signals this notification when there are some.
    ///
    /// # Errors
    /// `Denied` when the caller has not the rights for any of them, `NoRoom`, and what a call can fail with.
    pub fn subscribe(&self, bell: &BellCap) -> Result<(), CallError> {
        let known = I::EVENTS.len() as u64;
        self.words_and_caps::<InWords<()>, Infallible>(&SUBSCRIBE, &[known], &[bell.to_passed()]).map(|_| ())
    }

    /// Is told no more.
    ///
    /// # Errors
    /// What a call can fail with.
    pub fn unsubscribe(&self) -> Result<(), CallError> {
        self.words(&UNSUBSCRIBE, [0; REGISTER_WORDS])
    }

    /// The next event, if there is one.
    ///
    /// # Errors
    /// `NotSubscribed`, and what a call can fail with.
    pub fn next_event<E: Told>(&self) -> Result<Option<E>, CallError> {
        let [number, words @ ..] =
            self.words::<[u64; REGISTER_WORDS], Infallible>(&NEXT, [0; REGISTER_WORDS])?;
        if number == NOTHING {
            return Ok(None);
        }
        E::from_words(number, &words).map(Some).ok_or(CallError::Malformed)
    }

    /// A request without words yet.
    #[inline]
    fn begin(&self, method: &Method, until: Deadline) -> Long {
        let has_deadline = until != Deadline::NEVER;
        let label = Label { has_deadline, ..Label::new(method.number, self.generation.get()) };
        Long::new(label.pack())
    }

    /// Makes a call; makes it again with the server's next life if the server died over it and that does no harm.
    #[inline]
    fn repeat<R, E>(
        &self,
        method: &Method,
        call: impl Fn(Deadline) -> Result<R, CallError<E>>,
    ) -> Result<R, CallError<E>> {
        let until = self.transport.deadline();
        let mut result = call(until);
        if method.delivery == Delivery::Idempotent {
            for _ in 0..REPEATS {
                if !matches!(result, Err(CallError::Dead(_))) {
                    break;
                }
                self.connect_until(until).map_err(CallError::widen)?;
                result = call(until);
            }
        }
        result
    }

    fn carrier<E>(&self, error: Error) -> CallError<E> {
        match error {
            Error::Cancelled => CallError::Dead(self.generation.get()),
            Error::TooLong => CallError::TooLong,
            error => CallError::Kernel(error),
        }
    }

    /// What an answer's status says.
    #[inline]
    fn check<E: Refused>(&self, label: u32, word: u64) -> Result<(), CallError<E>> {
        if label == status::OK { Ok(()) } else { Err(self.refusal(label, word)) }
    }

    #[cold]
    #[allow(clippy::cast_possible_truncation, reason = "there are sixteen rights")]
    fn refusal<E: Refused>(&self, label: u32, word: u64) -> CallError<E> {
        match label {
            status::REFUSED => E::from_refusal(word).map_or(CallError::Malformed, CallError::Refused),
            status::UNKNOWN_METHOD => CallError::UnknownMethod,
            status::TOO_LONG => CallError::TooLong,
            status::DENIED => CallError::Denied(RightNames::of::<I>(word as u16)),
            status::RESTARTED => CallError::Dead(self.generation.get()),
            status::WRONG_CAPABILITY => CallError::WrongCapability,
            status::NO_ROOM => CallError::NoRoom,
            status::NOT_SUBSCRIBED => CallError::NotSubscribed,
            _ => CallError::Malformed,
        }
    }
}

/// Puts into a request what it carries; nothing if that is too much.
#[inline]
fn fill(
    message: &mut Long,
    capabilities: &[Passed],
    until: Deadline,
    encode: impl Fn(&mut Long) -> Option<()>,
) -> Option<()> {
    if !capabilities.is_empty() {
        message.parcel = Parcel::of(capabilities);
    }
    encode(message)?;
    if until == Deadline::NEVER { Some(()) } else { message.push(until.0) }
}

/// Encodes arguments. None at all are no words.
fn encode<A: Serialize>(message: &mut Long, arguments: &A) -> Option<()> {
    if size_of::<A>() == 0 {
        return Some(());
    }
    message.put(arguments).ok()
}

/// A result in registers, or a capability.
pub trait Outcome: Sized {
    /// How many capabilities it is.
    const CAPABILITIES: u8;

    /// Reads it from an answer.
    fn from_words(message: &Long) -> Option<Self>;
}

/// A result that is a capability.
#[derive(Debug)]
pub struct InParcel<P>(pub P);

impl<P: Passable> Outcome for InParcel<P> {
    const CAPABILITIES: u8 = 1;

    fn from_words(message: &Long) -> Option<Self> {
        let passed = message.parcel.get(0)?;
        (message.count == 0).then(|| P::from_passed(passed))?.map(Self)
    }
}

/// A result that is words.
#[derive(Debug)]
pub struct InWords<R>(pub R);

impl<R: Words> Outcome for InWords<R> {
    const CAPABILITIES: u8 = 0;

    fn from_words(message: &Long) -> Option<Self> {
        if usize::from(message.count) != R::FIELDS.len() {
            return None;
        }
        let words = message.words.first_chunk::<REGISTER_WORDS>()?;
        R::from_words(words).ok().map(Self)
    }
}

impl From<Infallible> for CallError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
