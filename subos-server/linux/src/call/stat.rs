//! Attributes in the layouts of stat, statx and statfs.

use linux_raw_sys::general as g;

use super::records::{StatFsRecord, StatRecord, StatxRecord};
use crate::error::Result;
use crate::file::{At, Fd};
use crate::limits::{NAME_MAX, PAGE_U64};
use crate::linux::Linux;
use crate::memory::address::UserPtr;
use crate::outcome::{DONE, Reply};
use crate::platform::Platform;
use crate::process::Tid;
use crate::vfs::Node;
use crate::vfs::stat::Attributes;

/// `f_type` of tmpfs and of /proc (linux/magic.h).
const TMPFS_MAGIC: u64 = 0x0102_1994;
const PROC_MAGIC: u64 = 0x9fa0;
const PIPE_MAGIC: u64 = 0x5049_5045;

/// A device number as the kernel encodes it for programs.
const fn join_device(major: u32, minor: u32) -> u64 {
    let (major, minor) = (major as u64, minor as u64);
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & !0xff) << 12 | (major & !0xfff) << 32
}

/// The opposite of [`join_device`].
#[allow(clippy::cast_possible_truncation, reason = "the masks leave 32 bits")]
pub(super) const fn split_device(device: u64) -> (u32, u32) {
    let major = (device >> 8 & 0xfff) | (device >> 32 & !0xfff);
    let minor = (device & 0xff) | (device >> 12 & 0xfff_ff00);
    (major as u32, minor as u32)
}

impl<P: Platform> Linux<P> {
    pub(super) fn call_stat(&mut self, t: Tid, at: At, path: UserPtr, out: UserPtr, flags: u32) -> Reply {
        let node = self.find(t, at, path, flags)?;
        self.put_stat(t, node, out)
    }

    pub(super) fn call_fstat(&mut self, t: Tid, fd: Fd, out: UserPtr) -> Reply {
        let node = self.node_of(self.file_of(t, fd)?);
        self.put_stat(t, node, out)
    }

    fn put_stat(&mut self, t: Tid, node: Node, out: UserPtr) -> Reply {
        let a = self.attributes(node);
        let record = StatRecord {
            device: join_device(0, a.device),
            number: a.number,
            links: u64::from(a.links),
            mode: a.mode,
            uid: a.uid,
            gid: a.gid,
            special: join_device(a.special.0, a.special.1),
            size: a.size.cast_signed(),
            block_size: PAGE_U64.cast_signed(),
            blocks: a.blocks.cast_signed(),
            accessed: a.accessed.into(),
            modified: a.modified.into(),
            changed: a.changed.into(),
            ..StatRecord::default()
        };
        self.put(t, out, &record).and(DONE)
    }

    pub(super) fn call_statx(&mut self, t: Tid, at: At, path: UserPtr, flags: u32, out: UserPtr) -> Reply {
        let node = self.find(t, at, path, flags)?;
        let Attributes { device, number, mode, links, uid, gid, special, size, blocks, .. } =
            self.attributes(node);
        let a = self.attributes(node);
        let record = StatxRecord {
            mask: g::STATX_BASIC_STATS,
            block_size: 4096,
            links,
            uid,
            gid,
            mode: u16::try_from(mode).unwrap_or(0),
            number,
            size,
            blocks,
            accessed: a.accessed.into(),
            changed: a.changed.into(),
            modified: a.modified.into(),
            special: [special.0, special.1],
            device: [0, device],
            ..StatxRecord::default()
        };
        self.put(t, out, &record).and(DONE)
    }

    pub(super) fn call_statfs(&mut self, t: Tid, path: UserPtr, out: UserPtr) -> Reply {
        let node = self.find(t, At::Cwd, path, 0)?;
        self.put_statfs(t, node, out).and(DONE)
    }

    pub(super) fn call_fstatfs(&mut self, t: Tid, fd: Fd, out: UserPtr) -> Reply {
        let node = self.node_of(self.file_of(t, fd)?);
        self.put_statfs(t, node, out).and(DONE)
    }

    fn put_statfs(&mut self, t: Tid, node: Node, out: UserPtr) -> Result<()> {
        let counts = self.pool();
        let mut record = StatFsRecord {
            block_size: PAGE_U64,
            fragment: PAGE_U64,
            name_length: NAME_MAX as u64,
            ..StatFsRecord::default()
        };
        match node {
            Node::Inode(_) => {
                record.kind = TMPFS_MAGIC;
                record.blocks = u64::from(counts.general);
                record.free = u64::from(counts.general_free);
                record.available = record.free;
                record.files = (self.inodes.len() + self.inodes.room()) as u64;
                record.files_free = self.inodes.room() as u64;
            }
            Node::Proc(_) => record.kind = PROC_MAGIC,
            Node::Open(_) => record.kind = PIPE_MAGIC,
        }
        self.put(t, out, &record)
    }
}
