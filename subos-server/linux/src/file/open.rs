//! Opening and closing.

use linux_raw_sys::general as g;

use super::{CloseOnExec, Ends, Fd, FileKind, OpenFile};
use crate::arena::Id;
use crate::error::{Errno, Result};
use crate::linux::Linux;
use crate::outcome::{Outcome, Reply, Wait, WaitKey};
use crate::pipe::Pipe;
use crate::platform::Platform;
use crate::process::Tid;
use crate::vfs::{Device, Ino, Kind, Node};

/// Status flags that an open file keeps; the others act once.
const KEPT: u32 = g::O_ACCMODE
    | g::O_APPEND
    | g::O_NONBLOCK
    | g::O_DIRECT
    | g::O_NOATIME
    | g::O_LARGEFILE
    | g::O_DIRECTORY
    | g::O_PATH;

impl<P: Platform> Linux<P> {
    /// Opens a node that exists.
    ///
    /// # Errors
    /// `EISDIR`, `ENOTDIR`, `ENXIO`, `ELOOP` for a symbolic link, `ENFILE`.
    pub(crate) fn open_node(&mut self, tid: Tid, node: Node, flags: u32) -> Result<OpenFile> {
        let access = flags & g::O_ACCMODE;
        let writes = access == g::O_WRONLY || access == g::O_RDWR;
        let kept = flags & KEPT;
        if flags & g::O_PATH != 0 {
            self.retain_node(node);
            return Ok(OpenFile::new(FileKind::Path(node), kept));
        }
        match node {
            Node::Proc(proc) => {
                if writes {
                    return Err(Errno::EACCES);
                }
                let kind = match self.proc_text(tid, proc) {
                    Some(text) => FileKind::Text(proc, text),
                    None => FileKind::Directory(node),
                };
                if flags & g::O_DIRECTORY != 0 && !matches!(kind, FileKind::Directory(_)) {
                    return Err(Errno::ENOTDIR);
                }
                Ok(OpenFile::new(kind, kept))
            }
            Node::Open(file) => self.open_again(file, kept),
            Node::Inode(ino) => self.open_inode(ino, flags, kept, writes),
        }
    }

    fn open_inode(&mut self, ino: Ino, flags: u32, kept: u32, writes: bool) -> Result<OpenFile> {
        let now = self.wall_time();
        let inode = self.inodes.get_mut(ino);
        let directory_wanted = flags & g::O_DIRECTORY != 0;
        let kind = match &mut inode.kind {
            Kind::Directory(_) if writes || flags & g::O_CREAT != 0 => return Err(Errno::EISDIR),
            Kind::Directory(_) => FileKind::Directory(Node::Inode(ino)),
            _ if directory_wanted => return Err(Errno::ENOTDIR),
            Kind::Regular(body) => {
                if flags & g::O_TRUNC != 0 && writes && body.size() > 0 {
                    body.truncate(0, &mut self.machine)?;
                    inode.touch(now);
                }
                FileKind::Regular(ino)
            }
            Kind::Symlink(_) => return Err(Errno::ELOOP),
            // There is no controlling terminal.
            Kind::Device(Device::Tty) => return Err(Errno::ENXIO),
            Kind::Device(device) => FileKind::Device(*device, ino),
            Kind::Fifo(_) => return self.open_fifo(ino, kept),
            Kind::Socket => return Err(Errno::ENXIO),
        };
        self.inodes.retain(ino);
        Ok(OpenFile::new(kind, kept))
    }

    /// What opening `/proc/self/fd/N` of something without a name gives: the same thing again.
    fn open_again(&mut self, file: Id<OpenFile>, kept: u32) -> Result<OpenFile> {
        match self.files[file].kind {
            FileKind::Pipe { pipe, named, .. } => {
                let ends = ends_of(kept);
                self.count_ends(pipe, ends);
                if let Some(ino) = named {
                    self.inodes.retain(ino);
                }
                Ok(OpenFile::new(FileKind::Pipe { pipe, ends, named }, kept))
            }
            FileKind::Stream(stream) => Ok(OpenFile::new(FileKind::Stream(stream), kept)),
            FileKind::Input => Ok(OpenFile::new(FileKind::Input, kept)),
            _ => Err(Errno::ENXIO),
        }
    }

