//! Interfaces between servers: what `#[idl::interface]` generates code against.
//!
//! A request is a message whose label has the method's number, from 1; 0 opens a connection. An answer has one of the
//! labels in [`status`]. Values travel in registers (a word each), or as `postcard` bytes: word 0 their number, then
//! the bytes, eight to a word. `docs/services.md` says how to write an interface, and what each attribute means.
//!
//! ```
//! use idl::interface::{Caller, InProcess};
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
//!     fn add(&mut self, _: Caller<Counter>, by: u64) -> u64 {
//!         self.0 += by;
//!         self.0
//!     }
//! }
//!
//! let client = CounterClient::connect(InProcess::new(CounterDispatch(Sum(40)), Badge(0)))?;
//! assert_eq!(client.add(2)?, 42);
//! # Ok::<(), idl::interface::CallError>(())
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
//! Reading order: [`label`](Label) (the wire), [`shape`](Shape) and [`identity`](Interface) (what an interface is),
//! [`session`](Caller) (who calls), [`passed`](Passable) (capabilities), [`client`](Transport), [`link`](Link),
//! [`server`](Dispatch), [`event`](Subscribers), [`in_process`](InProcess).

mod body;
mod client;
mod error;
mod event;
mod identity;
mod in_process;
mod label;
mod link;
mod passed;
mod server;
mod session;
mod shape;

use crate::abi::MESSAGE_WORDS;

pub use body::{Long, Short};
pub use client::{Transport, Until};
pub use error::{CallError, Refused};
pub use event::{
    Bell, BellCap, EVENT_WORDS, Event, LAST_METHOD, LOST, NEXT, NOTHING, NoBell, SUBSCRIBE, Subscribed,
    Subscribers, Told, UNSUBSCRIBE,
};
pub use identity::{
    Delivery, Form, Identity, Interface, Method, Mismatch, NAME_BYTES, fingerprint, most_capabilities,
};
pub use in_process::InProcess;
pub use label::{CONNECT, Generation, Label, status};
pub use link::{InParcel, InWords, Link, Outcome, REPEATS};
pub use passed::{Lent, Moved, Parcel, Passable, Passed, Passing, right};
pub use server::{Answer, AsyncDispatch, Dispatch, Refusal, Request, Verdict, expect_most};
pub use session::{Access, Caller, Full, RightNames, Session, Sessions};
pub use shape::{Elements, Most, Part, Shape, Value, Variant, larger, length_bytes, mix, sum};

/// Most bytes that one request or answer can carry as `postcard`: a word says how many, and one is for a deadline.
pub const MOST_BYTES: usize = (MESSAGE_WORDS - 2) * 8;

/// Whether values of these sizes fit in every message.
#[must_use]
pub const fn fits(sizes: &[usize]) -> bool {
    sum(sizes) <= MOST_BYTES
}
