//! Interfaces between servers: what `#[idl::interface]` generates code against.
//!
//! A request is a message whose label is the method's number, from 1. Label 0 asks for the fingerprint. An answer
//! has one of the labels in [`status`]. Values travel in registers (a word each), or as `postcard` bytes: word 0
//! their number, then the bytes, eight to a word.
//!
//! ```
//! use idl::interface::InProcess;
//! use idl::types::Badge;
//!
//! /// Counts.
//! #[idl::interface]
//! pub trait Counter {
//!     /// Adds, and gives the sum.
//!     fn add(&self, by: u64) -> u64;
//! }
//!
//! struct Sum(u64);
//!
//! impl CounterServer for Sum {
//!     fn add(&mut self, _caller: Badge, by: u64) -> u64 {
//!         self.0 += by;
//!         self.0
//!     }
//! }
//!
//! let client = CounterClient::new(InProcess::new(CounterDispatch(Sum(40)), Badge(0)));
//! assert_eq!(client.add(2), Ok(42));
//! ```
//!
//! A server that leaves a method out does not compile:
//!
//! ```compile_fail,E0046
//! # /// Counts.
//! # #[idl::interface]
//! # pub trait Counter {
//! #     /// Adds, and gives the sum.
//! #     fn add(&self, by: u64) -> u64;
//! # }
//! struct Nothing;
//! impl CounterServer for Nothing {}
//! ```
//!
//! Nor does a method whose arguments do not fit where they are to travel:
//!
//! ```compile_fail
//! /// Says things.
//! #[idl::interface]
//! pub trait Speaker {
//!     /// A reference does not fit in a register: this wants `#[bytes]`.
//!     fn say(&self, text: &str);
//! }
//! ```

mod body;
mod client;
mod in_process;
mod server;

use core::convert::Infallible;

use caps::Error;

use crate::abi::MESSAGE_WORDS;

pub use body::{Long, Short};
pub use client::{Refused, Transport, call_bytes, call_words, check_fingerprint};
pub use in_process::InProcess;
pub use server::{Answer, Dispatch, Refusal, Request};

/// Labels of answers.
pub mod status {
    /// The result follows.
    pub const OK: u32 = 0;
    /// The server refused, with an error of the interface's own in word 0.
    pub const REFUSED: u32 = 1;
    /// The server has no such method.
    pub const UNKNOWN_METHOD: u32 = 2;
    /// The arguments do not decode.
    pub const MALFORMED: u32 = 3;
    /// The result does not fit in a message.
    pub const TOO_LONG: u32 = 4;
}

/// The label that asks for the fingerprint.
pub const ASK_FINGERPRINT: u32 = 0;

/// Most bytes that one request or answer can carry as `postcard`.
pub const MOST_BYTES: usize = (MESSAGE_WORDS - 1) * 8;

/// An interface, as generated.
pub trait Interface {
    /// Its name.
    const NAME: &'static str;
    /// Changes whenever client and server could misunderstand each other.
    const FINGERPRINT: u64;
    /// Its methods, in the order of their labels.
    const METHODS: &'static [Method];
}

/// A method of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its number, the label of its requests.
    pub label: u32,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub docs: &'static str,
    /// Name, arguments and result.
    pub signature: &'static str,
}

/// Why a call has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError<E = Infallible> {
    /// The server refused, with an error of the interface's own.
    Refused(E),
    /// The kernel refused, or the server is gone, or did not answer in time.
    Kernel(Error),
    /// The server has no such method.
    UnknownMethod,
    /// One side could not decode what the other sent.
    Malformed,
    /// More than a message carries.
    TooLong,
    /// The server's interface has another fingerprint: this one.
    WrongInterface(u64),
}

impl<E> From<Error> for CallError<E> {
    fn from(error: Error) -> Self {
        Self::Kernel(error)
    }
}

impl<E: core::fmt::Display> core::fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "refused: {error}"),
            Self::Kernel(error) => write!(f, "kernel: {error}"),
            Self::UnknownMethod => f.write_str("the server has no such method"),
            Self::Malformed => f.write_str("the message does not decode"),
            Self::TooLong => f.write_str("the message does not fit"),
            Self::WrongInterface(found) => write!(f, "the server's interface is {found:#018x}"),
        }
    }
}
