//! Making tasks: fork, vfork, clone, threads, and the first process of all.

use alloc::boxed::Box;
use alloc::vec::Vec;
use linux_raw_sys::general as g;

use super::{
    AltStack, Credentials, Pid, Places, Process, Program, State, Stop, Task, Tid, Times, default_limits,
};
use crate::error::{Errno, Result};
use crate::file::{FdTable, OpenFile};
use crate::limits::{MAX_PID, MAX_TASKS};
use crate::linux::Linux;
use crate::memory::Memory;
use crate::memory::address::UserPtr;
use crate::outcome::{OnSignal, Outcome, Reply, Wait, WaitKey};
use crate::platform::Platform;
use crate::registers::Context;
use crate::signal::{Handlers, Pending, SigSet, Signal};
use crate::vfs::Node;

/// What a clone is to be, from any of the calls that make one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) flags: u64,
    pub(crate) exit_signal: u64,
    /// The new stack pointer; null keeps the parent's.
    pub(crate) stack: UserPtr,
    pub(crate) parent_tid: UserPtr,
    pub(crate) child_tid: UserPtr,
    pub(crate) tls: u64,
}

impl Plan {
    const fn has(&self, flag: u32) -> bool {
        self.flags & flag as u64 != 0
    }

    /// Refuses combinations that Linux refuses, and namespaces, which do not exist here.
    fn check(&self) -> Result<()> {
        let namespaces = g::CLONE_NEWNS
            | g::CLONE_NEWUTS
            | g::CLONE_NEWIPC
            | g::CLONE_NEWUSER
            | g::CLONE_NEWPID
            | g::CLONE_NEWNET
            | g::CLONE_NEWCGROUP;
        let needs = |flag, other| self.has(flag) && !self.has(other);
        if needs(g::CLONE_SIGHAND, g::CLONE_VM) || needs(g::CLONE_THREAD, g::CLONE_SIGHAND) {
            return Err(Errno::EINVAL);
        }
        if self.flags & u64::from(namespaces) != 0 || self.has(g::CLONE_PIDFD) {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }
}

/// The parts of a new task that are shared with, or copied from, its maker.
struct Parts {
    memory: crate::arena::Id<Memory>,
    files: crate::arena::Id<FdTable>,
    places: crate::arena::Id<Places>,
    handlers: crate::arena::Id<Handlers>,
}

impl<P: Platform> Linux<P> {
    /// `clone` and its kin.
    pub(crate) fn clone_task(&mut self, tid: Tid, plan: Plan) -> Reply {
        // Made again after the wait for a vfork's child?
        if let Some(call) = self.task(tid).call
            && call.progress != 0
        {
            return self.finish_vfork(call.progress);
        }
        plan.check()?;
        let exit_signal = if plan.exit_signal == 0 { None } else { Some(Signal::new(plan.exit_signal)?) };
        if self.tasks.len() >= MAX_TASKS {
            return Err(Errno::EAGAIN);
        }
        let child = self.new_tid().ok_or(Errno::EAGAIN)?;
        let parts = self.make_parts(tid, &plan)?;
        let parent = self.task(tid);
        let pid = parent.process;
        let mut context = parent.context.clone();
        context.registers.rax = 0;
        if !plan.stack.is_null() {
            context.registers.rsp = plan.stack.0;
        }
        if plan.has(g::CLONE_SETTLS) {
            context.registers.fs_base = plan.tls;
        }
        // A vfork child runs on its parent's alternative stack as on its memory; threads have none.
        let keeps_alt = !plan.has(g::CLONE_VM) || plan.has(g::CLONE_VFORK);
        let thread = plan.has(g::CLONE_THREAD);
        let child_process = if thread { pid } else { Pid(child.0) };
        let task = Task {
            process: child_process,
            context,
            state: State::Ready,
            call: None,
            interrupted: None,
            doomed: false,
            memory: parts.memory,
            files: parts.files,
            places: parts.places,
            handlers: parts.handlers,
            blocked: parent.blocked,
            saved_mask: None,
            pending: Pending::default(),
            alt_stack: if keeps_alt { parent.alt_stack } else { AltStack::default() },
            clear_tid: if plan.has(g::CLONE_CHILD_CLEARTID) { plan.child_tid } else { UserPtr::NULL },
            robust_list: UserPtr::NULL,
            name: parent.name,
        };
        self.tasks.insert(child, task);
        if thread {
            self.process_mut(pid).threads.push(child);
        } else {
            self.add_process(pid, child_process, exit_signal, &plan, tid);
        }
        // As on Linux these are best effort: the child exists whether or not they can be written.
        if plan.has(g::CLONE_PARENT_SETTID) {
            let _ = self.put(tid, plan.parent_tid, &child.0);
        }
        if plan.has(g::CLONE_CHILD_SETTID) {
            let _ = self.put(child, plan.child_tid, &child.0);
        }
        self.scheduler.push(child);
        if plan.has(g::CLONE_VFORK) && !thread {
            if let Some(call) = &mut self.task_mut(tid).call {
                call.progress = u64::from(child.0);
            }
            return self.finish_vfork(u64::from(child.0));
        }
        Ok(Outcome::Value(u64::from(child.0)))
    }

