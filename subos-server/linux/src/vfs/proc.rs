//! /proc: nodes that exist by their name alone, and how paths lead through them.

use alloc::vec::Vec;
use alloc::{format, string::ToString};
use linux_raw_sys::general as g;

use super::Node;
use super::path::{Link, Step};
use crate::error::{Errno, Result};
use crate::file::Fd;
use crate::linux::Linux;
use crate::platform::Platform;
use crate::process::{Pid, Tid};

/// A node of /proc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcNode {
    Root,
    /// The link to the asking process.
    SelfLink,
    /// A file of the whole system.
    Global(Global),
    /// /proc/sys and /proc/sys/kernel.
    Sys,
    SysKernel,
    SysVm,
    Sysctl(Sysctl),
    Process(Pid),
    Entry(Pid, Entry),
    Descriptors(Pid),
    Descriptor(Pid, u32),
}

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($variant:ident = $name:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $type { $($variant),* }

        impl $type {
            pub(crate) const ALL: &'static [(Self, &'static str)] = &[$((Self::$variant, $name)),*];

            fn by_name(name: &[u8]) -> Option<Self> {
                Self::ALL.iter().find(|(_, known)| known.as_bytes() == name).map(|&(node, _)| node)
            }

            fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

names! {
    /// Files of the whole system.
    Global {
        CpuInfo = "cpuinfo", Filesystems = "filesystems", LoadAvg = "loadavg", MemInfo = "meminfo",
        Mounts = "mounts", Stat = "stat", Uptime = "uptime", Version = "version", CmdLine = "cmdline",
    }
}

names! {
    /// Files of /proc/sys/kernel and /proc/sys/vm.
    Sysctl {
        OsRelease = "osrelease", OsType = "ostype", Hostname = "hostname", PidMax = "pid_max",
        NgroupsMax = "ngroups_max", RandomizeVaSpace = "randomize_va_space",
        OvercommitMemory = "overcommit_memory", MaxMapCount = "max_map_count",
    }
}

names! {
    /// Files and links of a process.
    Entry {
        CmdLine = "cmdline", Comm = "comm", Cwd = "cwd", Environ = "environ", Exe = "exe", Maps = "maps",
        Mounts = "mounts", Root = "root", Stat = "stat", Statm = "statm", Status = "status",
    }
}

impl Sysctl {
    const fn directory(self) -> ProcNode {
        match self {
            Self::OvercommitMemory | Self::MaxMapCount => ProcNode::SysVm,
            _ => ProcNode::SysKernel,
        }
    }
}

impl ProcNode {
    /// The directory above; `None` for /proc itself.
    pub(crate) const fn parent(self) -> Option<Self> {
        match self {
            Self::Root => None,
            Self::SysKernel | Self::SysVm => Some(Self::Sys),
            Self::Sysctl(value) => Some(value.directory()),
            Self::Entry(pid, _) | Self::Descriptors(pid) => Some(Self::Process(pid)),
            Self::Descriptor(pid, _) => Some(Self::Descriptors(pid)),
            Self::SelfLink | Self::Global(_) | Self::Sys | Self::Process(_) => Some(Self::Root),
        }
    }

    pub(crate) fn path(self) -> Vec<u8> {
        match self {
            Self::Root => b"/proc".to_vec(),
            Self::SelfLink => b"/proc/self".to_vec(),
            Self::Global(file) => format!("/proc/{}", file.name()).into_bytes(),
            Self::Sys => b"/proc/sys".to_vec(),
            Self::SysKernel => b"/proc/sys/kernel".to_vec(),
            Self::SysVm => b"/proc/sys/vm".to_vec(),
            Self::Sysctl(value) => [&value.directory().path(), &b"/"[..], value.name().as_bytes()].concat(),
            Self::Process(pid) => format!("/proc/{}", pid.0).into_bytes(),
            Self::Entry(pid, entry) => format!("/proc/{}/{}", pid.0, entry.name()).into_bytes(),
            Self::Descriptors(pid) => format!("/proc/{}/fd", pid.0).into_bytes(),
            Self::Descriptor(pid, fd) => format!("/proc/{}/fd/{fd}", pid.0).into_bytes(),
        }
    }

    /// A number for stat, different for each node that exists at one time.
    pub(crate) fn number(self) -> u64 {
        const PROC: u64 = 1 << 40;
        let of = |pid: Pid, rest: u64| PROC | u64::from(pid.0) << 20 | rest;
        match self {
            Self::Root => PROC,
            Self::SelfLink => PROC | 1,
            Self::Sys => PROC | 2,
            Self::SysKernel => PROC | 3,
            Self::SysVm => PROC | 4,
            Self::Global(file) => PROC | 16 | file as u64,
            Self::Sysctl(value) => PROC | 64 | value as u64,
            Self::Process(pid) => of(pid, 0),
            Self::Descriptors(pid) => of(pid, 1),
            Self::Entry(pid, entry) => of(pid, 16 + entry as u64),
            Self::Descriptor(pid, fd) => of(pid, 1024 + u64::from(fd)),
        }
    }

    /// Type and permission bits.
    pub(crate) const fn mode(self) -> u32 {
        match self {
            Self::Root | Self::Sys | Self::SysKernel | Self::SysVm | Self::Process(_) => g::S_IFDIR | 0o555,
            Self::Descriptors(_) => g::S_IFDIR | 0o500,
            Self::SelfLink | Self::Entry(_, Entry::Cwd | Entry::Exe | Entry::Root) => g::S_IFLNK | 0o777,
            Self::Descriptor(..) => g::S_IFLNK | 0o700,
            Self::Global(_) | Self::Sysctl(_) | Self::Entry(..) => g::S_IFREG | 0o444,
        }
    }
}

