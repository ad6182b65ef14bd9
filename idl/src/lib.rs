//! Interfaces: the kernel's ABI, the declarations of its invocations, interfaces between servers, wire formats.
//!
//! Design principles
//!
//! 1. *Declared once.* The kernel's decoding, the user library's stubs and the reference pages come from one
//!    trait per kind of object; a test keeps `docs/syscalls.md` equal to them.
//! 2. *Decoding is total and strict.* Any registers and any bytes give a value or an error, never a panic;
//!    what is not used must be zero, so that it can mean something one day.
//! 3. *No allocation, no `unsafe`.* The kernel, servers, the harness and host tests use the same code.
//! 4. *Every word has a type.* Addresses, counts, numbers and bits do not mix.
//!
//! Reading order: [`abi`] (registers, message page, start-up), [`word`] and [`types`] (what a register can
//! carry), [`kernel`] (all invocations), [`client`] (how stubs reach the kernel), [`message`] (calls between
//! threads), [`mod@interface`] (interfaces between servers), [`event`] and [`dialogue`] (supervisor and subOS),
//! [`crew`] (init's arguments), [`reference`](mod@reference) (the generated pages);
//! `peer` (stand-ins and tormentors for tests), [`bundle`], [`program`], [`plan`], [`record`] and [`journal`] (what the
//! harness and the machine exchange).
#![no_std]
#![forbid(unsafe_code)]

extern crate self as idl;
#[cfg(any(test, feature = "peers"))]
extern crate std;

pub mod abi;
pub mod bundle;
pub mod client;
pub mod crew;
pub mod dialogue;
pub mod event;
pub mod interface;
pub mod journal;
pub mod kernel;
pub mod message;
pub mod method;
pub mod operator;
#[cfg(feature = "peers")]
pub mod peer;
pub mod plan;
pub mod program;
pub mod record;
pub mod reference;
pub mod serial;
pub mod servers;
pub mod slots;
pub mod startup;
pub mod trace;
pub mod types;
pub mod word;

pub use caps::{Error, Handle};
pub use client::{Cap, Invoke, Object};
pub use idl_macros::{Value, Word, interface};
pub use word::{Word, Words};

/// Keeps what is between the braces if the feature `peers` is on: generated code cannot ask for a feature of this crate.
#[cfg(feature = "peers")]
#[doc(hidden)]
#[macro_export]
macro_rules! when_peers {
    ($($item:item)*) => { $($item)* };
}

/// See above.
#[cfg(not(feature = "peers"))]
#[doc(hidden)]
#[macro_export]
macro_rules! when_peers {
    ($($item:item)*) => {};
}

/// The guide's examples, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/services.md")]
struct Guide;
