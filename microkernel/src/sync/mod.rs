//! What cores do together: the protocols between them, each a few words of memory and what is done with them.
//!
//! Nothing here touches hardware or knows a kernel's state. Effects (a flush, an interrupt, a page that leaves the tables)
//! are the caller's, handed in as closures or answered as values; atomics come from [`crate::atomic`] alone. So the very
//! same files are compiled once more by `microkernel/loom`, which tries every interleaving of small cases.
//!
//! Two cores that each write a word and then read the other's must both fence in between, with `fence(SeqCst)`: the
//! memory model that the checks know gives no other meaning to `SeqCst` than to `AcqRel`.

pub mod bell;
pub mod board;
pub mod lock;
pub mod mailbox;
pub mod recall;
pub mod ring;
pub mod rounds;

pub use board::{Asked, Board, Epoch};
pub use lock::{Guard, KernelLock, Refused, Wait};
