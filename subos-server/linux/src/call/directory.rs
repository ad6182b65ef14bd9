//! Listing directories: getdents64.

use alloc::vec::Vec;
use linux_raw_sys::general as g;

use crate::error::Errno;
use crate::file::{Fd, FileKind};
use crate::limits::MAX_TRANSFER;
use crate::linux::Linux;
use crate::memory::address::UserPtr;
use crate::outcome::{Reply, count};
use crate::platform::Platform;
use crate::process::Tid;
use crate::vfs::Node;
use crate::vfs::tree::entry_type;

/// Bytes of a record before its name (`struct linux_dirent64`).
const HEADER: usize = 19;

/// One entry on its way to a program.
struct Listed {
    /// Where a listing goes on after this entry.
    next: u64,
    number: u64,
    kind: u8,
    name: Vec<u8>,
}

impl<P: Platform> Linux<P> {
    pub(super) fn call_getdents(&mut self, t: Tid, fd: Fd, out: UserPtr, size: u32) -> Reply {
        let file = self.file_of(t, fd)?;
        let FileKind::Directory(node) = self.files[file].kind else { return Err(Errno::ENOTDIR) };
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(MAX_TRANSFER);
        let mut bytes = Vec::new();
        let mut offset = self.files[file].offset;
        let entries = self.list(node, offset, size / HEADER + 1);
        let empty = entries.is_empty();
        for entry in entries {
            let length = (HEADER + entry.name.len() + 1).next_multiple_of(8);
            if bytes.len() + length > size {
                break;
            }
            let end = bytes.len() + length;
            bytes.extend(entry.number.to_le_bytes());
            bytes.extend(entry.next.to_le_bytes());
            bytes.extend(u16::try_from(length).unwrap_or(0).to_le_bytes());
            bytes.push(entry.kind);
            bytes.extend(&entry.name);
            bytes.resize(end, 0);
            offset = entry.next;
        }
        if bytes.is_empty() && !empty {
            return Err(Errno::EINVAL);
        }
        self.copy_out(t, out, &bytes)?;
        self.files[file].offset = offset;
        count(bytes.len())
    }

    /// At most `limit` entries from `offset` on. Places 0 and 1 are `.` and `..`.
    fn list(&self, node: Node, offset: u64, limit: usize) -> Vec<Listed> {
        let mut entries = Vec::new();
        let directory = u8::try_from(g::DT_DIR).unwrap_or(0);
        let own = self.attributes(node).number;
        let parent = match node {
            Node::Inode(ino) => {
                let parent = self.inodes.directory(ino).ok().and_then(|directory| directory.parent);
                parent.map_or(own, |parent| u64::from(parent.number()) + 1)
            }
            _ => own,
        };
        for (place, name, number) in [(0, &b"."[..], own), (1, b"..", parent)] {
            if offset <= place {
                entries.push(Listed { next: place + 1, number, kind: directory, name: name.to_vec() });
            }
        }
        match node {
            Node::Inode(ino) => {
                if let Ok(directory) = self.inodes.directory(ino) {
                    entries.extend(directory.entries_at(offset).take(limit).map(|(place, name, child)| {
                        Listed {
                            next: place + 1,
                            number: u64::from(child.number()) + 1,
                            kind: entry_type(&self.inodes.get(child).kind),
                            name: name.to_vec(),
                        }
                    }));
                }
            }
            Node::Proc(node) => {
                let skip = usize::try_from(offset.saturating_sub(2)).unwrap_or(usize::MAX);
                let children = (2u64..).zip(self.proc_entries(node)).skip(skip).take(limit);
                entries.extend(children.map(|(place, (name, child))| Listed {
                    next: place + 1,
                    number: child.number(),
                    // The type bits of a mode, moved down, are the DT_ types.
                    kind: u8::try_from(child.mode() >> 12).unwrap_or(0),
                    name,
                }));
            }
            Node::Open(_) => {}
        }
        entries
    }
}
