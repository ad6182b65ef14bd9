//! What a system call means for its task: a value to be acted upon in one place.

use alloc::vec::Vec;

use crate::arena::Id;
use crate::error::Result;
use crate::file::OpenFile;
use crate::pipe::Pipe;
use crate::process::{Pid, Tid};
use crate::vfs::Ino;

/// What a task can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WaitKey {
    /// Bytes in a pipe, or the end of its writers.
    Readable(Id<Pipe>),
    /// Room in a pipe, or the end of its readers.
    Writable(Id<Pipe>),
    /// Another end of a named pipe.
    Fifo(Ino),
    /// An event counter that changed.
    Event(Id<OpenFile>),
    /// A child of this process that changed state.
    Child(Pid),
    /// A child made by vfork that executed a program or ended.
    Vfork(Pid),
    /// The end of this process's other threads.
    Threads(Pid),
    /// A word of memory: of one program, or of a shared file.
    Futex(FutexKey),
    /// A signal for this task. Every wait that signals interrupt has it implicitly.
    Signal(Tid),
    /// Room in the console.
    Console,
}

/// Which word a futex call means, whatever it is mapped at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FutexKey {
    Private(Id<crate::memory::Memory>, u64),
    Shared(Ino, u64),
}

/// What a signal does to a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnSignal {
    /// The call is made again if the handler was set with `SA_RESTART`; else it answers `EINTR`.
    Restart,
    /// The call answers `EINTR` (signal(7) lists such calls).
    Interrupt,
    /// Nothing; only the end of the task ends the wait.
    Nothing,
}

/// Something to wait for.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) keys: Vec<WaitKey>,
    /// When to try again in any case, on the platform's clock.
    pub(crate) deadline: Option<u64>,
    pub(crate) on_signal: OnSignal,
}

impl Wait {
    /// A wait for one thing that signals interrupt and `SA_RESTART` restarts.
    pub(crate) fn on(key: WaitKey) -> Self {
        Self { keys: alloc::vec![key], deadline: None, on_signal: OnSignal::Restart }
    }
}

/// How a call went that did not fail.
#[derive(Debug)]
#[must_use = "the task does not go on before this is acted upon"]
pub(crate) enum Outcome {
    /// It is done and answers this.
    Value(u64),
    /// It is made again, from its registers, when the wait is over.
    Wait(Wait),
    /// The registers are what they should be, or the task is gone.
    Settled,
}

/// What every call's handler answers.
pub(crate) type Reply = Result<Outcome>;

/// A call that is done and answers zero.
pub(crate) const DONE: Reply = Ok(Outcome::Value(0));

/// A call that is done and answers a count.
pub(crate) const fn count(value: usize) -> Reply {
    Ok(Outcome::Value(value as u64))
}
