//! What the tests share: the tracer behind the platform, and Debian's busybox.

#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod busybox;
pub(crate) mod host;
pub(crate) mod package;
pub(crate) mod program;
pub(crate) mod tracee;

/// What a finished system leaves behind.
pub(crate) struct Finished {
    /// Bytes of the two streams.
    pub(crate) output: Vec<u8>,
    pub(crate) error: Vec<u8>,
    pub(crate) status: linux::ExitStatus,
    pub(crate) linux: linux::Linux<host::Host>,
}
