//! The harness: installs, builds, boots, tests, measures and draws.
//!
//! Design principles
//!
//! 1. *It says what it does, and asks nothing.* What it needs it finds or installs; what it cannot do, it explains,
//!    with the command that would.
//! 2. *Nothing happens before it is needed*: listing tests builds nothing, a case builds only its own images.
//! 3. *No run without a deadline, no QEMU without a leash.*
//! 4. *A transcript is text*: lines for people and records ([`idl::record`]) for the harness, in one stream. All that
//!    the harness knows of a run it knows from there, so that a recorded transcript is a test of the harness.
//!
//! Reading order: [`failure`], [`place`], [`tools`] (what is installed), [`image`] (what is built), [`machine`] (what
//! runs it), [`cases`] (the tests on the target), [`turmoil`] (random operations on subOSes), [`measure`] (what it costs), [`sharing`] (who touches whose memory), [`manifest`] (what a run is made of), [`authority`] (who can reach what in
//! one), [`host`]
//! (its files), [`mod@play`], [`story`] (what happened), [`view`] (how it is shown), [`artefact`] (how it is kept), [`service`] (how one is begun), [`check`] (what the kernel
//! did, against the specification), [`watch`] (the model, step by step), [`cli`] and [`command`] (what a person types).

// `say::show` does it: who reads it may be gone before the end, and that is no reason to panic.
#![deny(clippy::print_stdout)]

pub mod artefact;
pub mod authority;
pub mod calls;
pub mod cases;
pub mod check;
pub mod cli;
pub mod command;
pub mod crashes;
pub mod ctl;
mod drawing;
pub mod failure;
pub mod host;
pub mod image;
pub mod machine;
pub mod manifest;
pub mod measure;
pub mod place;
pub mod play;
pub mod random;
pub mod say;
pub mod service;
pub mod sharing;
pub mod story;
pub mod tools;
pub mod turmoil;
pub mod view;
pub mod watch;
