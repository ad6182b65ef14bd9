//! The host's half: there is no kernel here, so every invocation is refused, and a thread that would end waits.

use caps::Error;
use idl::abi::ResultWord;
use idl::startup::Startup;

/// As on the target.
pub(crate) struct Raw {
    pub(crate) op: u64,
    pub(crate) handle: u64,
    pub(crate) words: [u64; 5],
}

pub(crate) fn raw(_: Raw, _: u64, _: u64) -> Raw {
    Raw { op: ResultWord::error(Error::NotConfigured).0, handle: 0, words: [0; 5] }
}

/// As on the target.
pub fn start_program(startup: &'static Startup) {
    crate::environment::install(startup);
}

/// No stack of ours: threads of the host have no block.
pub(crate) fn stack_pointer() -> u64 {
    0
}

pub(crate) fn thread_entry() -> u64 {
    0
}

pub(crate) fn ticks() -> u64 {
    // A clock that advances, so that waits end.
    use core::sync::atomic::{AtomicU64, Ordering};
    static TICKS: AtomicU64 = AtomicU64::new(1);
    TICKS.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn stray_write(address: u64) {
    panic!("a stray write at {address:#x}");
}

pub(crate) fn mark<const ID: i32>() {}

pub(crate) fn pause() {
    core::hint::spin_loop();
}

pub(crate) fn halt() -> ! {
    panic!("the thread ended")
}