impl<P: Platform> Linux<P> {
    /// A name in a directory of /proc.
    pub(crate) fn proc_lookup(&self, directory: ProcNode, name: &[u8]) -> Result<ProcNode> {
        let found = match directory {
            ProcNode::Root => match name {
                b"self" => Some(ProcNode::SelfLink),
                b"sys" => Some(ProcNode::Sys),
                _ => Global::by_name(name).map(ProcNode::Global).or_else(|| {
                    let pid = Pid(number(name)?);
                    self.processes.contains_key(&pid).then_some(ProcNode::Process(pid))
                }),
            },
            ProcNode::Sys => match name {
                b"kernel" => Some(ProcNode::SysKernel),
                b"vm" => Some(ProcNode::SysVm),
                _ => None,
            },
            ProcNode::SysKernel | ProcNode::SysVm => {
                Sysctl::by_name(name).filter(|value| value.directory() == directory).map(ProcNode::Sysctl)
            }
            ProcNode::Process(pid) if name == b"fd" => Some(ProcNode::Descriptors(pid)),
            ProcNode::Process(pid) => Entry::by_name(name).map(|entry| ProcNode::Entry(pid, entry)),
            ProcNode::Descriptors(pid) => {
                number(name).and_then(|fd| self.descriptor_of(pid, fd).map(|_| ProcNode::Descriptor(pid, fd)))
            }
            _ => return Err(Errno::ENOTDIR),
        };
        found.ok_or(Errno::ENOENT)
    }

    /// What a node of /proc is to a walk by `tid`.
    pub(crate) fn proc_step(&self, tid: Tid, node: ProcNode) -> Step {
        match node {
            ProcNode::SelfLink => {
                let pid = self.task(tid).process;
                Step::Link(Link::Path(pid.0.to_string().into_bytes()))
            }
            ProcNode::Entry(pid, Entry::Exe) => {
                let file = self.processes.get(&pid).and_then(|process| process.program.file);
                let path = self.processes.get(&pid).map(|process| process.program.path.clone());
                match (file, path) {
                    // By its path, so that readlink shows the name that was executed.
                    (Some(_), Some(path)) => Step::Link(Link::Path(path)),
                    _ => Step::Leaf,
                }
            }
            ProcNode::Entry(pid, Entry::Cwd) => self.place_link(pid, |places| places.cwd),
            ProcNode::Entry(pid, Entry::Root) => self.place_link(pid, |places| places.root),
            ProcNode::Descriptor(pid, fd) => match self.descriptor_of(pid, fd) {
                Some(file) => Step::Link(Link::Node(self.node_of(file))),
                None => Step::Leaf,
            },
            node if node.mode() & g::S_IFMT == g::S_IFDIR => Step::Directory,
            _ => Step::Leaf,
        }
    }

    fn place_link(&self, pid: Pid, choose: impl Fn(&crate::process::Places) -> Node) -> Step {
        match self.any_task_of(pid) {
            Some(tid) => Step::Link(Link::Node(choose(&self.places[self.task(tid).places]))),
            None => Step::Leaf,
        }
    }

    /// A task of the process, while it has one.
    pub(crate) fn any_task_of(&self, pid: Pid) -> Option<Tid> {
        self.processes.get(&pid).and_then(|process| process.threads.first().copied())
    }

    fn descriptor_of(&self, pid: Pid, fd: u32) -> Option<crate::arena::Id<crate::file::OpenFile>> {
        let tid = self.any_task_of(pid)?;
        self.file_of(tid, Fd(i32::try_from(fd).ok()?)).ok()
    }

    /// The names in a directory of /proc, in order, without `.` and `..`.
    pub(crate) fn proc_entries(&self, directory: ProcNode) -> Vec<(Vec<u8>, ProcNode)> {
        let mut entries = Vec::new();
        match directory {
            ProcNode::Root => {
                entries.push((b"self".to_vec(), ProcNode::SelfLink));
                entries.push((b"sys".to_vec(), ProcNode::Sys));
                entries.extend(
                    Global::ALL
                        .iter()
                        .map(|&(file, name)| (name.as_bytes().to_vec(), ProcNode::Global(file))),
                );
                entries.extend(
                    self.processes
                        .keys()
                        .map(|&pid| (pid.0.to_string().into_bytes(), ProcNode::Process(pid))),
                );
            }
            ProcNode::Sys => {
                entries.push((b"kernel".to_vec(), ProcNode::SysKernel));
                entries.push((b"vm".to_vec(), ProcNode::SysVm));
            }
            ProcNode::SysKernel | ProcNode::SysVm => {
                let here = Sysctl::ALL.iter().filter(|(value, _)| value.directory() == directory);
                entries
                    .extend(here.map(|&(value, name)| (name.as_bytes().to_vec(), ProcNode::Sysctl(value))));
            }
            ProcNode::Process(pid) => {
                entries.push((b"fd".to_vec(), ProcNode::Descriptors(pid)));
                entries.extend(
                    Entry::ALL
                        .iter()
                        .map(|&(entry, name)| (name.as_bytes().to_vec(), ProcNode::Entry(pid, entry))),
                );
            }
            ProcNode::Descriptors(pid) => {
                if let Some(tid) = self.any_task_of(pid) {
                    let table = &self.tables[self.task(tid).files];
                    entries.extend(
                        table
                            .descriptors()
                            .map(|fd| (fd.to_string().into_bytes(), ProcNode::Descriptor(pid, fd))),
                    );
                }
            }
            _ => {}
        }
        entries
    }
}

/// A decimal number without sign or leading zeros.
fn number(name: &[u8]) -> Option<u32> {
    let text = core::str::from_utf8(name).ok()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}
