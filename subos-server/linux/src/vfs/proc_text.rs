//! What the files of /proc say. The text is made when the file is opened.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::ProcNode;
use super::proc::{Entry, Global, Sysctl};
use crate::limits::{MAX_AREAS, MAX_PID, PAGE_U64};
use crate::linux::Linux;
use crate::memory::address::UserPtr;
use crate::memory::areas::{Backing, Role, Sharing};
use crate::platform::{Platform, Prot};
use crate::process::image::CLOCK_TICKS;
use crate::process::{Pid, State, Stop, Tid};

/// Kernel release that programs are told.
pub(crate) const RELEASE: &str = "6.1.0-archipelago";
/// The host name, always the same: there is no network to name it in.
pub(crate) const HOSTNAME: &str = "archipelago";
/// Nanoseconds in one clock tick.
const TICK: u64 = 1_000_000_000 / CLOCK_TICKS;

impl<P: Platform> Linux<P> {
    /// The text of a file of /proc; `None` when the node is not a file.
    pub(crate) fn proc_text(&mut self, tid: Tid, node: ProcNode) -> Option<Vec<u8>> {
        let text = match node {
            ProcNode::Global(file) => self.global_text(file),
            ProcNode::Sysctl(value) => sysctl_text(value),
            ProcNode::Entry(_, Entry::Mounts) => self.global_text(Global::Mounts),
            ProcNode::Entry(pid, entry) => return self.process_text(pid, entry),
            _ => return None,
        };
        let _ = tid;
        Some(text.into_bytes())
    }

    fn global_text(&self, file: Global) -> String {
        let now = self.machine.platform.now();
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = match file {
            Global::CpuInfo => (0..self.cores).try_for_each(|core| {
                writeln!(
                    text,
                    "processor\t: {core}\nvendor_id\t: Archipelago\nmodel name\t: x86_64\ncpu cores\t: {}\n\
                     flags\t\t: fpu tsc cx8 cmov mmx fxsr sse sse2 syscall nx lm\n",
                    self.cores
                )
            }),
            Global::Filesystems => write!(text, "nodev\ttmpfs\nnodev\tproc\n"),
            Global::LoadAvg => {
                let running =
                    self.tasks.values().filter(|task| !matches!(task.state, State::Waiting(_))).count();
                writeln!(text, "0.00 0.00 0.00 {running}/{} {}", self.tasks.len(), self.last_pid)
            }
            Global::MemInfo => {
                let counts = self.pool();
                let kib = |frames: u32| u64::from(frames) * (PAGE_U64 / 1024);
                writeln!(
                    text,
                    "MemTotal:       {:8} kB\nMemFree:        {:8} kB\nMemAvailable:   {:8} kB\n\
                     Buffers:               0 kB\nCached:         {:8} kB\nSwapTotal:             0 kB\n\
                     SwapFree:              0 kB",
                    kib(counts.general + counts.cache),
                    kib(counts.general_free + counts.cache_free),
                    kib(counts.general_free + counts.cache),
                    kib(counts.cache - counts.cache_free),
                )
            }
            Global::Mounts => {
                write!(text, "tmpfs / tmpfs rw,relatime 0 0\nproc /proc proc rw,nosuid,nodev,noexec 0 0\n")
            }
            Global::Stat => {
                let user: u64 = self.processes.values().map(|process| process.times.user / TICK).sum();
                let idle = (now / TICK * u64::from(self.cores)).saturating_sub(user);
                let line = |text: &mut String, name: &str, user: u64, idle: u64| {
                    writeln!(text, "{name} {user} 0 0 {idle} 0 0 0 0 0 0")
                };
                let mut result = line(&mut text, "cpu ", user, idle);
                for core in 0..self.cores {
                    let name = alloc::format!("cpu{core}");
                    let cores = u64::from(self.cores);
                    result = result.and(line(&mut text, &name, user / cores, idle / cores));
                }
                result.and(writeln!(
                    text,
                    "intr 0\nctxt 0\nbtime {}\nprocesses {}\nprocs_running 1\nprocs_blocked 0",
                    self.machine.platform.epoch() / 1_000_000_000,
                    self.report.processes
                ))
            }
            Global::Uptime => {
                let (seconds, hundredths) = (now / 1_000_000_000, now / 10_000_000 % 100);
                writeln!(text, "{seconds}.{hundredths:02} 0.00")
            }
            Global::Version => writeln!(text, "Linux version {RELEASE} (archipelago) #1 SMP"),
            Global::CmdLine => writeln!(text),
        };
        text
    }

    fn process_text(&mut self, pid: Pid, entry: Entry) -> Option<Vec<u8>> {
        let task = self.any_task_of(pid);
        let text = match entry {
            Entry::CmdLine | Entry::Environ => {
                let layout = self.memories[self.task(task?).memory].layout;
                let (start, end) =
                    if entry == Entry::CmdLine { layout.arguments } else { layout.environment };
                let length = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
                let mut bytes = alloc::vec![0; length.min(crate::limits::MAX_ARG_BYTES)];
                // A program may have unmapped its own stack; then there is nothing to show.
                let read = self.copy_in(task?, UserPtr(start), &mut bytes);
                return Some(if read.is_ok() { bytes } else { Vec::new() });
            }
            Entry::Comm => alloc::format!("{}\n", self.name_text(task)),
            Entry::Maps => self.maps_text(task)?,
            Entry::Stat => self.stat_text(pid, task),
            Entry::Statm => {
                let (size, resident) = self.sizes(task);
                alloc::format!("{size} {resident} 0 0 0 {resident} 0\n")
            }
            Entry::Status => self.status_text(pid, task),
            Entry::Mounts | Entry::Cwd | Entry::Exe | Entry::Root => return None,
        };
        Some(text.into_bytes())
    }

