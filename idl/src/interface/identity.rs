//! What an interface is, and how a client and a server find out whether they mean the same.
//!
//! A connection opens with the client's fingerprint and how many methods and events it knows. The server compares with the
//! hash over as many of its own first ones, so that a server with more of them than its client still serves it.

use super::shape::{Part, Shape, mix, mix_parts, mix_shape};
use super::{Event, Generation, status};
use crate::abi::REGISTER_WORDS;

/// Where the word that says how many methods a client knows says how many events.
const EVENTS_SHIFT: u32 = 32;

/// An interface, as generated.
pub trait Interface {
    /// Its name.
    const NAME: &'static str;
    /// Its version, as its author counts. It names a version to people; the fingerprint decides.
    const VERSION: u16;
    /// Its own rights, by their bits from 0 on.
    const RIGHTS: &'static [&'static str];
    /// Its methods, in the order of their numbers.
    const METHODS: &'static [Method];
    /// Its events, in the order of their numbers.
    const EVENTS: &'static [Event] = &[];
    /// Changes whenever client and server could misunderstand each other.
    const FINGERPRINT: u64 = fingerprint(Self::NAME, Self::METHODS, Self::EVENTS);
}

/// A method of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its number, from 1.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub docs: &'static str,
    /// As it was declared.
    pub signature: &'static str,
    /// How its values travel.
    pub form: Form,
    /// Whether an answer comes, and whether it may be asked for twice.
    pub delivery: Delivery,
    /// The rights of the interface that the caller must have.
    pub requires: u16,
    /// Words among its arguments, when they travel in registers.
    pub words: u8,
    /// Its arguments.
    pub arguments: &'static [Part],
    /// Its result.
    pub result: Shape,
    /// The interface's own error, if it can refuse.
    pub error: Option<Shape>,
}

/// How the values of a method travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Each in a register.
    Words,
    /// All as `postcard` bytes.
    Bytes,
}

/// What comes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// An answer.
    Call,
    /// An answer, and the request may be repeated if the server died over it.
    Idempotent,
    /// Nothing: the caller goes on as soon as the server has the request.
    OneWay,
}

impl Method {
    /// How many capabilities its arguments have.
    #[must_use]
    pub const fn capabilities(&self) -> usize {
        let (mut index, mut count) = (0, 0);
        while index < self.arguments.len() {
            if matches!(self.arguments[index].shape, Shape::Capability(..)) {
                count += 1;
            }
            index += 1;
        }
        count
    }
}

/// The most capabilities that a request of these methods has.
#[must_use]
pub const fn most_capabilities(methods: &[Method]) -> usize {
    let (mut index, mut most) = (0, 0);
    while index < methods.len() {
        let count = methods[index].capabilities();
        if count > most {
            most = count;
        }
        index += 1;
    }
    most
}

/// The hash over an interface's name, its methods and its events: whatever changes what travels, or what it means by its
/// name, changes it. Documentation does not, nor what only one side goes by: rights and repeating.
#[must_use]
pub const fn fingerprint(name: &str, methods: &[Method], events: &[Event]) -> u64 {
    let mut hash = mix(0xcbf2_9ce4_8422_2325, name);
    let mut index = 0;
    while index < methods.len() {
        hash = method_fingerprint(hash, &methods[index]);
        index += 1;
    }
    index = 0;
    while index < events.len() {
        hash = mix_parts(mix(mix(hash, "event"), events[index].name), events[index].arguments);
        index += 1;
    }
    hash
}

/// How many methods and events an interface has, as the word by which a connection opens.
#[must_use]
pub(super) const fn counts<I: Interface>() -> u64 {
    I::METHODS.len() as u64 | (I::EVENTS.len() as u64) << EVENTS_SHIFT
}

/// The first methods and events of an interface, so many as this word says; nothing if it has not as many.
#[allow(clippy::cast_possible_truncation, reason = "the lower half of a word")]
fn first<I: Interface>(counts: u64) -> Option<(&'static [Method], &'static [Event])> {
    let methods = I::METHODS.get(..counts as u32 as usize)?;
    let events = I::EVENTS.get(..usize::try_from(counts >> EVENTS_SHIFT).ok()?)?;
    Some((methods, events))
}