    fn open_fifo(&mut self, ino: Ino, kept: u32) -> Result<OpenFile> {
        let Kind::Fifo(existing) = self.inodes.get(ino).kind else { return Err(Errno::EINVAL) };
        let ends = ends_of(kept);
        if let (Ends::Write, true) = (ends, kept & g::O_NONBLOCK != 0)
            && existing.is_none_or(|pipe| self.pipes[pipe].readers == 0)
        {
            return Err(Errno::ENXIO);
        }
        let pipe = match existing {
            Some(pipe) => pipe,
            None => {
                let pipe = self.pipes.insert(Pipe::default()).ok_or(Errno::ENFILE)?;
                self.inodes.get_mut(ino).kind = Kind::Fifo(Some(pipe));
                pipe
            }
        };
        self.count_ends(pipe, ends);
        self.inodes.retain(ino);
        self.wake_all(WaitKey::Fifo(ino));
        Ok(OpenFile::new(FileKind::Pipe { pipe, ends, named: Some(ino) }, kept))
    }

    /// Whether the opener of a named pipe has to wait for somebody at the other end (fifo(7)).
    pub(crate) fn fifo_lacks_peer(&self, file: &OpenFile) -> Option<Ino> {
        let FileKind::Pipe { pipe, ends, named: Some(ino) } = file.kind else { return None };
        if file.has(g::O_NONBLOCK) {
            return None;
        }
        let pipe = &self.pipes[pipe];
        let lacking = match ends {
            Ends::Read => pipe.writers == 0 && pipe.writers_ever == 0,
            Ends::Write => pipe.readers == 0 && pipe.readers_ever == 0,
            Ends::Both => false,
        };
        lacking.then_some(ino)
    }

    pub(crate) fn count_ends(&mut self, id: Id<Pipe>, ends: Ends) {
        let pipe = &mut self.pipes[id];
        if ends.reads() {
            pipe.readers += 1;
            pipe.readers_ever += 1;
        }
        if ends.writes() {
            pipe.writers += 1;
            pipe.writers_ever += 1;
        }
    }

    /// Gives an open file a descriptor of the task; on failure the file is closed.
    pub(crate) fn install_file(
        &mut self,
        tid: Tid,
        file: OpenFile,
        close_on_exec: CloseOnExec,
    ) -> Result<Fd> {
        // A full store drops the value, so what it holds must be let go first.
        if self.files.room() == 0 {
            self.close_file(file);
            return Err(Errno::ENFILE);
        }
        let id = self.files.insert(file).ok_or(Errno::ENFILE)?;
        let limit = self.fd_limit(tid);
        let table = self.task(tid).files;
        match self.tables[table].install(0, id, close_on_exec, limit) {
            Ok(fd) => Ok(fd),
            Err(error) => {
                self.release_file(id);
                Err(error)
            }
        }
    }

    /// Drops a holder of an open file, and closes it with the last.
    pub(crate) fn release_file(&mut self, id: Id<OpenFile>) {
        if let Some(file) = self.files.release(id) {
            self.close_file(file);
        }
    }

    fn close_file(&mut self, file: OpenFile) {
        match file.kind {
            FileKind::Regular(ino) | FileKind::Device(_, ino) => self.inodes.release(ino, &mut self.machine),
            FileKind::Directory(node) | FileKind::Path(node) => self.release_node(node),
            FileKind::Pipe { pipe, ends, named } => {
                self.drop_ends(pipe, ends, named);
                if let Some(ino) = named {
                    self.inodes.release(ino, &mut self.machine);
                }
            }
            FileKind::Pair { incoming, outgoing } => {
                self.drop_ends(incoming, Ends::Read, None);
                self.drop_ends(outgoing, Ends::Write, None);
            }
            FileKind::Text(..) | FileKind::Stream(_) | FileKind::Input | FileKind::Event { .. } => {}
        }
    }

