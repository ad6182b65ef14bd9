//! The supervisor: builds the subOSes of a plan, resizes and restarts them while they run, and tells how it went.
//!
//! Design principles
//!
//! 1. *Deciding is pure.* [`director`] is a state machine from the plan and what is observed to one order at a time;
//!    it performs nothing, so the host can play whole runs, with every failure that a test can think of.
//! 2. *Performing is thin.* [`perform`] carries one order out through [`port`], and listens to everybody between
//!    any two orders.
//! 3. *Nothing waits for a subOS without a deadline.* What does not come is a failure of the step, with its reason.
//! 4. *A step is done whole or undone*, and however a run ends, everything is destroyed, the ledger compared, and
//!    the machine audited.
//! 5. *What is told is told once*, but for what it was telling when it crashed, as records that [`news`] writes and
//!    `idl::record` documents.
//! 6. *It may crash.* What it is about to do, and what it knows, is written down before ([`notes`]); what must not be lost is
//!    its keeper's ([`charge`], `supervisor-server/keeper`); one that is started again goes on (`resume`).
//!
//! Reading order: [`order`] (what can be ordered), [`port`] (what a machine can do), `member` (what is known of a
//! subOS), `task` (what operations consist of), [`director`] with `step`, `part`, `wait`, `beat`, `windows`, [`resize`]
//! and `hear`; then [`perform`], [`ledger`], [`news`], [`notes`] with `resume`, and [`machine`], the port to the real kernel. With
//! [`watched`], tests have it crash anywhere.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod activity;
mod beat;
pub mod charge;
pub mod director;
mod hear;
pub mod ledger;
mod log;
pub mod machine;
mod member;
pub mod news;
pub mod notes;
pub mod operator;
pub mod order;
mod orders;
mod part;
pub mod perform;
pub mod port;
pub mod resize;
mod resume;
mod runs;
pub mod start;
mod step;
mod task;
mod wait;
pub mod watched;
mod windows;
