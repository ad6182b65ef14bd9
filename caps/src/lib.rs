//! The capability model: the code that the kernel runs and that the tests check.
//!
//! Design principles
//!
//! 1. *It decides, the kernel performs.* An operation changes slots and returns the effects that the kernel
//!    must carry out (unmap this, tear down that thread) as values, so that tests see them too.
//! 2. *Deriving makes a child; deleting a capability deletes all that was derived from it.* There is no
//!    reparenting and no reference count: an object lives exactly as long as its first capability.
//! 3. *No capability outside a slot*, and no slot that the forest does not know.
//! 4. No `unsafe`, no allocation, no panic on any input: every check has an [`Error`] of its own.
#![no_std]
#![forbid(unsafe_code)]

mod error;
mod handle;
mod kind;
mod rights;

pub use error::Error;
pub use handle::{Generation, Handle, SlotIndex};
pub use kind::Kind;
pub use rights::Rights;