    fn name_text(&self, task: Option<Tid>) -> String {
        let Some(tid) = task else { return String::new() };
        let name = &self.task(tid).name;
        let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        String::from_utf8_lossy(&name[..length]).into_owned()
    }

    /// Pages mapped and pages that exist.
    fn sizes(&self, task: Option<Tid>) -> (u64, u64) {
        task.map_or((0, 0), |tid| {
            let memory = &self.memories[self.task(tid).memory];
            (memory.areas.pages(), memory.resident() as u64)
        })
    }

    /// The state letter of proc(5).
    fn state_letter(&self, pid: Pid, task: Option<Tid>) -> char {
        let stopped = self.processes.get(&pid).is_some_and(|process| process.stop != Stop::Going);
        match task.map(|tid| &self.task(tid).state) {
            None => 'Z',
            Some(_) if stopped => 'T',
            Some(State::Waiting(_)) => 'S',
            Some(_) => 'R',
        }
    }

    fn stat_text(&self, pid: Pid, task: Option<Tid>) -> String {
        let Some(process) = self.processes.get(&pid) else { return String::new() };
        let (size, resident) = self.sizes(task);
        let letter = self.state_letter(pid, task);
        let mut text = String::new();
        let _ = write!(
            text,
            "{} ({}) {letter} {} {} {} 0 -1 4194304 0 0 0 0 {} 0 {} 0 20 0 {} 0 {} {} {resident} {}",
            pid.0,
            self.name_text(task),
            process.parent.0,
            process.group.0,
            process.session.0,
            process.times.user / TICK,
            process.times.children_user / TICK,
            process.threads.len(),
            process.start / TICK,
            size * PAGE_U64,
            u64::MAX,
        );
        // Addresses, signals and the rest up to field 52 are not told.
        for _ in 26..=52 {
            text.push_str(" 0");
        }
        text.push('\n');
        text
    }

    fn status_text(&self, pid: Pid, task: Option<Tid>) -> String {
        let Some(process) = self.processes.get(&pid) else { return String::new() };
        let (size, resident) = self.sizes(task);
        let ids = |ids: [u32; 3]| alloc::format!("{}\t{}\t{}\t{}", ids[0], ids[1], ids[2], ids[1]);
        let word = match self.state_letter(pid, task) {
            'R' => "R (running)",
            'S' => "S (sleeping)",
            'T' => "T (stopped)",
            _ => "Z (zombie)",
        };
        let blocked = task.map_or(0, |tid| self.task(tid).blocked.0);
        let pending = task.map_or(0, |tid| self.task(tid).pending.set().0);
        alloc::format!(
            "Name:\t{}\nUmask:\t0022\nState:\t{word}\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{}\nTracerPid:\t0\n\
             Uid:\t{}\nGid:\t{}\nFDSize:\t64\nGroups:\t\nVmSize:\t{:8} kB\nVmRSS:\t{:8} kB\nThreads:\t{}\n\
             SigPnd:\t{pending:016x}\nShdPnd:\t{:016x}\nSigBlk:\t{blocked:016x}\nNoNewPrivs:\t0\n\
             Cpus_allowed:\t{:x}\n",
            self.name_text(task),
            process.parent.0,
            ids(process.credentials.uid),
            ids(process.credentials.gid),
            size * (PAGE_U64 / 1024),
            resident * (PAGE_U64 / 1024),
            process.threads.len(),
            process.pending.set().0,
            (1u128 << self.cores.min(64)) - 1,
            pid = pid.0,
        )
    }

    fn maps_text(&self, task: Option<Tid>) -> Option<String> {
        let memory = &self.memories[self.task(task?).memory];
        let mut text = String::new();
        for (range, area) in memory.areas.iter() {
            let flag = |prot, letter| if area.prot.contains(prot) { letter } else { '-' };
            let (ino, offset) = match area.backing {
                Backing::Anonymous => (0, 0),
                Backing::File { ino, page } => (ino.number(), page * PAGE_U64),
            };
            let name = match (area.role, area.backing) {
                (Role::Heap, _) => b"[heap]".to_vec(),
                (Role::Stack, _) => b"[stack]".to_vec(),
                (_, Backing::File { ino, .. }) => self.path_of(super::Node::Inode(ino)),
                _ => Vec::new(),
            };
            let _ = writeln!(
                text,
                "{:08x}-{:08x} {}{}{}{} {offset:08x} 00:01 {ino:<8} {}",
                range.start * PAGE_U64,
                range.end * PAGE_U64,
                flag(Prot::READ, 'r'),
                flag(Prot::WRITE, 'w'),
                flag(Prot::EXECUTE, 'x'),
                if area.sharing == Sharing::Shared { 's' } else { 'p' },
                String::from_utf8_lossy(&name),
            );
        }
        Some(text)
    }
}

fn sysctl_text(value: Sysctl) -> String {
    match value {
        Sysctl::OsRelease => alloc::format!("{RELEASE}\n"),
        Sysctl::OsType => String::from("Linux\n"),
        Sysctl::Hostname => alloc::format!("{HOSTNAME}\n"),
        Sysctl::PidMax => alloc::format!("{MAX_PID}\n"),
        Sysctl::NgroupsMax => String::from("65536\n"),
        Sysctl::RandomizeVaSpace => String::from("0\n"),
        Sysctl::OvercommitMemory => String::from("1\n"),
        Sysctl::MaxMapCount => alloc::format!("{MAX_AREAS}\n"),
    }
}
