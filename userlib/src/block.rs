//! What belongs to one thread: a block of 64 bytes at the end of its stack.
//!
//! Every stack is [`STACK_SIZE`] bytes and aligned to that, so a thread finds its block by rounding its stack
//! pointer up: no segment register, no help from the kernel, and nothing to set up but the stack.

use core::sync::atomic::{AtomicU64, Ordering};

use caps::Handle;
use idl::abi::{MessagePage, STACK_SIZE};

use crate::platform;

/// Bytes that the block takes of the stack.
pub const BLOCK_BYTES: u64 = 64;

/// The block. The assembly in `image/entry.rs` fills the first two words of the first thread's.
#[repr(C, align(16))]
pub struct Block {
    /// The address of the thread's message page, or 0.
    page: AtomicU64,
    /// The handle of its own Thread.
    thread: AtomicU64,
    /// The handle of a notification that only this thread waits for, or 0.
    notification: AtomicU64,
    reserved: [AtomicU64; 5],
}

static_assertions::const_assert_eq!(size_of::<Block>() as u64, BLOCK_BYTES);

/// A host thread's block: it has nothing.
static NONE: Block = Block::new(0, Handle::NONE, Handle::NONE);

impl Block {
    pub(crate) const fn new(page: u64, thread: Handle, notification: Handle) -> Self {
        Self {
            page: AtomicU64::new(page),
            thread: AtomicU64::new(thread.0),
            notification: AtomicU64::new(notification.0),
            reserved: [const { AtomicU64::new(0) }; 5],
        }
    }

    /// The message page, if the thread has one.
    pub(crate) fn page(&self) -> Option<*mut MessagePage> {
        match self.page.load(Ordering::Relaxed) {
            0 => None,
            address => Some(address as *mut MessagePage),
        }
    }

    /// The handle of the thread itself.
    #[must_use]
    pub fn thread(&self) -> Handle {
        Handle(self.thread.load(Ordering::Relaxed))
    }

    /// The handle of the notification that only this thread waits for, or none.
    #[must_use]
    pub fn notification(&self) -> Handle {
        Handle(self.notification.load(Ordering::Relaxed))
    }

    pub(crate) fn set_notification(&self, handle: Handle) {
        self.notification.store(handle.0, Ordering::Relaxed);
    }
}

/// The block of the calling thread.
#[inline]
#[must_use]
pub fn current() -> &'static Block {
    if !cfg!(feature = "image") {
        return &NONE;
    }
    let last = platform::stack_pointer() | (STACK_SIZE - 1);
    // SAFETY: every thread of a program runs on a stack of this size and alignment, with an initialised block at
    // its end (`image/entry.rs`, `thread.rs`). It is all atomics, and only its own thread asks for it, so it
    // lives as long as who holds the reference runs.
    unsafe { &*(last.wrapping_sub(BLOCK_BYTES - 1) as *const Block) }
}
