//! The root server of a native subOS: it starts the servers that its arguments name, and looks after them.
//!
//! Design principles
//!
//! 1. *No server gets more than it needs*: its own memory, the endpoint it serves or calls, one page for its count.
//! 2. *Init waits in one place*, for crashes of its servers, for what the supervisor and the kernel say, and for the
//!    clock; everything it does in between is bounded.
//! 3. *A crash has a name*: which server, why, with all registers, on the console and up to the supervisor. The server
//!    starts again, from the same memory, a bounded number of times.
//! 4. *Cores and memory come and go.* A pair of servers runs on every core that is there; what a new lot holds is
//!    looked at, every word of it, and reported.
//!
//! Reading order: [`config`] (the arguments), [`crew`] (pairs of servers on every core), [`table`] (servers of a table, and
//! [`desk`], where they get their connections), [`crash`] (what is said of a crash), [`lots`]
//! and [`scanner`] (memory that comes and goes), [`uplink`] (what goes to the supervisor), [`init`] (the wait).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod config;
pub mod crash;
pub mod crew;
pub mod desk;
#[path = "root.rs"]
pub mod init;
pub mod lots;
pub mod scanner;
pub mod table;
pub mod uplink;
