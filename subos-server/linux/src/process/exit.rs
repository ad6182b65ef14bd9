//! Ends: of a task, and of a process with its last task.

use alloc::vec::Vec;
use linux_raw_sys::general as g;

use super::{ExitStatus, Pid, Process, Tid};
use crate::linux::Linux;
use crate::memory::address::UserPtr;
use crate::outcome::WaitKey;
use crate::platform::Platform;
use crate::signal::{Detail, Disposition, Info, Signal};

impl<P: Platform> Linux<P> {
    /// Dooms every task of a process. Each ends when it would run next; one whose guest runs on
    /// another executor at the moment, when that guest traps.
    pub(crate) fn end_process(&mut self, pid: Pid, status: ExitStatus) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if process.exit.is_none() {
            process.exit = Some(status);
        }
        for tid in process.threads.clone() {
            self.doom(tid);
        }
    }

    /// Dooms one task.
    pub(crate) fn doom(&mut self, tid: Tid) {
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.doomed = true;
            self.make_ready(tid);
            self.unpark(tid);
        }
    }

    /// Ends a task that no executor runs.
    pub(crate) fn end_task(&mut self, tid: Tid) {
        self.withdraw(tid);
        let Some(task) = self.tasks.get(&tid) else { return };
        let (clear_tid, pid) = (task.clear_tid, task.process);
        if !clear_tid.is_null() && self.memories.holders(task.memory) > 1 {
            // Someone else sees this memory: a joiner may be waiting on the word.
            if self.put(tid, clear_tid, &0u32).is_ok() {
                self.wake_futex(tid, clear_tid, 1);
            }
        }
        self.release_robust_list(tid);
        let Some(task) = self.tasks.remove(&tid) else { return };
        self.release_memory(task.memory);
        if let Some(table) = self.tables.release(task.files) {
            for file in table.open_files() {
                self.release_file(file);
            }
        }
        self.release_places(task.places);
        // Nothing hangs on a table of handlers.
        let _ = self.handlers.release(task.handlers);
        let process = self.process_mut(pid);
        process.threads.retain(|other| *other != tid);
        let last = process.threads.is_empty();
        self.wake_all(WaitKey::Threads(pid));
        if last {
            self.become_zombie(pid);
        }
    }

    /// Drops a task's hold on its memory.
    pub(crate) fn release_memory(&mut self, memory: crate::arena::Id<crate::memory::Memory>) {
        if let Some(mut memory) = self.memories.release(memory) {
            let files = core::mem::take(&mut memory.files);
            memory.dismantle(&mut self.machine);
            for ino in files {
                self.inodes.release(ino, &mut self.machine);
            }
        }
    }

    fn release_places(&mut self, places: crate::arena::Id<super::Places>) {
        if let Some(places) = self.places.release(places) {
            self.release_node(places.root);
            self.release_node(places.cwd);
        }
    }

    /// Lets the parent of a vfork go on.
    pub(crate) fn release_vfork(&mut self, pid: Pid) {
        if self.process_mut(pid).vfork_parent.take().is_some() {
            self.wake_all(WaitKey::Vfork(pid));
        }
    }

    fn become_zombie(&mut self, pid: Pid) {
        self.release_vfork(pid);
        let process = self.process_mut(pid);
        // A process whose last thread ended by plain exit has that thread's code.
        let status = *process.exit.get_or_insert(ExitStatus::Exited(0));
        process.alarm = None;
        if let Some(ino) = process.program.file.take() {
            self.inodes.release(ino, &mut self.machine);
        }
        if let Some((first, exit)) = &mut self.first
            && *first == pid
        {
            *exit = Some(status);
            self.report.exit = Some(status);
        }
        self.orphan_children(pid);
        let process = self.process(pid);
        let parent = process.parent;
        let uid = process.credentials.uid[0];
        let exit_signal = process.exit_signal;
        if self.reaps_itself(parent, exit_signal) {
            self.reap(pid);
        } else if let Some(signal) = exit_signal {
            let (code, status) = match status {
                ExitStatus::Exited(code) => (g::CLD_EXITED, i32::from(code)),
                ExitStatus::Killed(signal) => (g::CLD_KILLED, i32::from(signal)),
            };
            let detail = Detail::Child { pid: pid.0, uid, status };
            let info = Info { signal, code: code.cast_signed(), detail };
            // The parent may be ending itself; then nobody needs the news.
            let _ = self.send_to_process(parent, info);
        }
        self.wake_all(WaitKey::Child(parent));
    }

    /// Whether a child of `parent` vanishes as it ends: the server's own do, and those of a parent
    /// that ignores SIGCHLD or said `SA_NOCLDWAIT`.
    fn reaps_itself(&self, parent: Pid, exit_signal: Option<Signal>) -> bool {
        let Some(process) = self.processes.get(&parent) else { return true };
        if exit_signal != Some(Signal::CHLD) {
            return false;
        }
        let task = process.threads.first().and_then(|tid| self.tasks.get(tid));
        task.is_some_and(|task| {
            let action = self.handlers[task.handlers].get(Signal::CHLD);
            action.disposition == Disposition::Ignore || action.has(g::SA_NOCLDWAIT)
        })
    }

    /// Gives the children of an ended process to the server.
    fn orphan_children(&mut self, pid: Pid) {
        let children: Vec<Pid> =
            self.processes.iter().filter(|(_, process)| process.parent == pid).map(|(&pid, _)| pid).collect();
        for child in children {
            let process = self.process_mut(child);
            process.parent = Pid::SERVER;
            if process.is_zombie() {
                self.reap(child);
            }
        }
    }

    /// Removes a zombie.
    pub(crate) fn reap(&mut self, pid: Pid) {
        if let Some(Process { parent, times, .. }) = self.processes.remove(&pid)
            && let Some(parent) = self.processes.get_mut(&parent)
        {
            parent.times.children_user += times.user + times.children_user;
        }
    }

    /// Marks the robust futexes of an ending task as ownerless, if anybody else sees them
    /// (set_robust_list(2)). The list is the program's own, so its length is bounded here.
    fn release_robust_list(&mut self, tid: Tid) {
        const LONGEST: usize = 2048;
        const TID_MASK: u32 = 0x3fff_ffff;
        const OWNER_DIED: u32 = 0x4000_0000;
        let task = self.task(tid);
        let head = task.robust_list;
        if head.is_null() || self.memories.holders(task.memory) < 2 {
            return;
        }
        let Ok([mut entry, offset, _]) = self.get::<[u64; 3]>(tid, head) else { return };
        for _ in 0..LONGEST {
            if entry & !1 == head.0 || entry == 0 {
                return;
            }
            let word = UserPtr((entry & !1).wrapping_add(offset));
            if let Ok(value) = self.get::<u32>(tid, word)
                && value & TID_MASK == tid.0
                && self.put(tid, word, &(value & !TID_MASK | OWNER_DIED)).is_ok()
            {
                self.wake_futex(tid, word, 1);
            }
            let Ok(next) = self.get::<u64>(tid, UserPtr(entry & !1)) else { return };
            entry = next;
        }
    }
}
