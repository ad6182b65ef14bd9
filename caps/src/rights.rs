//! What a capability allows.

use bitflags::bitflags;

bitflags! {
    /// Rights only shrink: a derived capability has at most those of its parent.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
    pub struct Rights: u16 {
        /// Look at the object; map a region for reading; copy from a table.
        const READ = 1 << 0;
        /// Change the object; map a region for writing; put into a table; retype.
        const WRITE = 1 << 1;
        /// Map a region for execution.
        const EXECUTE = 1 << 2;
        /// Derive copies, and hand them on.
        const DERIVE = 1 << 3;
        /// Call an endpoint, signal a notification, send.
        const CALL = 1 << 4;
        /// Receive from an endpoint, wait for a notification.
        const RECEIVE = 1 << 5;
        /// Configure, start, stop, delete, revoke.
        const MANAGE = 1 << 6;
    }
}
