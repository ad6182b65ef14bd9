//! The file tree: in memory, filled from the boot bundle, with /dev and /proc.

pub(crate) mod body;
mod directory;
mod inode;
pub(crate) mod path;
mod proc;
mod proc_text;
pub(crate) mod stat;
pub(crate) mod tree;

pub(crate) use directory::Directory;
pub(crate) use inode::{Device, Ino, Inode, Inodes, Kind, Time};
pub(crate) use proc::ProcNode;
pub(crate) use proc_text::{HOSTNAME, RELEASE};

use crate::arena::Id;
use crate::file::OpenFile;

/// Something that a path can lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// A node of the tree.
    Inode(Ino),
    /// A node of /proc, which exists only by its name.
    Proc(ProcNode),
    /// An open file without a name, reached through /proc/self/fd.
    Open(Id<OpenFile>),
}

/// Directories that every system has.
const DIRECTORIES: [(&[u8], u32); 14] = [
    (b"bin", 0o755),
    (b"dev", 0o755),
    (b"dev/shm", 0o1777),
    (b"etc", 0o755),
    (b"home", 0o755),
    (b"proc", 0o555),
    (b"root", 0o700),
    (b"run", 0o755),
    (b"sys", 0o555),
    (b"tmp", 0o1777),
    (b"usr", 0o755),
    (b"usr/bin", 0o755),
    (b"var", 0o755),
    (b"var/tmp", 0o1777),
];

/// Devices of /dev.
const DEVICES: [(&[u8], Device); 7] = [
    (b"dev/null", Device::Null),
    (b"dev/zero", Device::Zero),
    (b"dev/full", Device::Full),
    (b"dev/random", Device::Random),
    (b"dev/urandom", Device::Urandom),
    (b"dev/tty", Device::Tty),
    (b"dev/console", Device::Console),
];

/// Symbolic links that every system has.
const LINKS: [(&[u8], &[u8]); 5] = [
    (b"dev/fd", b"/proc/self/fd"),
    (b"dev/stdin", b"/proc/self/fd/0"),
    (b"dev/stdout", b"/proc/self/fd/1"),
    (b"dev/stderr", b"/proc/self/fd/2"),
    (b"etc/mtab", b"/proc/self/mounts"),
];

/// Files that programs look up names in. A bundle may bring others in their place.
const FILES: [(&[u8], &[u8]); 4] = [
    (b"etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
    (b"etc/group", b"root:x:0:\nnogroup:x:65534:\n"),
    (b"etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files\n"),
    (b"etc/hosts", b"127.0.0.1 localhost\n"),
];

/// Makes the tree of an empty system; the answer is the root and the directory that /proc covers.
pub(crate) fn base_tree(inodes: &mut Inodes, epoch: u64) -> (Ino, Ino) {
    let now = Time::from_nanos(epoch);
    let add = |inodes: &mut Inodes, root: Ino, path: &[u8], kind: Kind, mode: u32| {
        tree::plant(inodes, root, path, kind, mode, now).expect("an empty store has room for the base tree")
    };
    let root = inodes
        .insert(Inode::new(Kind::Directory(Directory::new(None)), 0o755, now))
        .expect("an empty store has room");
    inodes.get_mut(root).links = 2;
    for (path, mode) in DIRECTORIES {
        add(inodes, root, path, Kind::Directory(Directory::new(None)), mode);
    }
    for (path, device) in DEVICES {
        add(inodes, root, path, Kind::Device(device), 0o666);
    }
    for (path, target) in LINKS {
        add(inodes, root, path, Kind::Symlink(target.into()), 0o777);
    }
    for (path, contents) in FILES {
        add(inodes, root, path, Kind::Regular(body::Body::from_bundle(contents)), 0o644);
    }
    let proc = inodes.directory(root).ok().and_then(|directory| directory.get(b"proc"));
    (root, proc.expect("it was planted above"))
}
