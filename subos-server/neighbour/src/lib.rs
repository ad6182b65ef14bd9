//! A subOS that talks to others over windows: it asks for the windows that its arguments name, and talks as soon as one is
//! open.
//!
//! Design principles
//!
//! 1. *A talk may end at any moment*: the peer closes, writes rubbish or dies, or this side of the window is taken under the
//!    eyes of the thread that uses it. The subOS goes on with its other talks, and asks for the window again.
//! 2. *Every answer is checked.* What is counted are messages that came back as they were, or that were sent back.
//! 3. *What is asked for is given*: who is to give a window back ends the talk first, and says so.
//!
//! Reading order: [`talk`] (one talk, on a thread of its own), [`neighbour`] (who asks, and looks after the talks).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[path = "root.rs"]
pub mod neighbour;
pub mod talk;
