//! The capability model: the code that the kernel runs and that the tests check.
//!
//! Design principles
//!
//! 1. *It decides, the kernel performs.* An operation changes slots and returns the effects that the kernel
//!    must carry out (unmap this, tear down that thread) as values, so that tests see them too.
//! 2. *Deriving makes a child; deleting a capability deletes all that was derived from it.* There is no
//!    reparenting and no reference count: an object lives exactly as long as its first capability.
//! 3. *No capability outside a slot*, and no slot that the forest does not know.
//! 4. *Removal follows three relations*: derived from, stored in, bound to. It goes by bounded steps, and says
//!    *done* only when nothing is left.
//! 5. No `unsafe`, no allocation, no panic on any input: every check has an [`Error`] of its own.
//!
//! Reading order: [`kind`](Kind), [`rights`](Rights), [`handle`](Handle), [`error`](Error): the words. [`capability`]
//! and [`slot`]: what is stored. [`table`]: how a handle finds it. [`forest`]: who derives from whom, and every
//! operation that changes that. [`effect`]: what the kernel must do in consequence. [`ledger`]: who owns the machine.
#![no_std]
#![forbid(unsafe_code)]

pub mod bounds;
pub mod capability;
pub mod effect;
mod error;
pub mod forest;
mod handle;
mod kind;
pub mod ledger;
mod rights;
pub mod slot;
pub mod table;

pub use capability::Capability;
pub use effect::{Effect, Effects, Step};
pub use error::Error;
pub use forest::{Change, Child, Forest, InFlight, Origin, Passage, Reset, Used};
pub use handle::{Generation, Handle, SlotIndex};
pub use kind::Kind;
pub use rights::Rights;
pub use slot::{Links, Slot, SlotRef, Slots, State};
pub use table::{Found, Table};
