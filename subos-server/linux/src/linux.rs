//! The personality as one value: what it holds, and how its parts are reached.
//!
//! Executors share a [`Linux`] behind one lock. Each loops: under the lock, [`Linux::trapped`] with
//! what its guest did and [`Linux::next`] for what to run; without the lock, the guest. Nothing in
//! here waits, and nothing depends on which executor calls.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::arena::Arena;
use crate::error::{Errno, Result};
use crate::file::{FdTable, OpenFile};
use crate::limits::{MAX_OPEN_FILES, MAX_PIPES, MAX_TASKS};
use crate::memory::address::UserPtr;
use crate::memory::frames::{FramePool, PoolCounts, PoolUse};
use crate::memory::{Machine, Memory};
use crate::pipe::Pipe;
use crate::platform::{ExecutorId, Frame, Platform};
use crate::process::{ExitStatus, Pid, Places, Process, Task, Tid};
use crate::report::Report;
use crate::scheduler::Scheduler;
use crate::signal::Handlers;
use crate::vfs::{Ino, Inodes};

/// A Linux system: processes, files and memory.
pub struct Linux<P> {
    pub(crate) machine: Machine<P>,
    pub(crate) inodes: Inodes,
    pub(crate) memories: Arena<Memory>,
    pub(crate) files: Arena<OpenFile>,
    pub(crate) pipes: Arena<Pipe>,
    pub(crate) tables: Arena<FdTable>,
    pub(crate) places: Arena<Places>,
    pub(crate) handlers: Arena<Handlers>,
    pub(crate) tasks: BTreeMap<Tid, Task>,
    pub(crate) processes: BTreeMap<Pid, Process>,
    pub(crate) scheduler: Scheduler,
    pub(crate) root: Ino,
    pub(crate) proc_mount: Ino,
    pub(crate) last_pid: u32,
    pub(crate) cores: u32,
    pub(crate) first: Option<(Pid, Option<ExitStatus>)>,
    pub(crate) report: Report,
}

impl<P: Platform> Linux<P> {
    /// An empty system on a platform: a root directory, /dev, /proc, /tmp and /etc.
    pub fn new(platform: P) -> Self {
        let machine = Machine { platform, frames: FramePool::new(), records: 0 };
        let mut inodes = Inodes::new();
        let (root, proc_mount) = crate::vfs::base_tree(&mut inodes, machine.platform.epoch());
        Self {
            machine,
            inodes,
            memories: Arena::new(2 * MAX_TASKS),
            files: Arena::new(MAX_OPEN_FILES),
            pipes: Arena::new(MAX_PIPES),
            tables: Arena::new(MAX_TASKS),
            places: Arena::new(MAX_TASKS),
            handlers: Arena::new(MAX_TASKS),
            tasks: BTreeMap::new(),
            processes: BTreeMap::new(),
            scheduler: Scheduler::default(),
            root,
            proc_mount,
            last_pid: Pid::SERVER.0,
            cores: 1,
            first: None,
            report: Report::default(),
        }
    }

    /// Adds frames that the platform has from now on.
    pub fn add_pool(&mut self, range: Range<u32>, pool: PoolUse) {
        self.machine.frames.add(range, pool);
    }

