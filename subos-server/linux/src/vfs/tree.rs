//! Changing the tree: create, link, unlink, rename.

use linux_raw_sys::general as g;

use super::body::Body;
use super::directory::Directory;
use super::path::Found;
use super::{Ino, Inode, Inodes, Kind, Node, Time};
use crate::error::{Errno, Result};
use crate::linux::Linux;
use crate::platform::Platform;

/// Adds a node at a path whose directories exist or are made, in place of what was there. For
/// trees that no program uses yet.
///
/// # Errors
/// `ENOTDIR` when a file is in the way, `ENOSPC`.
pub(super) fn plant(
    inodes: &mut Inodes,
    root: Ino,
    path: &[u8],
    kind: Kind,
    mode: u32,
    now: Time,
) -> Result<Ino> {
    let mut directory = root;
    let mut components = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).peekable();
    while let Some(name) = components.next() {
        let existing = inodes.directory(directory)?.get(name);
        if components.peek().is_none() {
            if let Some(existing) = existing
                && !inodes.get(existing).is_directory()
            {
                let inode = inodes.get_mut(existing);
                inode.kind = kind;
                inode.mode = mode;
                return Ok(existing);
            }
            return if existing.is_some() {
                Err(Errno::EISDIR)
            } else {
                add_entry(inodes, directory, name, Inode::new(kind, mode, now), now)
            };
        }
        directory = match existing {
            Some(existing) => existing,
            None => {
                let inode = Inode::new(Kind::Directory(Directory::new(None)), 0o755, now);
                add_entry(inodes, directory, name, inode, now)?
            }
        };
    }
    Err(Errno::EEXIST)
}

/// Stores a fresh inode under a name that is free.
fn add_entry(inodes: &mut Inodes, directory: Ino, name: &[u8], inode: Inode, now: Time) -> Result<Ino> {
    let is_directory = inode.is_directory();
    inodes.directory(directory)?;
    let ino = inodes.insert(inode)?;
    inodes.get_mut(ino).links = if is_directory { 2 } else { 1 };
    if is_directory {
        inodes.directory_mut(ino)?.parent = Some(directory);
        inodes.get_mut(directory).links += 1;
    }
    inodes.directory_mut(directory)?.set(name, ino);
    inodes.get_mut(directory).touch(now);
    Ok(ino)
}

/// What `unlinkat` is asked to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    File,
    Directory,
}

/// What `renameat2` does about a target that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnTarget {
    Replace,
    Refuse,
}

impl<P: Platform> Linux<P> {
    /// Adds a file of the boot bundle, in place of what was there. Missing directories are made.
    ///
    /// # Errors
    /// `ENOTDIR` or `EISDIR` when the tree is in the way, `ENOSPC` when it is full.
    pub fn add_file(&mut self, path: &[u8], contents: &'static [u8], mode: u32) -> Result<()> {
        let now = self.wall_time();
        plant(&mut self.inodes, self.root, path, Kind::Regular(Body::from_bundle(contents)), mode, now)
            .map(|_| ())
    }

    /// Adds a symbolic link. Missing directories are made.
    ///
    /// # Errors
    /// As [`Self::add_file`].
    pub fn add_link(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        let now = self.wall_time();
        plant(&mut self.inodes, self.root, path, Kind::Symlink(target.into()), 0o777, now).map(|_| ())
    }

    /// Adds a directory. Missing directories above are made.
    ///
    /// # Errors
    /// As [`Self::add_file`].
    pub fn add_directory(&mut self, path: &[u8], mode: u32) -> Result<()> {
        let now = self.wall_time();
        plant(&mut self.inodes, self.root, path, Kind::Directory(Directory::new(None)), mode, now).map(|_| ())
    }

    /// Creates a node where a walk found none.
    ///
    /// # Errors
    /// `EEXIST`, `ENOENT`, `EACCES` in /proc, `ENOSPC`.
    pub(crate) fn create(&mut self, found: &Found, kind: Kind, mode: u32) -> Result<Ino> {
        if found.node.is_some() {
            return Err(Errno::EEXIST);
        }
        let directory = writable_directory(found.directory)?;
        if found.directory_only && !matches!(kind, Kind::Directory(_)) {
            return Err(Errno::ENOENT);
        }
        if self.inodes.get(directory).links == 0 {
            // The directory itself was removed.
            return Err(Errno::ENOENT);
        }
        let now = self.wall_time();
        add_entry(&mut self.inodes, directory, &found.name, Inode::new(kind, mode, now), now)
    }

    /// Adds another name for a node.
    pub(crate) fn link(&mut self, node: Node, found: &Found) -> Result<()> {
        let Node::Inode(ino) = node else { return Err(Errno::EXDEV) };
        if self.inodes.get(ino).is_directory() {
            return Err(Errno::EPERM);
        }
        if found.node.is_some() {
            return Err(Errno::EEXIST);
        }
        let directory = writable_directory(found.directory)?;
        if found.directory_only || self.inodes.get(directory).links == 0 {
            return Err(Errno::ENOENT);
        }
        let now = self.wall_time();
        self.inodes.directory_mut(directory)?.set(&found.name, ino);
        self.inodes.retain(ino);
        self.inodes.get_mut(directory).touch(now);
        let inode = self.inodes.get_mut(ino);
        inode.links += 1;
        inode.changed = now;
        Ok(())
    }