    /// Waits until the child of a vfork has left its parent's memory.
    fn finish_vfork(&self, child: u64) -> Reply {
        let pid = Pid(u32::try_from(child).unwrap_or(0));
        if self.processes.get(&pid).is_some_and(|process| process.vfork_parent.is_some()) {
            let keys = alloc::vec![WaitKey::Vfork(pid)];
            return Ok(Outcome::Wait(Wait { keys, deadline: None, on_signal: OnSignal::Nothing }));
        }
        Ok(Outcome::Value(child))
    }

    /// Shares or copies what the task is made of; on failure nothing has changed.
    fn make_parts(&mut self, tid: Tid, plan: &Plan) -> Result<Parts> {
        let task = self.task(tid);
        let (memory, files, places, handlers) = (task.memory, task.files, task.places, task.handlers);
        // The arenas are as large as there can be tasks, so only the memory can be refused.
        let memory = if plan.has(g::CLONE_VM) {
            self.memories.retain(memory);
            memory
        } else {
            self.fork_memory(memory)?
        };
        let files = if plan.has(g::CLONE_FILES) {
            self.tables.retain(files);
            files
        } else {
            let copy = self.tables[files].clone();
            for file in copy.open_files() {
                self.files.retain(file);
            }
            self.tables.insert(copy).ok_or(Errno::EAGAIN)?
        };
        let places = if plan.has(g::CLONE_FS) {
            self.places.retain(places);
            places
        } else {
            let Places { root, cwd, umask } = self.places[places];
            self.retain_node(root);
            self.retain_node(cwd);
            self.places.insert(Places { root, cwd, umask }).ok_or(Errno::EAGAIN)?
        };
        let handlers = if plan.has(g::CLONE_SIGHAND) {
            self.handlers.retain(handlers);
            handlers
        } else {
            let copy = self.handlers[handlers].clone();
            self.handlers.insert(copy).ok_or(Errno::EAGAIN)?
        };
        Ok(Parts { memory, files, places, handlers })
    }

    fn fork_memory(&mut self, parent: crate::arena::Id<Memory>) -> Result<crate::arena::Id<Memory>> {
        let space = self.machine.platform.new_space().ok_or(Errno::EAGAIN)?;
        let mut child = Memory::new(space);
        if let Err(error) = self.memories[parent].fork_into(&mut child, &mut self.machine) {
            child.dismantle(&mut self.machine);
            return Err(error);
        }
        for &ino in &child.files {
            self.inodes.retain(ino);
        }
        self.memories.insert(child).ok_or(Errno::EAGAIN)
    }

    fn add_process(&mut self, parent: Pid, child: Pid, exit_signal: Option<Signal>, plan: &Plan, maker: Tid) {
        let now = self.machine.platform.now();
        let model = self.process(parent);
        let adoptive = if plan.has(g::CLONE_PARENT) { model.parent } else { parent };
        let process = Process {
            parent: adoptive,
            group: model.group,
            session: model.session,
            threads: alloc::vec![child.leader()],
            exit: None,
            stop: Stop::Going,
            continued: false,
            pending: Pending::default(),
            exit_signal,
            limits: model.limits,
            credentials: model.credentials.clone(),
            program: model.program.clone(),
            times: Times::default(),
            start: now,
            vfork_parent: plan.has(g::CLONE_VFORK).then_some(maker),
            alarm: None,
            executed: false,
            ran_on: 0,
        };
        if let Some(ino) = process.program.file {
            self.inodes.retain(ino);
        }
        self.processes.insert(child, process);
        self.report.processes += 1;
    }