    /// Gives up the frames of `range`: clean copies are dropped and come back from the bundle when
    /// they are needed, everything else moves to other frames. Afterwards nothing refers to them.
    ///
    /// # Errors
    /// `ENOMEM` when what must move has nowhere to go; then part of the range is still in use.
    pub fn release_pool(&mut self, range: &Range<u32>) -> Result<()> {
        // First, so that nothing moves into the range.
        self.machine.frames.retire(range);
        let mut moved: BTreeMap<Frame, Frame> = BTreeMap::new();
        for (_, memory) in self.memories.iter_mut() {
            memory.evacuate(range, &mut moved, &mut self.machine)?;
        }
        for body in self.inodes.bodies_mut() {
            body.evacuate(range, &mut moved, &mut self.machine)?;
        }
        if self.machine.frames.retire(range) == 0 { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// The memory behind the frames of `range` was taken without asking: none of them is given out again. Who shows
    /// one learns of it when it is used next ([`Platform::lost`]).
    pub fn lose_pool(&mut self, range: &Range<u32>) {
        // Those that are held go when their holders let go of them.
        let _ = self.machine.frames.retire(range);
    }

    /// Counts of the frame pool.
    #[must_use]
    pub fn pool(&self) -> PoolCounts {
        self.machine.frames.counts()
    }

    /// Says how many cores programs may count on; what `nproc` shows.
    pub fn set_cores(&mut self, cores: u32) {
        self.cores = cores.max(1);
    }

    /// What has been done and what was missing.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// How the first program ended, once no process is left.
    #[must_use]
    pub fn ended(&self) -> Option<ExitStatus> {
        self.first.and_then(|(_, exit)| exit).filter(|_| self.tasks.is_empty())
    }

    /// What each executor has done, by its number.
    pub fn executor_counts(&self) -> Vec<crate::scheduler::ExecutorCounts> {
        self.scheduler.executors.iter().map(|executor| executor.counts).collect()
    }

    /// The platform.
    pub fn platform(&self) -> &P {
        &self.machine.platform
    }

    /// The platform, to change.
    pub fn platform_mut(&mut self) -> &mut P {
        &mut self.machine.platform
    }

    /// An executor to wake, because there is work that it could do. Each is named once.
    pub fn take_kick(&mut self) -> Option<ExecutorId> {
        self.scheduler.take_idle()
    }

    /// The task; it exists, because ids of tasks are only kept by what ends with them.
    pub(crate) fn task(&self, tid: Tid) -> &Task {
        self.tasks.get(&tid).expect("a task that is being worked on exists")
    }

    /// The task, to change.
    pub(crate) fn task_mut(&mut self, tid: Tid) -> &mut Task {
        self.tasks.get_mut(&tid).expect("a task that is being worked on exists")
    }

    /// The process.
    pub(crate) fn process(&self, pid: Pid) -> &Process {
        self.processes.get(&pid).expect("a process with tasks exists")
    }

    /// The process, to change.
    pub(crate) fn process_mut(&mut self, pid: Pid) -> &mut Process {
        self.processes.get_mut(&pid).expect("a process with tasks exists")
    }

    /// Reads from a task's memory.
    pub(crate) fn copy_in(&mut self, tid: Tid, from: UserPtr, bytes: &mut [u8]) -> Result<()> {
        let memory = self.task(tid).memory;
        self.memories[memory].read(from, bytes, &mut self.machine, &mut self.inodes)
    }

    /// Writes to a task's memory.
    pub(crate) fn copy_out(&mut self, tid: Tid, to: UserPtr, bytes: &[u8]) -> Result<()> {
        let memory = self.task(tid).memory;
        self.memories[memory].write(to, bytes, &mut self.machine, &mut self.inodes)
    }

    /// Reads a value from a task's memory.
    pub(crate) fn get<T: FromBytes + IntoBytes>(&mut self, tid: Tid, from: UserPtr) -> Result<T> {
        let mut value = T::new_zeroed();
        self.copy_in(tid, from, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Writes a value to a task's memory.
    pub(crate) fn put<T: IntoBytes + Immutable>(&mut self, tid: Tid, to: UserPtr, value: &T) -> Result<()> {
        self.copy_out(tid, to, value.as_bytes())
    }

    /// Reads a string from a task's memory.
    pub(crate) fn string(
        &mut self,
        tid: Tid,
        from: UserPtr,
        limit: usize,
        too_long: Errno,
    ) -> Result<Vec<u8>> {
        let memory = self.task(tid).memory;
        self.memories[memory].read_string(from, limit, too_long, &mut self.machine, &mut self.inodes)
    }
}
