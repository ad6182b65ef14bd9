//! The system-call ABI: what the registers and the message page hold.
//!
//! SYSCALL takes: rax the [`OpWord`], rdi the handle, rsi rdx r10 r8 r9 the words 0 to 4, r12 the deadline,
//! r13 the second handle. It gives: rax the [`ResultWord`], rdi the badge, the same five words. It clobbers
//! rcx and r11, makes vector and x87 registers as they are in a new thread, and preserves the rest. rax = 0 is the
//! null system call: it answers 0.

mod addresses;
mod frame;
mod op;
pub mod page;

pub use addresses::*;
pub use frame::{FxArea, GuestFrame, Registers, Trap, TrapKind};
pub use op::{MessageTag, NULL_CALL, OpWord, ResultWord};
pub use page::{MessagePage, PAGE_BYTES, PAGE_WORDS};

/// Words of a message or an invocation that travel in registers.
pub const REGISTER_WORDS: usize = 5;
/// Capabilities that one message can carry.
pub const MESSAGE_CAPS: usize = 4;
/// Words that one message can carry, those in registers included.
pub const MESSAGE_WORDS: usize = 255;
/// Bytes of a memory page.
pub const PAGE_SIZE: u64 = 4096;
/// Bytes of a chunk, the unit of the ledger.
pub const CHUNK_SIZE: u64 = 2 << 20;
