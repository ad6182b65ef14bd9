//! SubOS 0's program: builds the subOSes of a plan, resizes and restarts them while they run, and tells how it went.
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
//! 5. *What is told is told once*, as records that [`news`] writes and `idl::record` documents.
//!
//! Reading order: [`order`] (what can be ordered), [`port`] (what a machine can do), `member` (what is known of a
//! subOS), `task` (what operations consist of), [`director`] with `step`, `part`, `wait`, `beat`, `windows`,
//! [`resize`] and `hear`; then
//! [`perform`], [`ledger`], [`news`], and [`machine`], the port to the real kernel.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod activity;
mod beat;
pub mod director;
mod hear;
pub mod ledger;
mod log;
pub mod machine;
mod member;
pub mod news;
pub mod operator;
pub mod order;
mod orders;
mod part;
pub mod perform;
pub mod port;
pub mod resize;
mod step;
mod task;
mod wait;
mod windows;
