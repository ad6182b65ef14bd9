//! `execve`: the new memory is built whole before the old one is touched, so a failure leaves the
//! program as it was.

use alloc::vec::Vec;

use super::elf::Image;
use super::image::{Builder, Entry, FileSource, Loaded, Start, interpreter_bias};
use super::{AltStack, Pid, Tid};
use crate::error::{Errno, Result};
use crate::file::At;
use crate::limits::{MAX_ARG_BYTES, MAX_INTERPRETERS};
use crate::linux::Linux;
use crate::memory::Memory;
use crate::memory::address::UserPtr;
use crate::outcome::{OnSignal, Outcome, Reply, Wait, WaitKey};
use crate::platform::Platform;
use crate::registers::{Context, FpState, Registers};
use crate::vfs::path::Last;
use crate::vfs::{Ino, Kind, Node};

/// Bytes of a file's head that decide what it is.
const HEAD: usize = 256;

/// A program to be executed, once `#!` lines are resolved.
struct Target {
    ino: Ino,
    path: Vec<u8>,
    arguments: Vec<Vec<u8>>,
}

impl<P: Platform> Linux<P> {
    /// The system call: waits for other threads of the process to end first.
    pub(crate) fn call_execve(
        &mut self,
        tid: Tid,
        path: Vec<u8>,
        arguments: Vec<Vec<u8>>,
        environment: Vec<Vec<u8>>,
    ) -> Reply {
        let pid = self.task(tid).process;
        if self.process(pid).threads.len() > 1 {
            // The program must exist before threads die for it.
            self.find_program(tid, &path)?;
            for other in self.process(pid).threads.clone() {
                if other != tid {
                    self.doom(other);
                }
            }
            let keys = alloc::vec![WaitKey::Threads(pid)];
            return Ok(Outcome::Wait(Wait { keys, deadline: None, on_signal: OnSignal::Nothing }));
        }
        self.execute(tid, &path, arguments, environment)?;
        if tid != pid.leader() {
            self.take_leadership(tid, pid);
        }
        self.release_vfork(pid);
        Ok(Outcome::Settled)
    }

    /// Replaces the task's program.
    ///
    /// # Errors
    /// As execve(2); then nothing has changed.
    pub(crate) fn execute(
        &mut self,
        tid: Tid,
        path: &[u8],
        arguments: Vec<Vec<u8>>,
        environment: Vec<Vec<u8>>,
    ) -> Result<()> {
        let target = self.resolve_scripts(tid, path, arguments)?;
        let size = |strings: &[Vec<u8>]| strings.iter().map(|string| string.len() + 1).sum::<usize>();
        if size(&target.arguments) + size(&environment) > MAX_ARG_BYTES {
            return Err(Errno::E2BIG);
        }
        let program = self.load_headers(target.ino)?;
        let interpreter = match &program.image.interpreter {
            Some(path) => {
                let path = path.clone();
                let ino = self.find_program(tid, &path)?;
                let mut interpreter = self.load_headers(ino).map_err(|_| Errno::ENOEXEC)?;
                interpreter.bias = interpreter_bias(&interpreter.image)?;
                Some(interpreter)
            }
            None => None,
        };
        let mut random = [0; 16];
        self.machine.platform.entropy(&mut random);
        let credentials = &self.process(self.task(tid).process).credentials;
        let ids = [credentials.uid[0], credentials.uid[1], credentials.gid[0], credentials.gid[1]];
        let start = Start { path, arguments: &target.arguments, environment: &environment, random, ids };
        let space = self.machine.platform.new_space().ok_or(Errno::ENOMEM)?;
        let mut memory = Memory::new(space);
        let mut builder =
            Builder { memory: &mut memory, machine: &mut self.machine, inodes: &mut self.inodes };
        let built = builder.build(&program, interpreter.as_ref(), &start);
        let memory = match self.memories.insert(memory) {
            Some(memory) => memory,
            // The arena has as many places as there are spaces; still the space must go back.
            None => return Err(Errno::ENOMEM),
        };
        match built {
            Ok(entry) => {
                self.commit(tid, memory, entry, &target);
                Ok(())
            }
            Err(error) => {
                self.release_memory(memory);
                Err(error)
            }
        }
    }

