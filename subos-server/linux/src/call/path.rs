//! Names: directories, links, rename, permissions, times, the working directory.

use linux_raw_sys::general as g;

use super::records::TimeSpec;
use crate::error::{Errno, Result};
use crate::file::{At, Fd, FileKind};
use crate::limits::PATH_MAX;
use crate::linux::Linux;
use crate::memory::address::UserPtr;
use crate::outcome::{DONE, Outcome, Reply, count};
use crate::platform::Platform;
use crate::process::Tid;
use crate::vfs::path::{Found, Last};
use crate::vfs::{Device, Directory, Kind, Node, Time, body::Body};

/// A path argument with where it starts.
type Place = (At, UserPtr);

impl<P: Platform> Linux<P> {
    /// Walks a path argument. With `AT_EMPTY_PATH` an empty one means the descriptor itself.
    pub(super) fn find(&mut self, t: Tid, at: At, path: UserPtr, flags: u32) -> Result<Node> {
        let path = self.path(t, path)?;
        if path.is_empty() && flags & g::AT_EMPTY_PATH != 0 {
            return match at {
                At::Cwd => Ok(self.places[self.task(t).places].cwd),
                At::Directory(fd) => Ok(self.node_of(self.file_of(t, fd)?)),
            };
        }
        let last = if flags & g::AT_SYMLINK_NOFOLLOW != 0 { Last::Keep } else { Last::Follow };
        self.resolve(t, at, &path, last)?.existing()
    }

    /// Walks a path whose last name is to be made, removed or moved.
    fn find_name(&mut self, t: Tid, (at, path): Place) -> Result<Found> {
        let path = self.path(t, path)?;
        self.resolve(t, at, &path, Last::Keep)
    }

    fn masked(&self, t: Tid, mode: u32) -> u32 {
        mode & 0o7777 & !self.places[self.task(t).places].umask
    }

    pub(super) fn call_mkdir(&mut self, t: Tid, at: At, path: UserPtr, mode: u32) -> Reply {
        let found = self.find_name(t, (at, path))?;
        let mode = self.masked(t, mode & 0o1777);
        self.create(&found, Kind::Directory(Directory::new(None)), mode).and(DONE)
    }

    pub(super) fn call_mknod(&mut self, t: Tid, at: At, path: UserPtr, mode: u32, device: u64) -> Reply {
        let found = self.find_name(t, (at, path))?;
        let kind = match mode & g::S_IFMT {
            0 | g::S_IFREG => Kind::Regular(Body::default()),
            g::S_IFIFO => Kind::Fifo(None),
            g::S_IFSOCK => Kind::Socket,
            g::S_IFCHR => {
                let (major, minor) = super::stat::split_device(device);
                Kind::Device(Device::by_numbers(major, minor).ok_or(Errno::EPERM)?)
            }
            g::S_IFBLK => return Err(Errno::EPERM),
            _ => return Err(Errno::EINVAL),
        };
        let mode = self.masked(t, mode);
        self.create(&found, kind, mode).and(DONE)
    }

    pub(super) fn call_unlink(&mut self, t: Tid, at: At, path: UserPtr, flags: u32) -> Reply {
        use crate::vfs::tree::Removal;
        if flags & !g::AT_REMOVEDIR != 0 {
            return Err(Errno::EINVAL);
        }
        let found = self.find_name(t, (at, path))?;
        if flags & g::AT_REMOVEDIR == 0 {
            return self.unlink(&found, Removal::File).and(DONE);
        }
        let node = found.existing()?;
        if !self.is_directory(t, node) {
            return Err(Errno::ENOTDIR);
        }
        if matches!(node, Node::Proc(_)) {
            return Err(Errno::EBUSY);
        }
        self.unlink(&found, Removal::Directory).and(DONE)
    }

    pub(super) fn call_rename(&mut self, t: Tid, from: Place, to: Place, flags: u32) -> Reply {
        use crate::vfs::tree::OnTarget;
        let on_target = match flags {
            0 => OnTarget::Replace,
            g::RENAME_NOREPLACE => OnTarget::Refuse,
            _ => return Err(Errno::EINVAL),
        };
        let (from, to) = (self.find_name(t, from)?, self.find_name(t, to)?);
        self.rename(&from, &to, on_target).and(DONE)
    }

    pub(super) fn call_link(&mut self, t: Tid, from: Place, to: Place, flags: u32) -> Reply {
        // link(2) does not follow a symbolic link unless it is told to.
        let follow = if flags & g::AT_SYMLINK_FOLLOW != 0 { 0 } else { g::AT_SYMLINK_NOFOLLOW };
        let node = self.find(t, from.0, from.1, follow | flags & g::AT_EMPTY_PATH)?;
        let to = self.find_name(t, to)?;
        self.link(node, &to).and(DONE)
    }

    pub(super) fn call_symlink(&mut self, t: Tid, target: UserPtr, at: At, path: UserPtr) -> Reply {
        let target = self.path(t, target)?;
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        let found = self.find_name(t, (at, path))?;
        self.create(&found, Kind::Symlink(target.into()), 0o777).and(DONE)
    }

    pub(super) fn call_readlink(&mut self, t: Tid, at: At, path: UserPtr, out: UserPtr, size: i32) -> Reply {
        let size = usize::try_from(size).ok().filter(|&size| size > 0).ok_or(Errno::EINVAL)?;
        let node = self.find(t, at, path, g::AT_SYMLINK_NOFOLLOW | g::AT_EMPTY_PATH)?;
        let mut target = self.link_target(t, node)?;
        target.truncate(size.min(PATH_MAX));
        self.copy_out(t, out, &target)?;
        count(target.len())
    }

