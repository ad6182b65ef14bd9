//! The socket calls, as far as there are sockets: connected pairs, and no network.

use crate::error::{Errno, Result};
use crate::file::{Fd, FileKind};
use crate::linux::Linux;
use crate::memory::address::UserPtr;
use crate::outcome::{DONE, Reply};
use crate::platform::Platform;
use crate::process::Tid;

/// `AF_UNIX`, as the first two bytes of an address.
const AF_UNIX: u16 = 1;

impl<P: Platform> Linux<P> {
    /// Checks that a descriptor is a socket.
    fn socket_of(&self, t: Tid, fd: Fd) -> Result<()> {
        match self.files[self.file_of(t, fd)?].kind {
            FileKind::Pair { .. } => Ok(()),
            _ => Err(Errno::ENOTSOCK),
        }
    }

    /// `getsockname` and `getpeername`: both ends of a pair are without a name.
    pub(super) fn call_socket_name(&mut self, t: Tid, fd: Fd, address: UserPtr, length: UserPtr) -> Reply {
        self.socket_of(t, fd)?;
        let room: u32 = self.get(t, length)?;
        if room >= 2 {
            self.put(t, address, &AF_UNIX)?;
        }
        self.put(t, length, &2u32).and(DONE)
    }

    /// What a connected pair cannot do, and nothing else may.
    pub(super) fn call_not_for_pairs(&self, t: Tid, fd: Fd) -> Reply {
        self.socket_of(t, fd)?;
        Err(Errno::EOPNOTSUPP)
    }

    /// Options are accepted where they change nothing here: buffer sizes and the like.
    pub(super) fn call_setsockopt(&self, t: Tid, fd: Fd) -> Reply {
        self.socket_of(t, fd).and(DONE)
    }
}