const fn method_fingerprint(hash: u64, method: &Method) -> u64 {
    let form = match method.form {
        Form::Words => "words",
        Form::Bytes => "bytes",
    };
    let delivery = match method.delivery {
        Delivery::Call | Delivery::Idempotent => "call",
        Delivery::OneWay => "one way",
    };
    let hash = mix(mix(mix(hash, method.name), form), delivery);
    let hash = mix_shape(mix_parts(hash, method.arguments), &method.result);
    match &method.error {
        Some(error) => mix_shape(mix(hash, "error"), error),
        None => hash,
    }
}

/// Most bytes of an interface's name.
pub const NAME_BYTES: usize = 24;

/// What a side of a connection says that it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The hash over all its methods.
    pub fingerprint: u64,
    /// Its version.
    pub version: u16,
    name: [u8; NAME_BYTES],
}

impl Identity {
    /// That of an interface.
    #[must_use]
    pub fn of<I: Interface>() -> Self {
        let mut name = [0; NAME_BYTES];
        for (to, from) in name.iter_mut().zip(I::NAME.bytes()) {
            *to = from;
        }
        Self { fingerprint: I::FINGERPRINT, version: I::VERSION, name }
    }

    /// Its name, as far as it is text.
    #[must_use]
    pub fn name(&self) -> &str {
        let length = self.name.iter().position(|byte| *byte == 0).unwrap_or(NAME_BYTES);
        let bytes = self.name.get(..length).unwrap_or(&[]);
        core::str::from_utf8(bytes).unwrap_or("?")
    }

    /// As an answer's words, with the server's generation.
    pub(super) fn to_words(self, generation: Generation) -> [u64; REGISTER_WORDS] {
        let mut words = [self.fingerprint, u64::from(self.version) << 16 | u64::from(generation.0), 0, 0, 0];
        let (chunks, _) = self.name.as_chunks::<8>();
        for (to, from) in words.iter_mut().skip(2).zip(chunks) {
            *to = u64::from_le_bytes(*from);
        }
        words
    }

    /// The inverse of [`Identity::to_words`]. Total: a name that is no text reads as `?`.
    #[allow(clippy::cast_possible_truncation, reason = "fields of sixteen bits")]
    pub(super) fn from_words(words: &[u64; REGISTER_WORDS]) -> (Self, Generation) {
        let [fingerprint, numbers, text @ ..] = words;
        let mut name = [0; NAME_BYTES];
        let (chunks, _) = name.as_chunks_mut::<8>();
        for (to, from) in chunks.iter_mut().zip(text) {
            *to = from.to_le_bytes();
        }
        let identity = Self { fingerprint: *fingerprint, version: (numbers >> 16) as u16, name };
        (identity, Generation(*numbers as u16))
    }
}

impl core::fmt::Debug for Identity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{self}")
    }
}

impl core::fmt::Display for Identity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} version {} ({:016x})", self.name(), self.version, self.fingerprint)
    }
}

/// A client and a server that do not mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What the client was built for.
    pub client: Identity,
    /// What the server says that it is.
    pub server: Identity,
}

impl core::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { client, server } = self;
        if client.name() == server.name() {
            return write!(
                f,
                "interface {}: the client has version {} ({:016x}), the server version {} ({:016x})",
                client.name(),
                client.version,
                client.fingerprint,
                server.version,
                server.fingerprint
            );
        }
        write!(f, "the client wants {client}, the server is {server}")
    }
}

/// A server's answer to a client that connects: the status, and its identity.
pub(super) fn welcome<I: Interface>(words: &[u64], generation: Generation) -> (u32, [u64; REGISTER_WORDS]) {
    let known = match *words {
        [theirs, counts] => first::<I>(counts)
            .is_some_and(|(methods, events)| fingerprint(I::NAME, methods, events) == theirs),
        _ => false,
    };
    let status = if known { status::OK } else { status::WRONG_INTERFACE };
    (status, Identity::of::<I>().to_words(generation))
}
