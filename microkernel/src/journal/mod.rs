//! The one seam between the kernel and the model: what is called `Forest` and `Ledger` everywhere else comes from here.
//!
//! In the kernel that ships these are the model's own types. In a kernel built with the journal they are wrappers that
//! carry an operation out and then write into the machine's [journal](idl::journal) what was asked, answered and
//! changed. A wrapper gives the model away to look at only, so an operation that changes something and is not written
//! down does not compile. Such a kernel can also be told to do something wrong. Where that is not the model's business
//! ([`bound`], [`arrive`]) the kernel that ships asks as well, and is answered by a constant.
//!
//! This file is all that chooses between the two.

#[cfg(feature = "journal")]
mod forest;
#[cfg(feature = "journal")]
mod ledger;
#[cfg(feature = "journal")]
mod log;
#[cfg(feature = "journal")]
mod mutant;

#[cfg(feature = "journal")]
pub use {
    forest::{Forest, answered, arrive, bound, mutate},
    ledger::Ledger,
    log::{CHUNKS, begin, covers, half},
};

#[cfg(not(feature = "journal"))]
pub use {caps::Forest, caps::ledger::Ledger, none::*};

/// The kernel that ships keeps no journal.
#[cfg(not(feature = "journal"))]
mod none {
    use crate::arch::x86_64::half::{CommonParts, HalfError, KernelHalf};
    use crate::arch::x86_64::pages::SystemPages;
    use crate::memory::Ref;
    use crate::object::thread::Thread;
    use crate::outcome::Outcome;
    use crate::types::PhysAddr;
    use idl::abi::OpWord;

    /// Chunks that boot sets aside for it.
    pub const CHUNKS: u64 = 0;

    /// Without the journal nobody would notice, so nothing is done wrong.
    ///
    /// # Errors
    /// `InvalidArgument`.
    #[cfg(feature = "hooks")]
    pub const fn mutate(_: &mut caps::Forest, _: u64) -> Result<(), caps::Error> {
        Err(caps::Error::InvalidArgument)
    }

    /// As many as are meant to be.
    #[inline(always)]
    pub const fn bound(_: &caps::Forest, budget: u32) -> u32 {
        budget
    }

    /// They do.
    #[inline(always)]
    pub const fn arrive(_: &caps::Forest) -> bool {
        true
    }

    /// Nobody wants to know what a system call was answered.
    #[inline(always)]
    pub const fn answered(_: &caps::Forest, _: Ref<Thread>, _: OpWord, _: &Result<Outcome, caps::Error>) {}

    /// Begins it in these chunks.
    pub const fn begin(_: PhysAddr) {}

    /// Whether a chunk is part of it.
    #[must_use]
    pub const fn covers(_: PhysAddr) -> bool {
        false
    }

    /// A kernel half in which nothing of it is mapped.
    ///
    /// # Errors
    /// Those of [`KernelHalf::new`].
    pub fn half(common: CommonParts, pages: &mut SystemPages) -> Result<KernelHalf, HalfError> {
        KernelHalf::new(common, pages)
    }
}
