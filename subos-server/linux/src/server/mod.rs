//! The server: the personality on the kernel's objects.
//!
//! One thread for each core executes ([`executor`]): it enters guests and, under the lock, tells the
//! personality what they did. Another thread manages ([`manager`]): it listens to the supervisor,
//! gives memory back when it is asked for, and follows cores that come and go. [`machine`] is the
//! platform: lots as frames ([`pool`]), address spaces, the console. The first thread guards ([`guard`]): a lot
//! that goes by force may break a copy, and not the server.

mod executor;
mod guard;
mod machine;
mod manager;
mod pool;
mod system;

use alloc::format;
use alloc::string::String;

use guard::{Guard, Unmended};
use userlib::{Error, thread};

/// Starts everything and guards it. Comes back only when the program cannot do its work.
///
/// # Errors
/// A text that says why.
pub(crate) fn run() -> Result<(), String> {
    let kernel = |error: Error| format!("the kernel refused: {}", error.name());
    let guard = Guard::new().map_err(kernel)?;
    let wards = guard.wards();
    let manager = wards.guarded(thread::Builder::new());
    let first = thread::current();
    let work = move || match manager::run(&wards, first) {
        Ok(never) => match never {},
        Err(reason) => panic!("{reason}"),
    };
    manager.spawn(work).map_err(kernel)?;
    match guard.serve() {
        Ok(never) => match never {},
        Err(Unmended::Kernel(error)) => Err(kernel(error)),
        Err(Unmended::Fault(fault)) => Err(format!("a thread of the server faulted: {fault}")),
    }
}