    /// Every program runs as root: what exists may be read and written; executing needs an x bit.
    pub(super) fn call_access(&mut self, t: Tid, at: At, path: UserPtr, mode: u32, flags: u32) -> Reply {
        if mode & !7 != 0 {
            return Err(Errno::EINVAL);
        }
        let node = self.find(t, at, path, flags)?;
        let attributes = self.attributes(node);
        let executable = attributes.mode & 0o111 != 0 || attributes.mode & g::S_IFMT == g::S_IFDIR;
        if mode & 1 != 0 && !executable { Err(Errno::EACCES) } else { DONE }
    }

    pub(super) fn call_chmod(&mut self, t: Tid, at: At, path: UserPtr, mode: u32) -> Reply {
        let node = self.find(t, at, path, 0)?;
        self.set_mode(node, mode)
    }

    pub(super) fn call_fchmod(&mut self, t: Tid, fd: Fd, mode: u32) -> Reply {
        let node = self.node_of(self.file_of(t, fd)?);
        self.set_mode(node, mode)
    }

    fn set_mode(&mut self, node: Node, mode: u32) -> Reply {
        let Node::Inode(ino) = node else { return Err(Errno::EPERM) };
        let now = self.wall_time();
        let inode = self.inodes.get_mut(ino);
        inode.mode = mode & 0o7777;
        inode.changed = now;
        DONE
    }

    pub(super) fn call_chown(&mut self, t: Tid, at: At, path: UserPtr, ids: [u32; 2], flags: u32) -> Reply {
        let node = self.find(t, at, path, flags)?;
        self.set_owner(node, ids)
    }

    pub(super) fn call_fchown(&mut self, t: Tid, fd: Fd, ids: [u32; 2]) -> Reply {
        let node = self.node_of(self.file_of(t, fd)?);
        self.set_owner(node, ids)
    }

    fn set_owner(&mut self, node: Node, [uid, gid]: [u32; 2]) -> Reply {
        let Node::Inode(ino) = node else { return Err(Errno::EPERM) };
        let now = self.wall_time();
        let inode = self.inodes.get_mut(ino);
        // All ones leave an identity as it is.
        if uid != u32::MAX {
            inode.uid = uid;
        }
        if gid != u32::MAX {
            inode.gid = gid;
        }
        inode.changed = now;
        DONE
    }

    pub(super) fn call_utimensat(
        &mut self,
        t: Tid,
        at: At,
        path: UserPtr,
        times: UserPtr,
        flags: u32,
    ) -> Reply {
        let node = match (path.non_null(), at) {
            (Some(path), _) => self.find(t, at, path, flags)?,
            (None, At::Directory(fd)) => self.node_of(self.file_of(t, fd)?),
            (None, At::Cwd) => return Err(Errno::EFAULT),
        };
        let now = self.wall_time();
        let stamps: [TimeSpec; 2] = match times.non_null() {
            Some(times) => [self.get(t, times)?, self.get(t, times.plus(16))?],
            None => [TimeSpec { seconds: 0, nanos: i64::from(g::UTIME_NOW) }; 2],
        };
        let choose = |stamp: TimeSpec, old: Time| -> Result<Time> {
            match u32::try_from(stamp.nanos) {
                Ok(g::UTIME_NOW) => Ok(now),
                Ok(g::UTIME_OMIT) => Ok(old),
                Ok(nanos @ 0..1_000_000_000) => Ok(Time { seconds: stamp.seconds, nanos }),
                _ => Err(Errno::EINVAL),
            }
        };
        let Node::Inode(ino) = node else { return Err(Errno::EPERM) };
        let inode = self.inodes.get_mut(ino);
        let (accessed, modified) = (choose(stamps[0], inode.accessed)?, choose(stamps[1], inode.modified)?);
        inode.accessed = accessed;
        inode.modified = modified;
        inode.changed = now;
        DONE
    }

    pub(super) fn call_truncate(&mut self, t: Tid, path: UserPtr, size: i64) -> Reply {
        match self.find(t, At::Cwd, path, 0)? {
            Node::Inode(ino) if self.inodes.get(ino).is_directory() => Err(Errno::EISDIR),
            Node::Inode(ino) => self.truncate(ino, size),
            _ => Err(Errno::EINVAL),
        }
    }

    pub(super) fn call_chdir(&mut self, t: Tid, path: UserPtr) -> Reply {
        let path = self.path(t, path)?;
        self.change_directory_to(t, &path).and(DONE)
    }

    pub(super) fn call_fchdir(&mut self, t: Tid, fd: Fd) -> Reply {
        match self.files[self.file_of(t, fd)?].kind {
            FileKind::Directory(node) | FileKind::Path(node) => self.change_directory(t, node).and(DONE),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn call_getcwd(&mut self, t: Tid, out: UserPtr, size: u64) -> Reply {
        let mut path = self.path_of(self.places[self.task(t).places].cwd);
        if !path.starts_with(b"/") {
            return Err(Errno::ENOENT);
        }
        path.push(0);
        if path.len() as u64 > size {
            return Err(Errno::ERANGE);
        }
        self.copy_out(t, out, &path)?;
        count(path.len())
    }

    pub(super) fn call_umask(&mut self, t: Tid, mask: u32) -> Reply {
        let places = self.task(t).places;
        let old = core::mem::replace(&mut self.places[places].umask, mask & 0o777);
        Ok(Outcome::Value(u64::from(old)))
    }
}
