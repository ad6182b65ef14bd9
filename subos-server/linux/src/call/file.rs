//! Descriptors: open, close, dup, fcntl, ioctl, lseek, pipes and event counters.

use linux_raw_sys::general as g;
use linux_raw_sys::ioctl as i;

use crate::error::{Errno, Result};
use crate::file::{At, CloseOnExec, Fd, FileKind, OpenFile};
use crate::limits::{MAX_FILE_SIZE, PIPE_CAPACITY};
use crate::linux::Linux;
use crate::memory::address::UserPtr;
use crate::outcome::{DONE, Outcome, Reply};
use crate::platform::Platform;
use crate::process::Tid;
use crate::vfs::path::Last;
use crate::vfs::{Kind, Node, body::Body};

/// A signed offset of lseek.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offset(pub(super) i64);

/// Flags of close_range(2) (linux/close_range.h).
const CLOSE_RANGE_UNSHARE: u32 = 2;
const CLOSE_RANGE_CLOEXEC: u32 = 4;
/// Status flags that `F_SETFL` may change.
const CHANGEABLE: u32 = g::O_APPEND | g::O_NONBLOCK | g::O_DIRECT | g::O_NOATIME;

impl<P: Platform> Linux<P> {
    pub(super) fn call_open(&mut self, t: Tid, at: At, path: UserPtr, flags: u32, mode: u32) -> Reply {
        if let Some(fd) = self.task(t).call.and_then(|call| call.opened) {
            return self.finish_open(t, fd);
        }
        let path = self.path(t, path)?;
        let creates = flags & g::O_CREAT != 0 && flags & g::O_PATH == 0;
        let exclusive = creates && flags & g::O_EXCL != 0;
        let last = if flags & g::O_NOFOLLOW != 0 || exclusive { Last::Keep } else { Last::Follow };
        let found = self.resolve(t, at, &path, last)?;
        let node = match found.node {
            Some(_) if exclusive => return Err(Errno::EEXIST),
            Some(node) => node,
            None if creates => {
                if found.directory_only {
                    return Err(Errno::EISDIR);
                }
                let mode = mode & !self.places[self.task(t).places].umask;
                Node::Inode(self.create(&found, Kind::Regular(Body::default()), mode)?)
            }
            None => return Err(Errno::ENOENT),
        };
        let file = self.open_node(t, node, flags)?;
        let fd = self.install_file(t, file, CloseOnExec::from_flags(flags))?;
        self.finish_open(t, fd)
    }

    pub(super) fn call_close_range(&mut self, t: Tid, first: u32, last: u32, flags: u32) -> Reply {
        if first > last || flags & !(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE) != 0 {
            return Err(Errno::EINVAL);
        }
        let table = self.task(t).files;
        let open: alloc::vec::Vec<u32> =
            self.tables[table].descriptors().filter(|fd| (first..=last).contains(fd)).collect();
        for fd in open {
            let fd = Fd(i32::try_from(fd).map_err(|_| Errno::EBADF)?);
            if flags & CLOSE_RANGE_CLOEXEC != 0 {
                self.tables[table].set_close_on_exec(fd, CloseOnExec::Yes)?;
            } else {
                self.close_fd(t, fd)?;
            }
        }
        DONE
    }

    pub(super) fn call_dup(&mut self, t: Tid, fd: Fd) -> Reply {
        self.duplicate(t, fd, 0, CloseOnExec::No)
    }

    fn duplicate(&mut self, t: Tid, fd: Fd, lowest: usize, close_on_exec: CloseOnExec) -> Reply {
        let file = self.file_of(t, fd)?;
        let limit = self.fd_limit(t);
        let table = self.task(t).files;
        let new = self.tables[table].install(lowest, file, close_on_exec, limit)?;
        self.files.retain(file);
        Ok(value(new))
    }

    pub(super) fn call_dup2(&mut self, t: Tid, old: Fd, new: Fd) -> Reply {
        if old == new {
            return self.file_of(t, old).map(|_| value(new));
        }
        self.call_dup3(t, old, new, 0)
    }

    pub(super) fn call_dup3(&mut self, t: Tid, old: Fd, new: Fd, flags: u32) -> Reply {
        if old == new || flags & !g::O_CLOEXEC != 0 {
            return Err(Errno::EINVAL);
        }
        let file = self.file_of(t, old)?;
        let limit = self.fd_limit(t);
        let table = self.task(t).files;
        let replaced = self.tables[table].replace(new, file, CloseOnExec::from_flags(flags), limit)?;
        self.files.retain(file);
        if let Some(replaced) = replaced {
            self.release_file(replaced);
        }
        Ok(value(new))
    }

