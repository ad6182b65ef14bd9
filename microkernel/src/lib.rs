//! Archipelago's kernel.
//!
//! Design principles
//!
//! 1. *One image, one `Kernel` value per subOS.* The text is shared and read-only, and there are no writable statics
//!    after boot; all state of a subOS is reached from its `Kernel`, and nothing of another's is even mapped.
//! 2. *Event-driven.* One stack per core, no kernel threads, interrupts off in kernel mode; long work is cut at counted
//!    preemption points.
//! 3. *One way in, one way out.* Every entry saves straight into the frame of what ran and leads to
//!    `inside::entered`; every exit goes through [`entry::exit`].
//! 4. *Capabilities decide.* What a call may do is settled by the `caps` crate. Each kind of object then decodes its
//!    calls, which checks everything and changes nothing, and performs them, which cannot fail.
//! 5. *Nobody waits for another core while holding a lock*, and every wait can be left.
//! 6. *A failure costs one subOS.* An assertion or a stray access condemns the kernel it happened in or for.
//! 7. *`unsafe` is named and counted*: the processor (`arch`), the shell (`entry`), the slot store, the physical map.
//!
//! Reading order: [`limits`] and [`types`] for the words; `syscall`, which opens with the path of a system call;
//! [`kernel`]; `object`; `scheduler`; then [`entry`] and [`arch`] for the machine, [`boot`] for how it all comes to be,
//! [`sync`], [`trace`], [`journal`] and [`panic`](mod@panic).
#![no_std]
#![cfg_attr(
    not(feature = "image"),
    allow(dead_code, reason = "what only the image needs has no user on the host")
)]
#![allow(clippy::new_without_default, reason = "nothing of a kernel is made by default")]

#[cfg(test)]
extern crate std;

pub mod aftermath;
pub mod arch;
pub mod atomic;
pub mod boot;
pub mod counters;
pub mod deadline;
pub mod departure;
pub mod entry;
pub mod fault;
pub mod inside;
pub mod ipc;
pub mod journal;
pub mod kernel;
pub mod limits;
pub mod machine;
pub mod memory;
pub mod object;
pub mod outcome;
pub mod panic;
pub mod queue;
pub mod registers;
pub mod removal;
pub mod scheduler;
pub mod shortcut;
pub mod sync;
pub mod syscall;
#[cfg(test)]
mod testing;
pub mod trace;
pub mod types;