    /// Removes a name.
    pub(crate) fn unlink(&mut self, found: &Found, removal: Removal) -> Result<()> {
        let node = found.existing()?;
        if found.name.is_empty() {
            return Err(if removal == Removal::Directory { Errno::EINVAL } else { Errno::EISDIR });
        }
        let directory = writable_directory(found.directory)?;
        let Node::Inode(ino) = node else { return Err(Errno::EPERM) };
        let is_directory = self.inodes.get(ino).is_directory();
        match removal {
            Removal::File if is_directory => return Err(Errno::EISDIR),
            Removal::File => {}
            Removal::Directory => {
                if ino == self.proc_mount {
                    return Err(Errno::EBUSY);
                }
                if !self.inodes.directory(ino)?.is_empty() {
                    return Err(Errno::ENOTEMPTY);
                }
            }
        }
        self.inodes.directory_mut(directory)?.remove(&found.name);
        self.drop_name(directory, ino);
        Ok(())
    }

    /// Accounts for a name that is gone.
    fn drop_name(&mut self, directory: Ino, ino: Ino) {
        let now = self.wall_time();
        let root = self.root;
        let inode = self.inodes.get_mut(ino);
        inode.changed = now;
        if let Kind::Directory(gone) = &mut inode.kind {
            inode.links = 0;
            // Nothing may lead from here to a directory that is freed later.
            gone.parent = Some(root);
            self.inodes.get_mut(directory).links -= 1;
        } else {
            inode.links -= 1;
        }
        self.inodes.get_mut(directory).touch(now);
        self.inodes.release(ino, &mut self.machine);
    }

    /// Moves a name.
    pub(crate) fn rename(&mut self, from: &Found, to: &Found, on_target: OnTarget) -> Result<()> {
        let Node::Inode(ino) = from.existing()? else { return Err(Errno::EXDEV) };
        if from.name.is_empty() || to.name.is_empty() {
            return Err(Errno::EBUSY);
        }
        let (source, target) = (writable_directory(from.directory)?, writable_directory(to.directory)?);
        let moves_directory = self.inodes.get(ino).is_directory();
        if !moves_directory && (to.directory_only || from.directory_only) {
            return Err(Errno::ENOTDIR);
        }
        if moves_directory && self.is_below(target, ino) {
            return Err(Errno::EINVAL);
        }
        if ino == self.proc_mount {
            return Err(Errno::EBUSY);
        }
        if self.inodes.get(target).links == 0 {
            return Err(Errno::ENOENT);
        }
        if let Some(node) = to.node {
            if on_target == OnTarget::Refuse {
                return Err(Errno::EEXIST);
            }
            let Node::Inode(existing) = node else { return Err(Errno::EBUSY) };
            if existing == ino {
                return Ok(());
            }
            match (moves_directory, self.inodes.get(existing).is_directory()) {
                (true, false) => return Err(Errno::ENOTDIR),
                (false, true) => return Err(Errno::EISDIR),
                (true, true) if !self.inodes.directory(existing)?.is_empty() => return Err(Errno::ENOTEMPTY),
                _ => {}
            }
            self.inodes.directory_mut(target)?.remove(&to.name);
            self.drop_name(target, existing);
        }
        let now = self.wall_time();
        self.inodes.directory_mut(source)?.remove(&from.name);
        self.inodes.directory_mut(target)?.set(&to.name, ino);
        if moves_directory && source != target {
            self.inodes.get_mut(source).links -= 1;
            self.inodes.get_mut(target).links += 1;
            self.inodes.directory_mut(ino)?.parent = Some(target);
        }
        self.inodes.get_mut(source).touch(now);
        self.inodes.get_mut(target).touch(now);
        self.inodes.get_mut(ino).changed = now;
        Ok(())
    }

    /// Whether `directory` is `above` or lies somewhere below it.
    fn is_below(&self, directory: Ino, above: Ino) -> bool {
        let mut here = directory;
        loop {
            if here == above {
                return true;
            }
            match self.inodes.directory(here).ok().and_then(|directory| directory.parent) {
                Some(parent) if here != self.root => here = parent,
                _ => return false,
            }
        }
    }

    /// A regular file without a name, for shared anonymous memory.
    pub(crate) fn unnamed_file(&mut self, size: u64) -> Result<Ino> {
        let mut body = Body::default();
        body.truncate(size, &mut self.machine)?;
        let now = self.wall_time();
        self.inodes.insert(Inode::new(Kind::Regular(body), 0o600, now)).map_err(|_| Errno::ENOMEM)
    }
}

/// The inode of a directory that entries can be made in.
const fn writable_directory(node: Node) -> Result<Ino> {
    match node {
        Node::Inode(ino) => Ok(ino),
        _ => Err(Errno::EACCES),
    }
}

/// The `DT_*` type that a directory listing shows.
pub(crate) fn entry_type(kind: &Kind) -> u8 {
    let kind = match kind {
        Kind::Directory(_) => g::DT_DIR,
        Kind::Regular(_) => g::DT_REG,
        Kind::Symlink(_) => g::DT_LNK,
        Kind::Device(_) => g::DT_CHR,
        Kind::Fifo(_) => g::DT_FIFO,
        Kind::Socket => g::DT_SOCK,
    };
    u8::try_from(kind).unwrap_or(0)
}