    pub(super) fn call_fcntl(&mut self, t: Tid, fd: Fd, command: u32, argument: u64) -> Reply {
        let file = self.file_of(t, fd)?;
        let table = self.task(t).files;
        #[allow(clippy::cast_possible_truncation, reason = "flags are an int")]
        let flags = argument as u32;
        match command {
            g::F_DUPFD | g::F_DUPFD_CLOEXEC => {
                let lowest = usize::try_from(argument).ok().filter(|&lowest| lowest < self.fd_limit(t));
                let close = if command == g::F_DUPFD { CloseOnExec::No } else { CloseOnExec::Yes };
                self.duplicate(t, fd, lowest.ok_or(Errno::EINVAL)?, close)
            }
            g::F_GETFD => {
                let close = self.tables[table].close_on_exec(fd)? == CloseOnExec::Yes;
                Ok(Outcome::Value(u64::from(close)))
            }
            g::F_SETFD => {
                let close = if flags & g::FD_CLOEXEC != 0 { CloseOnExec::Yes } else { CloseOnExec::No };
                self.tables[table].set_close_on_exec(fd, close).and(DONE)
            }
            g::F_GETFL => Ok(Outcome::Value(u64::from(self.files[file].flags))),
            g::F_SETFL => {
                let file = &mut self.files[file];
                file.flags = file.flags & !CHANGEABLE | flags & CHANGEABLE;
                DONE
            }
            // Only one process at a time is in a call, and locks are advice: they are always granted.
            g::F_SETLK | g::F_SETLKW => DONE,
            g::F_GETLK => self.put(t, UserPtr(argument), &2u16).and(DONE),
            g::F_GETPIPE_SZ => match self.files[file].kind {
                FileKind::Pipe { .. } => Ok(Outcome::Value(PIPE_CAPACITY as u64)),
                _ => Err(Errno::EBADF),
            },
            g::F_SETPIPE_SZ => match self.files[file].kind {
                FileKind::Pipe { .. } if argument <= PIPE_CAPACITY as u64 => {
                    Ok(Outcome::Value(PIPE_CAPACITY as u64))
                }
                FileKind::Pipe { .. } => Err(Errno::EPERM),
                _ => Err(Errno::EBADF),
            },
            _ => Err(Errno::EINVAL),
        }
    }

    pub(super) fn call_ioctl(&mut self, t: Tid, fd: Fd, request: u32, argument: UserPtr) -> Reply {
        let file = self.file_of(t, fd)?;
        if self.files[file].is_path() {
            return Err(Errno::EBADF);
        }
        match request {
            i::FIONBIO => {
                let on: i32 = self.get(t, argument)?;
                let file = &mut self.files[file];
                file.flags = if on != 0 { file.flags | g::O_NONBLOCK } else { file.flags & !g::O_NONBLOCK };
                DONE
            }
            i::FIOCLEX | i::FIONCLEX => {
                let close = if request == i::FIOCLEX { CloseOnExec::Yes } else { CloseOnExec::No };
                let table = self.task(t).files;
                self.tables[table].set_close_on_exec(fd, close).and(DONE)
            }
            i::FIONREAD => {
                let waiting = match &self.files[file].kind {
                    FileKind::Pipe { pipe, .. } => self.pipes[*pipe].len() as u64,
                    FileKind::Pair { incoming, .. } => self.pipes[*incoming].len() as u64,
                    FileKind::Regular(ino) => {
                        let offset = self.files[file].offset;
                        self.attributes(Node::Inode(*ino)).size.saturating_sub(offset)
                    }
                    _ => return Err(Errno::ENOTTY),
                };
                self.put(t, argument, &i32::try_from(waiting).unwrap_or(i32::MAX)).and(DONE)
            }
            // Nothing here is a terminal.
            _ => Err(Errno::ENOTTY),
        }
    }

    pub(super) fn call_lseek(&mut self, t: Tid, fd: Fd, offset: Offset, whence: u32) -> Reply {
        let id = self.file_of(t, fd)?;
        let size = match &self.files[id].kind {
            FileKind::Regular(ino) => self.attributes(Node::Inode(*ino)).size,
            FileKind::Text(_, text) => text.len() as u64,
            FileKind::Directory(_) => u64::from(u32::MAX),
            FileKind::Device(..) => 0,
            FileKind::Path(_) => return Err(Errno::EBADF),
            _ => return Err(Errno::ESPIPE),
        };
        let data = matches!(self.files[id].kind, FileKind::Regular(_));
        let base = match whence {
            g::SEEK_SET => 0,
            g::SEEK_CUR => self.files[id].offset,
            g::SEEK_END => size,
            // The whole file counts as data; its only hole is at its end.
            g::SEEK_DATA | g::SEEK_HOLE if data => {
                let start = u64::try_from(offset.0).ok().filter(|&start| start < size).ok_or(Errno::ENXIO)?;
                let target = if whence == g::SEEK_DATA { start } else { size };
                self.files[id].offset = target;
                return Ok(Outcome::Value(target));
            }
            _ => return Err(Errno::EINVAL),
        };
        let target = base.checked_add_signed(offset.0).filter(|&target| i64::try_from(target).is_ok());
        let target = target.ok_or(Errno::EINVAL)?;
        self.files[id].offset = target;
        Ok(Outcome::Value(target))
    }

