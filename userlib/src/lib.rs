//! What user-space servers are written with.
//!
//! Design principles
//!
//! 1. *Nobody else writes `unsafe`.* What needs it is here, in the files that `docs/unsafe.md` lists, and what
//!    this crate offers is safe to use in any order.
//! 2. *A capability is a typed name.* [`Cap<Untyped>`](Cap) has the methods that `idl::kernel` declares and no
//!    others; dropping it deletes nothing.
//! 3. *Nothing is hidden that costs.* What makes an object says from which memory; what may wait takes a
//!    deadline or says that it sleeps.
//! 4. *It compiles for the host as it is*, so that what does not enter the kernel is tested there. There, every
//!    invocation answers `NotConfigured`.
//!
//! Reading order: `image` (how a program starts and enters the kernel), [`block`] (what each thread has),
//! [`mod@cap`], [`page`], [`slots`], [`memory`], `heap`, [`sync`], [`time`], [`console`], [`thread`], [`process`], [`last_words`],
//! [`server`], [`channel`], [`mod@environment`], [`testing`].
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod atomic;
pub mod block;
pub mod cap;
pub mod channel;
pub mod console;
pub mod directory;
pub mod environment;
#[cfg(feature = "image")]
mod heap;
pub mod last_words;
pub mod memory;
#[cfg(any(test, feature = "observe"))]
pub mod observe;
pub mod page;
#[cfg_attr(feature = "image", path = "image/mod.rs")]
#[cfg_attr(not(feature = "image"), path = "host.rs")]
pub mod platform;
pub mod process;
pub mod server;
pub mod slots;
pub mod sync;
pub mod tally;
pub mod testing;
pub mod thread;
pub mod time;

pub use cap::{Cap, Kernel, cap};
pub use caps::{Error, Handle, Kind, Rights, SlotIndex};
pub use environment::{Environment, environment};
#[doc(no_inline)]
pub use {idl, log};

/// Makes a function the program: `userlib::main!(main);`. It may return nothing, or a result whose error is
/// printed and then raised as a fault, so that the parent hears of it.
#[macro_export]
macro_rules! main {
    ($function:path) => {
        #[cfg(feature = "image")]
        #[unsafe(no_mangle)]
        fn userlib_program() {
            $crate::Outcome::settle($function());
        }
    };
}

/// What a program's main function may return.
pub trait Outcome {
    /// Deals with it.
    fn settle(self);
}

impl Outcome for () {
    fn settle(self) {}
}

impl<E: core::fmt::Display> Outcome for Result<(), E> {
    fn settle(self) {
        if let Err(error) = self {
            panic!("the program failed: {error}");
        }
    }
}
