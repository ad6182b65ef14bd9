//! The server: the personality on the kernel's objects.
//!
//! One thread for each core executes ([`executor`]): it enters guests and, under the lock, tells the
//! personality what they did. The first thread manages ([`manager`]): it listens to the supervisor,
//! gives memory back when it is asked for, and follows cores that come and go. [`machine`] is the
//! platform: lots as frames ([`pool`]), address spaces, the console.

mod executor;
mod machine;
mod manager;
mod pool;
mod system;

pub(crate) use manager::run;
