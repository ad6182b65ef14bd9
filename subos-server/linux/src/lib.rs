//! The Linux personality: unmodified x86_64 Linux programs run on it.
//!
//! Principles
//!
//! 1. The whole system is one value, [`Linux`], that never waits and never runs by itself. Executors
//!    (one thread for each core) tell it what their guests did and ask what to run; they hold a lock
//!    while they do, and none while a guest runs.
//! 2. A task is data. A call that must wait leaves its task in a list and is made again, from the
//!    same registers, when what it waits for may have come.
//! 3. The machine is behind [`Platform`]: frames, address spaces, a clock, a console. The same code
//!    runs on the kernel's guests and, in tests, on processes that a tracer holds.
//! 4. A program's pointer is an allegation. Its memory is reached through the server's own page map
//!    and nothing else, so there is no `unsafe` here and no wild pointer can do more than `EFAULT`.
//! 5. What a program can make the server hold is bounded (see [`limits`]). Past a bound there is an
//!    error that Linux knows, never a panic. A call that is not implemented answers `ENOSYS` and is
//!    counted ([`Report`]).
//!
//! Reading order: [`platform`] and [`registers`] (the walls), `linux` (the value), `drive` (the
//! two calls that drive it), `scheduler`, `outcome`, `call` (the table of calls), then by area: `memory`, `process`,
//! `signal`, `file`, `pipe`, `vfs`.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod arena;
mod audit;
mod call;
mod drive;
mod error;
mod file;
pub mod limits;
mod linux;
mod memory;
mod outcome;
mod pipe;
pub mod platform;
mod process;
pub mod registers;
mod report;
mod scheduler;
mod signal;
mod vfs;

pub use drive::Work;
pub use error::{Errno, Result};
pub use linux::Linux;
pub use memory::frames::{PoolCounts, PoolUse};
pub use platform::Platform;
pub use process::{ExitStatus, Pid, Tid};
pub use report::{Report, call_name};
pub use scheduler::ExecutorCounts;