    pub(super) fn call_ftruncate(&mut self, t: Tid, fd: Fd, size: i64) -> Reply {
        let file = self.file_of(t, fd)?;
        match self.files[file].kind {
            FileKind::Regular(ino) if self.files[file].writable() => self.truncate(ino, size),
            _ => Err(Errno::EINVAL),
        }
    }

    pub(super) fn truncate(&mut self, ino: crate::vfs::Ino, size: i64) -> Reply {
        let size = u64::try_from(size).map_err(|_| Errno::EINVAL)?;
        let now = self.wall_time();
        let body = self.inodes.body_mut(ino).ok_or(Errno::EINVAL)?;
        body.truncate(size, &mut self.machine)?;
        self.inodes.get_mut(ino).touch(now);
        DONE
    }

    pub(super) fn call_fallocate(&mut self, t: Tid, fd: Fd, mode: u32, offset: i64, length: i64) -> Reply {
        let file = self.file_of(t, fd)?;
        if !self.files[file].writable() {
            return Err(Errno::EBADF);
        }
        let FileKind::Regular(ino) = self.files[file].kind else { return Err(Errno::ENODEV) };
        if mode != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let (Ok(offset), Ok(length @ 1..)) = (u64::try_from(offset), u64::try_from(length)) else {
            return Err(Errno::EINVAL);
        };
        let end = offset.checked_add(length).filter(|&end| end <= MAX_FILE_SIZE).ok_or(Errno::EFBIG)?;
        let size = self.attributes(Node::Inode(ino)).size;
        if end > size { self.truncate(ino, end.cast_signed()) } else { DONE }
    }

    pub(super) fn call_pipe(&mut self, t: Tid, pointer: UserPtr, flags: u32) -> Reply {
        if flags & !(g::O_CLOEXEC | g::O_NONBLOCK | g::O_DIRECT) != 0 {
            return Err(Errno::EINVAL);
        }
        let pair = self.make_pipe(t, flags)?;
        self.give_pair(t, pointer, pair)
    }

    pub(super) fn call_socketpair(&mut self, t: Tid, domain: u32, kind: u32, pointer: UserPtr) -> Reply {
        const AF_UNIX: u32 = 1;
        const SOCK_STREAM: u32 = 1;
        const SOCK_TYPE: u32 = 0xf;
        if domain != AF_UNIX {
            return Err(Errno::EAFNOSUPPORT);
        }
        if kind & SOCK_TYPE != SOCK_STREAM {
            return Err(Errno::EOPNOTSUPP);
        }
        // SOCK_CLOEXEC and SOCK_NONBLOCK have the values of their O_ counterparts.
        let pair = self.make_pair(t, kind & (g::O_CLOEXEC | g::O_NONBLOCK))?;
        self.give_pair(t, pointer, pair)
    }

    fn give_pair(&mut self, t: Tid, pointer: UserPtr, pair: [Fd; 2]) -> Reply {
        let written = self.put(t, pointer, &[pair[0].0, pair[1].0]);
        if let Err(error) = written {
            for fd in pair {
                self.close_fd(t, fd)?;
            }
            return Err(error);
        }
        DONE
    }

    /// There is no network; programs that only ask whether there is one go on.
    pub(super) fn call_socket(&self, _domain: u32) -> Reply {
        Err(Errno::EAFNOSUPPORT)
    }

    pub(super) fn call_eventfd(&mut self, t: Tid, initial: u32, flags: u32) -> Reply {
        if flags & !(g::EFD_SEMAPHORE | g::O_CLOEXEC | g::O_NONBLOCK) != 0 {
            return Err(Errno::EINVAL);
        }
        let kind = FileKind::Event { count: u64::from(initial), semaphore: flags & g::EFD_SEMAPHORE != 0 };
        let file = OpenFile::new(kind, g::O_RDWR | flags & g::O_NONBLOCK);
        self.install_file(t, file, CloseOnExec::from_flags(flags)).map(value)
    }

    /// The regular file behind a descriptor.
    pub(super) fn regular_of(&self, t: Tid, fd: Fd) -> Result<crate::vfs::Ino> {
        match self.files[self.file_of(t, fd)?].kind {
            FileKind::Regular(ino) => Ok(ino),
            FileKind::Path(_) => Err(Errno::EBADF),
            _ => Err(Errno::ENODEV),
        }
    }
}

fn value(fd: Fd) -> Outcome {
    Outcome::Value(u64::from(fd.0.unsigned_abs()))
}