    /// A number that no task, process, group or session has.
    fn new_tid(&mut self) -> Option<Tid> {
        for _ in 0..MAX_PID {
            self.last_pid = if self.last_pid >= MAX_PID - 1 { Pid::SERVER.0 + 1 } else { self.last_pid + 1 };
            let number = self.last_pid;
            let taken = self.tasks.contains_key(&Tid(number))
                || self.processes.contains_key(&Pid(number))
                || self.processes.values().any(|p| p.group.0 == number || p.session.0 == number);
            if !taken {
                return Some(Tid(number));
            }
        }
        None
    }

    /// Starts the first program. Its three descriptors are an empty input and the two streams of
    /// the platform's console; orphans are adopted by the server itself.
    ///
    /// # Errors
    /// What `execve` answers for this program.
    pub fn spawn(
        &mut self,
        path: &[u8],
        arguments: &[&[u8]],
        environment: &[&[u8]],
        cwd: &[u8],
    ) -> Result<Pid> {
        let tid = self.new_tid().ok_or(Errno::EAGAIN)?;
        let pid = Pid(tid.0);
        let now = self.machine.platform.now();
        let space = self.machine.platform.new_space().ok_or(Errno::ENOMEM)?;
        let memory = self.memories.insert(Memory::new(space)).ok_or(Errno::EAGAIN)?;
        let mut table = FdTable::default();
        for file in OpenFile::standard_streams() {
            let file = self.files.insert(file).ok_or(Errno::ENFILE)?;
            table.install(0, file, crate::file::CloseOnExec::No, crate::limits::MAX_FDS)?;
        }
        let root = Node::Inode(self.root);
        self.retain_node(root);
        self.retain_node(root);
        let places = Places { root, cwd: root, umask: 0o022 };
        let mut name = [0; 16];
        name[..4].copy_from_slice(b"init");
        let task = Task {
            process: pid,
            context: Box::new(Context::default()),
            state: State::Ready,
            call: None,
            interrupted: None,
            doomed: false,
            memory,
            files: self.tables.insert(table).ok_or(Errno::EAGAIN)?,
            places: self.places.insert(places).ok_or(Errno::EAGAIN)?,
            handlers: self.handlers.insert(Handlers::new()).ok_or(Errno::EAGAIN)?,
            blocked: SigSet::default(),
            saved_mask: None,
            pending: Pending::default(),
            alt_stack: AltStack::default(),
            clear_tid: UserPtr::NULL,
            robust_list: UserPtr::NULL,
            name,
        };
        let process = Process {
            parent: Pid::SERVER,
            group: pid,
            session: pid,
            threads: alloc::vec![tid],
            exit: None,
            stop: Stop::Going,
            continued: false,
            pending: Pending::default(),
            exit_signal: Some(Signal::CHLD),
            limits: default_limits(),
            credentials: Credentials::default(),
            program: Program::default(),
            times: Times::default(),
            start: now,
            vfork_parent: None,
            alarm: None,
            executed: false,
            ran_on: 0,
        };
        self.tasks.insert(tid, task);
        self.processes.insert(pid, process);
        self.report.processes += 1;
        let strings = |list: &[&[u8]]| list.iter().map(|string| string.to_vec()).collect::<Vec<_>>();
        let started = self
            .change_directory_to(tid, cwd)
            .and_then(|()| self.execute(tid, path, strings(arguments), strings(environment)));
        if let Err(error) = started {
            self.end_process(pid, super::ExitStatus::Exited(127));
            self.end_task(tid);
            return Err(error);
        }
        if self.first.is_none() {
            self.first = Some((pid, None));
        }
        self.scheduler.push(tid);
        Ok(pid)
    }
}
