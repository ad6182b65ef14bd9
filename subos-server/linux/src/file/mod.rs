//! Open files and descriptor tables.
//!
//! An [`OpenFile`] is what Linux calls an open file description: it has the offset and the status
//! flags, and descriptors of any process may share it.

pub(crate) mod io;
pub(crate) mod open;
pub(crate) mod ready;
pub(crate) mod resolve;

use alloc::vec::Vec;
use linux_raw_sys::general as g;

use crate::arena::Id;
use crate::error::{Errno, Result};
use crate::limits::MAX_FDS;
use crate::pipe::Pipe;
use crate::platform::Stream;
use crate::vfs::{Device, Ino, Node, ProcNode};

/// What is behind an open file.
pub(crate) enum FileKind {
    Regular(Ino),
    Directory(Node),
    /// One end of a pipe, or both ends of a named one.
    Pipe {
        pipe: Id<Pipe>,
        ends: Ends,
        named: Option<Ino>,
    },
    Device(Device, Ino),
    /// A file of /proc: its text as it was when it was opened.
    Text(ProcNode, Vec<u8>),
    /// An output stream of the platform.
    Stream(Stream),
    /// The first program's standard input, which is empty.
    Input,
    /// A node opened with `O_PATH`: it names, and does nothing else.
    Path(Node),
    /// An event counter (eventfd(2)).
    Event {
        count: u64,
        semaphore: bool,
    },
    /// One side of a socketpair: a pipe each way.
    Pair {
        incoming: Id<Pipe>,
        outgoing: Id<Pipe>,
    },
}

/// Which ends of a pipe an open file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    Read,
    Write,
    Both,
}

impl Ends {
    pub(crate) const fn reads(self) -> bool {
        matches!(self, Self::Read | Self::Both)
    }

    pub(crate) const fn writes(self) -> bool {
        matches!(self, Self::Write | Self::Both)
    }
}

/// An open file description.
pub(crate) struct OpenFile {
    pub(crate) kind: FileKind,
    /// Access mode and status flags (`O_*`).
    pub(crate) flags: u32,
    pub(crate) offset: u64,
}

impl OpenFile {
    pub(crate) const fn new(kind: FileKind, flags: u32) -> Self {
        Self { kind, flags, offset: 0 }
    }

    pub(crate) const fn readable(&self) -> bool {
        matches!(self.flags & g::O_ACCMODE, g::O_RDONLY | g::O_RDWR) && !self.is_path()
    }

    pub(crate) const fn writable(&self) -> bool {
        matches!(self.flags & g::O_ACCMODE, g::O_WRONLY | g::O_RDWR) && !self.is_path()
    }

    pub(crate) const fn is_path(&self) -> bool {
        matches!(self.kind, FileKind::Path(_))
    }

    pub(crate) const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Descriptors 0, 1 and 2 of the first program.
    pub(crate) fn standard_streams() -> [Self; 3] {
        [
            Self::new(FileKind::Input, g::O_RDONLY),
            Self::new(FileKind::Stream(Stream::Output), g::O_WRONLY),
            Self::new(FileKind::Stream(Stream::Error), g::O_WRONLY),
        ]
    }
}

/// A file descriptor as a program gives it: any number at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fd(pub(crate) i32);

/// Where a relative path starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Cwd,
    Directory(Fd),
}

impl From<Fd> for At {
    fn from(fd: Fd) -> Self {
        if fd.0 == g::AT_FDCWD { Self::Cwd } else { Self::Directory(fd) }
    }
}

/// Whether a descriptor is closed by execve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseOnExec {
    Yes,
    No,
}

impl CloseOnExec {
    /// From `O_CLOEXEC` among flags.
    pub(crate) const fn from_flags(flags: u32) -> Self {
        if flags & g::O_CLOEXEC != 0 { Self::Yes } else { Self::No }
    }
}

#[derive(Clone, Copy)]
struct Slot {
    file: Id<OpenFile>,
    close_on_exec: CloseOnExec,
}

/// A table of descriptors; each holds its open file.
#[derive(Clone, Default)]
pub(crate) struct FdTable {
    slots: Vec<Option<Slot>>,
}

impl FdTable {
    fn slot(&self, fd: Fd) -> Result<&Slot> {
        let index = usize::try_from(fd.0).map_err(|_| Errno::EBADF)?;
        self.slots.get(index).and_then(Option::as_ref).ok_or(Errno::EBADF)
    }

    pub(crate) fn get(&self, fd: Fd) -> Result<Id<OpenFile>> {
        self.slot(fd).map(|slot| slot.file)
    }

    pub(crate) fn close_on_exec(&self, fd: Fd) -> Result<CloseOnExec> {
        self.slot(fd).map(|slot| slot.close_on_exec)
    }

    pub(crate) fn set_close_on_exec(&mut self, fd: Fd, value: CloseOnExec) -> Result<()> {
        self.slot(fd)?;
        if let Some(Some(slot)) = usize::try_from(fd.0).ok().and_then(|index| self.slots.get_mut(index)) {
            slot.close_on_exec = value;
        }
        Ok(())
    }

    /// Puts a file at the lowest free descriptor from `lowest` on.
    ///
    /// # Errors
    /// `EMFILE` at the process's limit.
    pub(crate) fn install(
        &mut self,
        lowest: usize,
        file: Id<OpenFile>,
        close_on_exec: CloseOnExec,
        limit: usize,
    ) -> Result<Fd> {
        let limit = limit.min(MAX_FDS);
        let index = (lowest..limit)
            .find(|&index| self.slots.get(index).is_none_or(Option::is_none))
            .ok_or(Errno::EMFILE)?;
        self.put(index, Slot { file, close_on_exec });
        i32::try_from(index).map(Fd).map_err(|_| Errno::EMFILE)
    }

    /// Puts a file at a descriptor; the answer is the file that was there.
    pub(crate) fn replace(
        &mut self,
        fd: Fd,
        file: Id<OpenFile>,
        close_on_exec: CloseOnExec,
        limit: usize,
    ) -> Result<Option<Id<OpenFile>>> {
        let index = usize::try_from(fd.0).ok().filter(|&index| index < limit.min(MAX_FDS));
        let index = index.ok_or(Errno::EBADF)?;
        Ok(self.put(index, Slot { file, close_on_exec }).map(|slot| slot.file))
    }

    fn put(&mut self, index: usize, slot: Slot) -> Option<Slot> {
        if self.slots.len() <= index {
            self.slots.resize(index + 1, None);
        }
        self.slots[index].replace(slot)
    }

    /// Takes a descriptor out.
    pub(crate) fn remove(&mut self, fd: Fd) -> Result<Id<OpenFile>> {
        let file = self.get(fd)?;
        if let Some(slot) = usize::try_from(fd.0).ok().and_then(|index| self.slots.get_mut(index)) {
            *slot = None;
        }
        Ok(file)
    }

    /// Takes out everything that is to be closed by execve.
    pub(crate) fn take_close_on_exec(&mut self) -> Vec<Id<OpenFile>> {
        let mut taken = Vec::new();
        for slot in &mut self.slots {
            if slot.is_some_and(|slot| slot.close_on_exec == CloseOnExec::Yes) {
                taken.extend(slot.take().map(|slot| slot.file));
            }
        }
        taken
    }

    /// Every open file, once for each descriptor.
    pub(crate) fn open_files(&self) -> Vec<Id<OpenFile>> {
        self.slots.iter().flatten().map(|slot| slot.file).collect()
    }

    /// Every descriptor in use.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..).zip(&self.slots).filter(|(_, slot)| slot.is_some()).map(|(index, _)| index)
    }
}
