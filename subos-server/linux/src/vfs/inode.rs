//! Nodes of the in-memory file tree, and their store.

use alloc::boxed::Box;

use super::body::Body;
use super::directory::Directory;
use crate::arena::{Arena, Id};
use crate::error::{Errno, Result};
use crate::limits::MAX_INODES;
use crate::memory::Machine;
use crate::pipe::Pipe;
use crate::platform::Platform;

/// Names an inode.
pub(crate) type Ino = Id<Inode>;

impl Ino {
    /// An inode number for tests of pure bookkeeping.
    #[cfg(test)]
    pub(crate) fn for_tests(count: usize) -> Self {
        let mut arena = Arena::new(count);
        let mut last = None;
        for _ in 0..count {
            last = arena.insert(Inode::new(Kind::Symlink(Box::default()), 0, Time::default()));
        }
        last.expect("count is not zero")
    }
}

/// A device of /dev.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    Null,
    Zero,
    Full,
    Random,
    Urandom,
    Tty,
    Console,
}

impl Device {
    /// Major and minor number, as Linux gives them (Documentation/admin-guide/devices.txt).
    pub(crate) const fn numbers(self) -> (u32, u32) {
        match self {
            Self::Null => (1, 3),
            Self::Zero => (1, 5),
            Self::Full => (1, 7),
            Self::Random => (1, 8),
            Self::Urandom => (1, 9),
            Self::Tty => (5, 0),
            Self::Console => (5, 1),
        }
    }

    /// The device with these numbers.
    pub(crate) fn by_numbers(major: u32, minor: u32) -> Option<Self> {
        [Self::Null, Self::Zero, Self::Full, Self::Random, Self::Urandom, Self::Tty, Self::Console]
            .into_iter()
            .find(|device| device.numbers() == (major, minor))
    }
}

/// What a node is.
pub(crate) enum Kind {
    Directory(Directory),
    Regular(Body),
    Symlink(Box<[u8]>),
    Device(Device),
    /// A named pipe; the pipe exists while someone has it open.
    Fifo(Option<Id<Pipe>>),
    /// The name of a socket that nobody listens on yet.
    Socket,
}

/// Seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

impl Time {
    /// From nanoseconds since 1970.
    #[allow(clippy::cast_possible_truncation, reason = "the remainder is below a thousand million")]
    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self { seconds: (nanos / 1_000_000_000).cast_signed(), nanos: (nanos % 1_000_000_000) as u32 }
    }
}

/// One node. Directory entries, open files, memory maps and working directories hold it.
pub(crate) struct Inode {
    pub(crate) kind: Kind,
    /// Permission bits, with set-id and sticky bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Directory entries that name it, as stat shows them.
    pub(crate) links: u32,
    pub(crate) accessed: Time,
    pub(crate) modified: Time,
    pub(crate) changed: Time,
}

impl Inode {
    pub(crate) fn new(kind: Kind, mode: u32, now: Time) -> Self {
        Self {
            kind,
            mode: mode & 0o7777,
            uid: 0,
            gid: 0,
            links: 0,
            accessed: now,
            modified: now,
            changed: now,
        }
    }

    pub(crate) const fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }

    /// Notes that the contents changed.
    pub(crate) fn touch(&mut self, now: Time) {
        self.modified = now;
        self.changed = now;
    }
}

/// All inodes.
pub(crate) struct Inodes {
    arena: Arena<Inode>,
}

impl Inodes {
    pub(crate) const fn new() -> Self {
        Self { arena: Arena::new(MAX_INODES) }
    }

    pub(crate) fn insert(&mut self, inode: Inode) -> Result<Ino> {
        self.arena.insert(inode).ok_or(Errno::ENOSPC)
    }

    pub(crate) fn get(&self, ino: Ino) -> &Inode {
        &self.arena[ino]
    }

    pub(crate) fn get_mut(&mut self, ino: Ino) -> &mut Inode {
        &mut self.arena[ino]
    }

    pub(crate) fn retain(&mut self, ino: Ino) {
        self.arena.retain(ino);
    }

    pub(crate) fn len(&self) -> usize {
        self.arena.len()
    }

    pub(crate) fn room(&self) -> usize {
        self.arena.room()
    }

    /// Drops a holder; the last takes the contents along.
    pub(crate) fn release<P: Platform>(&mut self, ino: Ino, machine: &mut Machine<P>) {
        if let Some(Inode { kind: Kind::Regular(body), .. }) = self.arena.release(ino) {
            body.dismantle(machine);
        }
    }

    /// The contents of a regular file.
    pub(crate) fn body_mut(&mut self, ino: Ino) -> Option<&mut Body> {
        match &mut self.arena[ino].kind {
            Kind::Regular(body) => Some(body),
            _ => None,
        }
    }

    /// The entries of a directory.
    pub(crate) fn directory(&self, ino: Ino) -> Result<&Directory> {
        match &self.arena[ino].kind {
            Kind::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// The entries of a directory, to change.
    pub(crate) fn directory_mut(&mut self, ino: Ino) -> Result<&mut Directory> {
        match &mut self.arena[ino].kind {
            Kind::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// How many hold the inode.
    pub(crate) fn holders(&self, ino: Ino) -> u32 {
        self.arena.holders(ino)
    }

    /// The name of every inode.
    pub(crate) fn ids(&self) -> impl Iterator<Item = Ino> + '_ {
        self.arena.ids()
    }

    /// Every regular file's contents.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = &Body> {
        self.arena.ids().filter_map(|ino| match &self.arena[ino].kind {
            Kind::Regular(body) => Some(body),
            _ => None,
        })
    }

    /// Every regular file's contents, to change.
    pub(crate) fn bodies_mut(&mut self) -> impl Iterator<Item = &mut Body> {
        self.arena.iter_mut().filter_map(|(_, inode)| match &mut inode.kind {
            Kind::Regular(body) => Some(body),
            _ => None,
        })
    }
}
