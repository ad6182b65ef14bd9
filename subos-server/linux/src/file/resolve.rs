//! From a task's path to a node: the file tree, /proc and open files seen as one [`Tree`].

use alloc::vec::Vec;

use super::{At, FileKind};
use crate::error::{Errno, Result};
use crate::linux::Linux;
use crate::platform::Platform;
use crate::process::Tid;
use crate::vfs::path::{Found, Last, Link, Step, Tree, walk};
use crate::vfs::{Kind, Node, ProcNode};

/// The tree as one task sees it: `/proc/self` depends on who asks.
struct View<'a, P> {
    linux: &'a Linux<P>,
    tid: Tid,
}

impl<P: Platform> Tree for View<'_, P> {
    fn lookup(&self, directory: Node, name: &[u8]) -> Result<Node> {
        match directory {
            Node::Inode(ino) => {
                let found = self.linux.inodes.directory(ino)?.get(name).ok_or(Errno::ENOENT)?;
                let proc = found == self.linux.proc_mount;
                Ok(if proc { Node::Proc(ProcNode::Root) } else { Node::Inode(found) })
            }
            Node::Proc(node) => self.linux.proc_lookup(node, name).map(Node::Proc),
            Node::Open(_) => Err(Errno::ENOTDIR),
        }
    }

    fn parent(&self, directory: Node) -> Node {
        let root = Node::Inode(self.linux.root);
        match directory {
            Node::Inode(ino) => {
                let parent = self.linux.inodes.directory(ino).ok().and_then(|directory| directory.parent);
                parent.map_or(root, Node::Inode)
            }
            Node::Proc(node) => node.parent().map_or(root, Node::Proc),
            Node::Open(_) => root,
        }
    }

    fn step(&self, node: Node) -> Step {
        match node {
            Node::Inode(ino) => match &self.linux.inodes.get(ino).kind {
                Kind::Directory(_) => Step::Directory,
                Kind::Symlink(target) => Step::Link(Link::Path(target.to_vec())),
                _ => Step::Leaf,
            },
            Node::Proc(node) => self.linux.proc_step(self.tid, node),
            Node::Open(_) => Step::Leaf,
        }
    }
}

impl<P: Platform> Linux<P> {
    /// Walks a path as the task means it.
    ///
    /// # Errors
    /// As [`walk`]; `EBADF` and `ENOTDIR` for the descriptor that a relative path starts at.
    pub(crate) fn resolve(&self, tid: Tid, at: At, path: &[u8], last: Last) -> Result<Found> {
        let places = &self.places[self.task(tid).places];
        let start = match at {
            _ if path.starts_with(b"/") => places.root,
            At::Cwd => places.cwd,
            At::Directory(fd) => match self.files[self.file_of(tid, fd)?].kind {
                FileKind::Directory(node) | FileKind::Path(node) => node,
                _ => return Err(Errno::ENOTDIR),
            },
        };
        walk(&View { linux: self, tid }, places.root, start, path, last)
    }

    /// The node behind an open file, for stat and /proc/self/fd.
    pub(crate) fn node_of(&self, file: crate::arena::Id<super::OpenFile>) -> Node {
        match self.files[file].kind {
            FileKind::Regular(ino) | FileKind::Device(_, ino) => Node::Inode(ino),
            FileKind::Directory(node) | FileKind::Path(node) => node,
            FileKind::Text(node, _) => Node::Proc(node),
            _ => Node::Open(file),
        }
    }

    /// Whether the node is a directory.
    pub(crate) fn is_directory(&self, tid: Tid, node: Node) -> bool {
        matches!(View { linux: self, tid }.step(node), Step::Directory)
    }

    /// Where a symbolic link leads, as readlink shows it.
    ///
    /// # Errors
    /// `EINVAL` when it is none.
    pub(crate) fn link_target(&self, tid: Tid, node: Node) -> Result<Vec<u8>> {
        match (View { linux: self, tid }).step(node) {
            Step::Link(Link::Path(path)) => Ok(path),
            Step::Link(Link::Node(node)) => Ok(self.path_of(node)),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The path of a node from the root, as far as it has one.
    pub(crate) fn path_of(&self, node: Node) -> Vec<u8> {
        match node {
            Node::Inode(ino) => self.path_of_inode(ino),
            Node::Proc(node) => node.path(),
            Node::Open(file) => match self.files[file].kind {
                FileKind::Pipe { named: Some(ino), .. } => self.path_of_inode(ino),
                FileKind::Pair { .. } => alloc::format!("socket:[{}]", file.number()).into_bytes(),
                FileKind::Event { .. } => b"anon_inode:[eventfd]".to_vec(),
                _ => alloc::format!("pipe:[{}]", file.number()).into_bytes(),
            },
        }
    }

    /// Files do not know their names, so this looks through the tree: for /proc and getcwd only.
    fn path_of_inode(&self, ino: crate::vfs::Ino) -> Vec<u8> {
        if ino == self.root {
            return b"/".to_vec();
        }
        let mut pending = alloc::vec![(self.root, Vec::new())];
        while let Some((directory, prefix)) = pending.pop() {
            let Ok(entries) = self.inodes.directory(directory) else { continue };
            if let Some(name) = entries.name_of(ino) {
                return [&prefix, &b"/"[..], name].concat();
            }
            for (_, name, child) in entries.entries_at(0) {
                if self.inodes.get(child).is_directory() {
                    pending.push((child, [&prefix, &b"/"[..], name].concat()));
                }
            }
        }
        b"(deleted)".to_vec()
    }

    /// A path made absolute, without following anything.
    pub(crate) fn absolute_path(&self, tid: Tid, path: &[u8]) -> Vec<u8> {
        if path.starts_with(b"/") {
            return path.to_vec();
        }
        let mut whole = self.path_of(self.places[self.task(tid).places].cwd);
        for component in path.split(|&byte| byte == b'/') {
            if component.is_empty() || component == b"." {
                continue;
            }
            if !whole.ends_with(b"/") {
                whole.push(b'/');
            }
            whole.extend_from_slice(component);
        }
        whole
    }

    /// Adds a holder to what can be held of a node.
    pub(crate) fn retain_node(&mut self, node: Node) {
        if let Node::Inode(ino) = node {
            self.inodes.retain(ino);
        }
    }

    /// Drops a holder of a node.
    pub(crate) fn release_node(&mut self, node: Node) {
        if let Node::Inode(ino) = node {
            self.inodes.release(ino, &mut self.machine);
        }
    }

    /// Makes a directory the task's working directory.
    pub(crate) fn change_directory_to(&mut self, tid: Tid, path: &[u8]) -> Result<()> {
        let node = self.resolve(tid, At::Cwd, path, Last::Follow)?.existing()?;
        self.change_directory(tid, node)
    }

    /// Makes a node the task's working directory.
    pub(crate) fn change_directory(&mut self, tid: Tid, node: Node) -> Result<()> {
        if !self.is_directory(tid, node) {
            return Err(Errno::ENOTDIR);
        }
        self.retain_node(node);
        let places = self.task(tid).places;
        let old = core::mem::replace(&mut self.places[places].cwd, node);
        self.release_node(old);
        Ok(())
    }
}