    fn drop_ends(&mut self, id: Id<Pipe>, ends: Ends, named: Option<Ino>) {
        let pipe = &mut self.pipes[id];
        pipe.readers -= u32::from(ends.reads());
        pipe.writers -= u32::from(ends.writes());
        let (readers, writers) = (pipe.readers, pipe.writers);
        self.wake_all(WaitKey::Readable(id));
        self.wake_all(WaitKey::Writable(id));
        if readers == 0 && writers == 0 {
            // Only open files hold a pipe, and this was the last.
            let _ = self.pipes.release(id);
            if let Some(ino) = named {
                self.inodes.get_mut(ino).kind = Kind::Fifo(None);
            }
        }
    }

    /// `pipe2`.
    pub(crate) fn make_pipe(&mut self, tid: Tid, flags: u32) -> Result<[Fd; 2]> {
        let pipe = self.pipes.insert(Pipe::default()).ok_or(Errno::ENFILE)?;
        self.count_ends(pipe, Ends::Both);
        let status = flags & g::O_NONBLOCK;
        let end = |ends, access| OpenFile::new(FileKind::Pipe { pipe, ends, named: None }, access | status);
        let close_on_exec = CloseOnExec::from_flags(flags);
        let (reading, writing) = (end(Ends::Read, g::O_RDONLY), end(Ends::Write, g::O_WRONLY));
        self.install_pair(tid, reading, writing, close_on_exec)
    }

    /// A pair of connected sockets: a pipe each way.
    pub(crate) fn make_pair(&mut self, tid: Tid, flags: u32) -> Result<[Fd; 2]> {
        if self.pipes.room() < 2 {
            return Err(Errno::ENFILE);
        }
        let one = self.pipes.insert(Pipe::default()).ok_or(Errno::ENFILE)?;
        let other = self.pipes.insert(Pipe::default()).ok_or(Errno::ENFILE)?;
        self.count_ends(one, Ends::Both);
        self.count_ends(other, Ends::Both);
        let status = g::O_RDWR | flags & g::O_NONBLOCK;
        let side = |incoming, outgoing| OpenFile::new(FileKind::Pair { incoming, outgoing }, status);
        self.install_pair(tid, side(one, other), side(other, one), CloseOnExec::from_flags(flags))
    }

    fn install_pair(
        &mut self,
        tid: Tid,
        first: OpenFile,
        second: OpenFile,
        close_on_exec: CloseOnExec,
    ) -> Result<[Fd; 2]> {
        let first = match self.install_file(tid, first, close_on_exec) {
            Ok(fd) => fd,
            Err(error) => {
                self.close_file(second);
                return Err(error);
            }
        };
        match self.install_file(tid, second, close_on_exec) {
            Ok(second) => Ok([first, second]),
            Err(error) => {
                self.close_fd(tid, first)?;
                Err(error)
            }
        }
    }

    /// Closes a descriptor.
    pub(crate) fn close_fd(&mut self, tid: Tid, fd: Fd) -> Result<()> {
        let table = self.task(tid).files;
        let file = self.tables[table].remove(fd)?;
        self.release_file(file);
        Ok(())
    }

    /// How many descriptors the task may have.
    pub(crate) fn fd_limit(&self, tid: Tid) -> usize {
        let limit = self.process(self.task(tid).process).limits[g::RLIMIT_NOFILE as usize].soft;
        usize::try_from(limit).unwrap_or(usize::MAX)
    }

    /// The open file behind a descriptor of the task.
    pub(crate) fn file_of(&self, tid: Tid, fd: Fd) -> Result<Id<OpenFile>> {
        self.tables[self.task(tid).files].get(fd)
    }

    /// Ends a call that opened a named pipe: it waits for a peer, holding its end meanwhile.
    pub(crate) fn finish_open(&mut self, tid: Tid, fd: Fd) -> Reply {
        let file = self.file_of(tid, fd)?;
        match self.fifo_lacks_peer(&self.files[file]) {
            None => Ok(Outcome::Value(u64::from(fd.0.unsigned_abs()))),
            Some(ino) => {
                if let Some(call) = &mut self.task_mut(tid).call {
                    call.opened = Some(fd);
                }
                Ok(Outcome::Wait(Wait::on(WaitKey::Fifo(ino))))
            }
        }
    }
}

const fn ends_of(flags: u32) -> Ends {
    match flags & g::O_ACCMODE {
        g::O_RDONLY => Ends::Read,
        g::O_WRONLY => Ends::Write,
        _ => Ends::Both,
    }
}
