//! Tasks and processes: data of the server, not threads of the kernel.
//!
//! A [`Task`] is what Linux calls a thread: registers, a signal mask and references to what it may
//! share with others. A [`Process`] is a thread group: its identity towards others.

pub(crate) mod clone;
pub(crate) mod elf;
pub(crate) mod exec;
pub(crate) mod exit;
pub(crate) mod image;
pub(crate) mod wait;

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::arena::Id;
use crate::file::FdTable;
use crate::memory::Memory;
use crate::memory::address::UserPtr;
use crate::outcome::Wait;
use crate::registers::Context;
use crate::signal::{Handlers, Pending, SigSet, Signal};
use crate::vfs::{Ino, Node};

/// Names a task; the first task of a process has the process's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tid(pub u32);

/// Names a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pid(pub u32);

impl Pid {
    /// The server itself, which adopts orphans and reaps them.
    pub(crate) const SERVER: Self = Self(1);

    /// The process's first task.
    pub(crate) const fn leader(self) -> Tid {
        Tid(self.0)
    }
}

/// What a task is doing.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// In the run queue, or its executor is about to go on with it.
    Ready,
    /// An executor runs its guest.
    Running,
    /// Its call waits.
    Waiting(Wait),
    /// Its process is stopped.
    Stopped,
}

/// A system call that is not finished: made, or waiting to be made again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: u32,
    pub(crate) arguments: [u64; 6],
    /// When a call with a timeout gives up; set when it first waits.
    pub(crate) deadline: Option<u64>,
    /// What the call has done so far: bytes written, or the child it made.
    pub(crate) progress: u64,
    /// The descriptor that a call has opened which still waits for a named pipe's other end.
    pub(crate) opened: Option<crate::file::Fd>,
}

/// An alternative signal stack (sigaltstack(2)).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AltStack {
    pub(crate) base: u64,
    pub(crate) size: u64,
    pub(crate) flags: u32,
}

/// How a call ended that a signal cut short, until it is known whether a handler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupted {
    Restartable,
    Always,
}

/// A thread of a program.
pub(crate) struct Task {
    pub(crate) process: Pid,
    pub(crate) context: Box<Context>,
    pub(crate) state: State,
    pub(crate) call: Option<Call>,
    pub(crate) interrupted: Option<Interrupted>,
    /// It must end before it runs again.
    pub(crate) doomed: bool,
    pub(crate) memory: Id<Memory>,
    pub(crate) files: Id<FdTable>,
    pub(crate) places: Id<Places>,
    pub(crate) handlers: Id<Handlers>,
    pub(crate) blocked: SigSet,
    /// The mask to go back to after the handler that ends a sigsuspend, ppoll or pselect.
    pub(crate) saved_mask: Option<SigSet>,
    pub(crate) pending: Pending,
    pub(crate) alt_stack: AltStack,
    /// Cleared, and its waiters woken, when the task ends (set_tid_address(2)).
    pub(crate) clear_tid: UserPtr,
    pub(crate) robust_list: UserPtr,
    pub(crate) name: [u8; 16],
}

/// Where a process's paths start, and its file-creation mask.
pub(crate) struct Places {
    pub(crate) root: Node,
    pub(crate) cwd: Node,
    pub(crate) umask: u32,
}

/// How a process ended, as wait4 encodes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// By `exit`, with this code.
    Exited(u8),
    /// By this signal.
    Killed(u8),
}

impl ExitStatus {
    /// The status word of wait4(2).
    #[must_use]
    pub const fn to_word(self) -> u32 {
        match self {
            Self::Exited(code) => (code as u32) << 8,
            Self::Killed(signal) => signal as u32,
        }
    }

    /// What a shell would show as `$?`.
    #[must_use]
    pub const fn shell_code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => 128u8.wrapping_add(signal),
        }
    }
}

/// Whether a process is stopped by a signal, and what its parent has been told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Going,
    /// Stopped by this signal; the parent has not asked yet.
    Stopped(Signal),
    /// Stopped by this signal, and the parent knows.
    Told(Signal),
}

/// User and group identities.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials {
    pub(crate) uid: [u32; 3],
    pub(crate) gid: [u32; 3],
    pub(crate) groups: Vec<u32>,
}

/// What the process runs, for /proc.
#[derive(Clone, Default)]
pub(crate) struct Program {
    pub(crate) path: Vec<u8>,
    pub(crate) file: Option<Ino>,
}

/// Processor time in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) user: u64,
    pub(crate) children_user: u64,
}

/// A soft and a hard limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

/// Resource limits, by `RLIMIT_*`.
pub(crate) type Limits = [Limit; 16];

/// A thread group.
pub(crate) struct Process {
    pub(crate) parent: Pid,
    pub(crate) group: Pid,
    pub(crate) session: Pid,
    pub(crate) threads: Vec<Tid>,
    /// Set when the process is to end; a zombie when no thread is left.
    pub(crate) exit: Option<ExitStatus>,
    pub(crate) stop: Stop,
    /// SIGCONT came and the parent has not asked yet.
    pub(crate) continued: bool,
    pub(crate) pending: Pending,
    pub(crate) exit_signal: Option<Signal>,
    pub(crate) limits: Limits,
    pub(crate) credentials: Credentials,
    pub(crate) program: Program,
    pub(crate) times: Times,
    pub(crate) start: u64,
    /// The task that made this process by vfork and waits for it.
    pub(crate) vfork_parent: Option<Tid>,
    pub(crate) alarm: Option<Alarm>,
    pub(crate) executed: bool,
    /// A bit for each executor that it has run on.
    pub(crate) ran_on: u64,
}

/// The real-time interval timer (setitimer(2), alarm(2)).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alarm {
    pub(crate) at: u64,
    pub(crate) interval: u64,
}

impl Process {
    /// Ended, and waiting for its parent to ask.
    pub(crate) fn is_zombie(&self) -> bool {
        self.threads.is_empty()
    }
}

/// The limits of a fresh system.
pub(crate) fn default_limits() -> Limits {
    use linux_raw_sys::general as g;
    let unlimited = Limit { soft: u64::MAX, hard: u64::MAX };
    let mut limits = [unlimited; 16];
    limits[g::RLIMIT_STACK as usize].soft = crate::limits::STACK_MAX;
    limits[g::RLIMIT_CORE as usize].soft = 0;
    let files = crate::limits::MAX_FDS as u64;
    limits[g::RLIMIT_NOFILE as usize] = Limit { soft: files, hard: files };
    let tasks = crate::limits::MAX_TASKS as u64;
    limits[g::RLIMIT_NPROC as usize] = Limit { soft: tasks, hard: tasks };
    limits
}