    /// Makes the new memory the task's own and resets what execve(2) says is reset.
    fn commit(&mut self, tid: Tid, memory: crate::arena::Id<Memory>, entry: Entry, target: &Target) {
        let pid = self.task(tid).process;
        let clear_tid = self.task(tid).clear_tid;
        let old = self.task(tid).memory;
        if !clear_tid.is_null() && self.memories.holders(old) > 1 && self.put(tid, clear_tid, &0u32).is_ok() {
            self.wake_futex(tid, clear_tid, 1);
        }
        let task = self.task_mut(tid);
        task.memory = memory;
        task.clear_tid = UserPtr::NULL;
        task.robust_list = UserPtr::NULL;
        task.alt_stack = AltStack::default();
        let registers = Registers { rip: entry.rip, rsp: entry.rsp, rflags: 0x202, ..Registers::default() };
        *task.context = Context { registers, fp: FpState::initial() };
        task.name = name_of(&target.path);
        let (files, handlers) = (task.files, task.handlers);
        self.release_memory(old);
        let fresh = self.handlers[handlers].after_exec();
        // Handlers that a vfork child shares stay the parent's: this task gets its own.
        if self.handlers.holders(handlers) > 1 {
            if let Some(own) = self.handlers.insert(fresh) {
                let _ = self.handlers.release(handlers);
                self.task_mut(tid).handlers = own;
            }
        } else {
            self.handlers[handlers] = fresh;
        }
        self.close_on_exec(tid, files);
        self.inodes.retain(target.ino);
        let process = self.process_mut(pid);
        process.executed = true;
        process.program.path.clone_from(&target.path);
        if let Some(old) = process.program.file.replace(target.ino) {
            self.inodes.release(old, &mut self.machine);
        }
        self.report.executed += 1;
    }

    /// Closes what asked for it, in a table of the task's own.
    fn close_on_exec(&mut self, tid: Tid, files: crate::arena::Id<crate::file::FdTable>) {
        let mut files = files;
        if self.tables.holders(files) > 1 {
            let copy = self.tables[files].clone();
            for file in copy.open_files() {
                self.files.retain(file);
            }
            if let Some(own) = self.tables.insert(copy) {
                let _ = self.tables.release(files);
                self.task_mut(tid).files = own;
                files = own;
            }
        }
        for file in self.tables[files].take_close_on_exec() {
            self.release_file(file);
        }
    }

    /// A thread that executed a program becomes its process's first.
    fn take_leadership(&mut self, tid: Tid, pid: Pid) {
        let leader = pid.leader();
        if let Some(task) = self.tasks.remove(&tid) {
            self.tasks.insert(leader, task);
            self.scheduler.rename(tid, leader);
            self.process_mut(pid).threads = alloc::vec![leader];
            // The caller goes on under the old number; there is nothing more for it to do.
            self.task_mut(leader).call = None;
        }
    }

    /// The file to execute, by path.
    fn find_program(&mut self, tid: Tid, path: &[u8]) -> Result<Ino> {
        let node = self.resolve(tid, At::Cwd, path, Last::Follow)?.existing()?;
        let Node::Inode(ino) = node else { return Err(Errno::EACCES) };
        let inode = self.inodes.get(ino);
        match inode.kind {
            Kind::Regular(_) if inode.mode & 0o111 != 0 => Ok(ino),
            _ => Err(Errno::EACCES),
        }
    }

    /// Follows `#!` lines until a program is found.
    fn resolve_scripts(&mut self, tid: Tid, path: &[u8], arguments: Vec<Vec<u8>>) -> Result<Target> {
        let mut path = path.to_vec();
        let mut arguments = arguments;
        for _ in 0..=MAX_INTERPRETERS {
            let ino = self.find_program(tid, &path)?;
            let mut head = [0; HEAD];
            let body = self.inodes.body_mut(ino).ok_or(Errno::EACCES)?;
            let length = body.read(0, &mut head, &mut self.machine)?;
            let Some(line) = head[..length].strip_prefix(b"#!") else {
                let path = self.absolute_path(tid, &path);
                return Ok(Target { ino, path, arguments });
            };
            let line = line.split(|&byte| byte == b'\n').next().unwrap_or(&[]);
            let (interpreter, argument) = split_script_line(line).ok_or(Errno::ENOEXEC)?;
            let mut extended = alloc::vec![interpreter.to_vec()];
            extended.extend(argument.map(<[u8]>::to_vec));
            extended.push(path);
            extended.extend(arguments.into_iter().skip(1));
            arguments = extended;
            path = interpreter.to_vec();
        }
        Err(Errno::ELOOP)
    }

    fn load_headers(&mut self, ino: Ino) -> Result<Loaded> {
        let mut source = FileSource { ino, inodes: &mut self.inodes, machine: &mut self.machine };
        let image = Image::parse(&mut source)?;
        let bias = image.bias().ok_or(Errno::ENOEXEC)?;
        Ok(Loaded { ino, image, bias })
    }
}

/// The interpreter and its one optional argument, which may contain blanks (execve(2)).
fn split_script_line(line: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let line = line.trim_ascii();
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (interpreter, rest) = line.split_at(end);
    let argument = rest.trim_ascii();
    (!interpreter.is_empty()).then_some((interpreter, (!argument.is_empty()).then_some(argument)))
}

/// The first 15 bytes of a path's last component (prctl(2), `PR_SET_NAME`).
fn name_of(path: &[u8]) -> [u8; 16] {
    let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    let length = last.len().min(15);
    let mut name = [0; 16];
    name[..length].copy_from_slice(&last[..length]);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_lines() {
        assert_eq!(split_script_line(b"/bin/sh"), Some((&b"/bin/sh"[..], None)));
        assert_eq!(split_script_line(b" /bin/sh  -e -x "), Some((&b"/bin/sh"[..], Some(&b"-e -x"[..]))));
        assert_eq!(split_script_line(b"  "), None);
    }
}
