//! A program that does not live long: its kernel fails, by a hook of the test build. Where the kernel has no hooks, the
//! program fails itself.
#![no_std]
#![no_main]

use core::time::Duration;

use idl::types::Deadline;
use userlib::{Error, environment, time};

userlib::main!(main);

fn main() {
    /// The method of DebugConsole that only the hooks build knows, and the hook by which the kernel panics.
    const HOOK: u8 = 255;
    const PANIC: u64 = 12;
    time::sleep(Duration::from_millis(50));
    let console = environment().console();
    let done: Result<(), Error> = idl::client::plain(&console, HOOK, [PANIC, 0, 0, 0, 0], Deadline::NEVER);
    panic!("there are no hooks: {done:?}");
}
