//! What is declared of a method, as a table: for reference pages and for the suite that wants every declared
//! (method, error) pair observed.

use caps::{Error, Kind, Rights};

/// Errors that every method can answer with, and that are therefore declared here only: looking up the
/// target, decoding what does not decode, and asking for what does not exist.
pub const COMMON_ERRORS: &[Error] = &[
    Error::EmptySlot,
    Error::StaleHandle,
    Error::WrongKind,
    Error::MissingRight,
    Error::OutOfRange,
    Error::BeingRevoked,
    Error::UnknownMethod,
    Error::InvalidArgument,
];

/// Those of them with which every method refuses a target, whatever its arguments are; `MissingRight` too, if the method
/// needs a right.
pub const TARGET_ERRORS: &[Error] =
    &[Error::EmptySlot, Error::StaleHandle, Error::WrongKind, Error::MissingRight];

/// One declared method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodInfo {
    /// The kind of object it is a method of.
    pub kind: Kind,
    /// Its number in the op word.
    pub id: u8,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub docs: &'static str,
    /// The rights that the target capability must have.
    pub rights: Rights,
    /// The errors it can answer with, beyond [`COMMON_ERRORS`].
    pub errors: &'static [Error],
    /// How it uses the registers.
    pub form: Form,
    /// Its arguments, in the order of the words.
    pub arguments: &'static [Field],
    /// Its results, in the order of the words.
    pub results: &'static [Field],
}

/// An argument or a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name; empty for a single result.
    pub name: &'static str,
    /// The name of its type.
    pub ty: &'static str,
}

/// How a method uses the registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Arguments in, results out, at once.
    Plain,
    /// The same, but it may wait, at most until the deadline in r12.
    Blocking,
    /// The registers carry a message, which the kernel does not interpret; it may wait, at most until the
    /// deadline in r12.
    Message,
}
