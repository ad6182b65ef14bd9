//! What stat tells of a node, before it is laid out for one of the calls.

use linux_raw_sys::general as g;

use super::{Kind, Node, Time};
use crate::file::{FileKind, OpenFile};
use crate::linux::Linux;
use crate::platform::Platform;

/// The block size that files report.
const BLOCK: u64 = 512;
/// The device number of the tree, and of /proc.
const TREE_DEVICE: u32 = 1;
const PROC_DEVICE: u32 = 2;
const PIPE_DEVICE: u32 = 3;

/// A node's attributes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) device: u32,
    pub(crate) number: u64,
    /// Type and permission bits.
    pub(crate) mode: u32,
    pub(crate) links: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Major and minor number of a device node.
    pub(crate) special: (u32, u32),
    pub(crate) size: u64,
    /// Units of 512 bytes in use.
    pub(crate) blocks: u64,
    pub(crate) accessed: Time,
    pub(crate) modified: Time,
    pub(crate) changed: Time,
}

impl<P: Platform> Linux<P> {
    /// The attributes of a node.
    pub(crate) fn attributes(&self, node: Node) -> Attributes {
        match node {
            Node::Inode(ino) => self.inode_attributes(ino),
            Node::Proc(node) => {
                let now = self.wall_time();
                let mode = node.mode();
                Attributes {
                    device: PROC_DEVICE,
                    number: node.number(),
                    mode,
                    links: if mode & g::S_IFMT == g::S_IFDIR { 2 } else { 1 },
                    accessed: now,
                    modified: now,
                    changed: now,
                    ..Attributes::default()
                }
            }
            Node::Open(file) => {
                let mode = match &self.files[file].kind {
                    FileKind::Pair { .. } => g::S_IFSOCK | 0o777,
                    FileKind::Event { .. } => 0o600,
                    _ => g::S_IFIFO | 0o600,
                };
                let now = self.wall_time();
                Attributes {
                    device: PIPE_DEVICE,
                    number: self.stream_number(&self.files[file], file.number()),
                    mode,
                    links: 1,
                    accessed: now,
                    modified: now,
                    changed: now,
                    ..Attributes::default()
                }
            }
        }
    }

    /// Both ends of a pipe have one number, as on Linux.
    fn stream_number(&self, file: &OpenFile, own: u32) -> u64 {
        const PIPES: u64 = 1 << 32;
        match file.kind {
            FileKind::Pipe { pipe, .. } => PIPES | u64::from(pipe.number()),
            _ => PIPES << 1 | u64::from(own),
        }
    }

    fn inode_attributes(&self, ino: super::Ino) -> Attributes {
        let inode = self.inodes.get(ino);
        let page_blocks = crate::limits::PAGE_U64 / BLOCK;
        let (kind, size, blocks) = match &inode.kind {
            Kind::Directory(directory) => (g::S_IFDIR, 40 + 20 * directory.len() as u64, 0),
            Kind::Regular(body) => {
                (g::S_IFREG, body.size(), body.size().div_ceil(crate::limits::PAGE_U64) * page_blocks)
            }
            Kind::Symlink(target) => (g::S_IFLNK, target.len() as u64, 0),
            Kind::Device(_) => (g::S_IFCHR, 0, 0),
            Kind::Fifo(_) => (g::S_IFIFO, 0, 0),
            Kind::Socket => (g::S_IFSOCK, 0, 0),
        };
        let special = if let Kind::Device(device) = inode.kind { device.numbers() } else { (0, 0) };
        Attributes {
            device: TREE_DEVICE,
            // Zero is no inode number to some programs.
            number: u64::from(ino.number()) + 1,
            mode: kind | inode.mode,
            links: inode.links,
            uid: inode.uid,
            gid: inode.gid,
            special,
            size,
            blocks,
            accessed: inode.accessed,
            modified: inode.modified,
            changed: inode.changed,
        }
    }
}
