//! Moving bytes: read, write, their vectors, sendfile and copy_file_range.

use alloc::vec::Vec;
use linux_raw_sys::general as g;

use crate::arena::Id;
use crate::error::{Errno, Result};
use crate::file::io::{Moved, Position};
use crate::file::{Fd, FileKind, OpenFile};
use crate::limits::{CONSOLE_RETRY_NANOS, MAX_IOVEC, MAX_TRANSFER, PAGE};
use crate::linux::Linux;
use crate::memory::address::UserPtr;
use crate::outcome::{OnSignal, Outcome, Reply, Wait, WaitKey, count};
use crate::platform::Platform;
use crate::process::Tid;
use crate::signal::{Info, Signal};

/// The largest count that one call moves (Linux's `MAX_RW_COUNT`).
const MAX_COUNT: u64 = 0x7fff_f000;

/// Which way bytes go, as the program sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

/// A run of the program's memory.
#[derive(Clone, Copy)]
struct Buffer {
    base: UserPtr,
    length: u64,
}

/// Why a transfer stopped.
enum Stop {
    /// Everything is moved, the file ended, or the rest can wait for another call.
    Finished,
    Waits(WaitKey),
    /// The lock has been held long enough.
    Enough,
    Failed(Errno),
}

impl<P: Platform> Linux<P> {
    pub(super) fn call_transfer(
        &mut self,
        t: Tid,
        direction: Direction,
        fd: Fd,
        base: UserPtr,
        length: u64,
        position: Option<i64>,
    ) -> Reply {
        let file = self.file_of(t, fd)?;
        let at = position_of(position)?;
        self.transfer(t, direction, file, &[Buffer { base, length: length.min(MAX_COUNT) }], at)
    }

    pub(super) fn call_vector(
        &mut self,
        t: Tid,
        direction: Direction,
        fd: Fd,
        vector: UserPtr,
        vectors: u64,
        position: Option<i64>,
    ) -> Reply {
        let file = self.file_of(t, fd)?;
        let at = position_of(position)?;
        let vectors =
            usize::try_from(vectors).ok().filter(|&vectors| vectors <= MAX_IOVEC).ok_or(Errno::EINVAL)?;
        let mut buffers = Vec::new();
        let mut room = MAX_COUNT;
        for index in 0..vectors {
            let [base, length]: [u64; 2] = self.get(t, vector.plus(16 * index as u64))?;
            if i64::try_from(length).is_err() {
                return Err(Errno::EINVAL);
            }
            let length = length.min(room);
            room -= length;
            buffers.push(Buffer { base: UserPtr(base), length });
        }
        self.transfer(t, direction, file, &buffers, at)
    }

    fn transfer(
        &mut self,
        t: Tid,
        direction: Direction,
        file: Id<OpenFile>,
        buffers: &[Buffer],
        at: Position,
    ) -> Reply {
        let whole: u64 = buffers.iter().map(|buffer| buffer.length).sum();
        let before = self.progress(t);
        let mut done = before;
        let mut stop = Stop::Finished;
        let mut skip = before;
        'all: for buffer in buffers {
            // What earlier attempts moved is passed over. The program may have changed its vectors since.
            if skip > 0 && skip >= buffer.length {
                skip -= buffer.length;
                continue;
            }
            let mut offset = core::mem::take(&mut skip);
            loop {
                let length = (buffer.length - offset).min(PAGE as u64);
                if length == 0 && whole > 0 {
                    break;
                }
                if done - before >= MAX_TRANSFER as u64 {
                    stop = Stop::Enough;
                    break 'all;
                }
                let length = usize::try_from(length).unwrap_or(PAGE);
                let position = at.plus(done);
                let base = buffer.base.plus(offset);
                let step = match direction {
                    Direction::In => self.read_step(t, file, position, base, length),
                    Direction::Out => {
                        self.write_step(t, file, position, base, length, whole.saturating_sub(done))
                    }
                };
                match step {
                    Ok(Moved::Bytes(moved)) => {
                        done += moved as u64;
                        offset += moved as u64;
                        let ended = moved < length && (direction == Direction::In || moved == 0);
                        if ended || length == 0 || !self.goes_on(direction, file) {
                            break 'all;
                        }
                    }
                    Ok(Moved::Wait(key)) => {
                        stop = Stop::Waits(key);
                        break 'all;
                    }
                    Err(error) => {
                        stop = Stop::Failed(error);
                        break 'all;
                    }
                }
            }
        }
        self.end_transfer(t, direction, file, done, stop)
    }

    /// Whether a read goes on after a full chunk: what is left must be there without waiting.
    fn goes_on(&self, direction: Direction, file: Id<OpenFile>) -> bool {
        match &self.files[file].kind {
            FileKind::Event { .. } => false,
            FileKind::Pipe { pipe, .. } if direction == Direction::In => self.pipes[*pipe].len() > 0,
            FileKind::Pair { incoming, .. } if direction == Direction::In => self.pipes[*incoming].len() > 0,
            _ => true,
        }
    }

    fn end_transfer(
        &mut self,
        t: Tid,
        direction: Direction,
        file: Id<OpenFile>,
        done: u64,
        stop: Stop,
    ) -> Reply {
        let nonblocking = self.files[file].has(g::O_NONBLOCK);
        match stop {
            Stop::Finished => Ok(Outcome::Value(done)),
            Stop::Failed(_) if done > 0 => Ok(Outcome::Value(done)),
            Stop::Failed(error) => {
                if error == Errno::EPIPE {
                    let pid = self.task(t).process;
                    let info = self.info_from(pid, Signal::PIPE);
                    // The task exists, so its signal can be sent.
                    let _ = self.send_to_task(t, Info { ..info });
                }
                Err(error)
            }
            Stop::Enough => {
                self.set_progress(t, done);
                let now = self.machine.platform.now();
                Ok(Outcome::Wait(Wait {
                    keys: Vec::new(),
                    deadline: Some(now),
                    on_signal: OnSignal::Restart,
                }))
            }
            // A read that has something never waits for more.
            Stop::Waits(_) if done > 0 && (direction == Direction::In || nonblocking) => {
                Ok(Outcome::Value(done))
            }
            Stop::Waits(_) if nonblocking => Err(Errno::EAGAIN),
            Stop::Waits(key) => {
                self.set_progress(t, done);
                let mut wait = Wait::on(key);
                if key == WaitKey::Console {
                    wait.deadline = Some(self.machine.platform.now() + CONSOLE_RETRY_NANOS);
                }
                Ok(Outcome::Wait(wait))
            }
        }
    }

    fn read_step(
        &mut self,
        t: Tid,
        file: Id<OpenFile>,
        at: Position,
        base: UserPtr,
        length: usize,
    ) -> Result<Moved> {
        let mut chunk = [0; PAGE];
        let moved = self.peek(file, at, &mut chunk[..length])?;
        if let Moved::Bytes(length) = moved {
            self.copy_out(t, base, &chunk[..length])?;
            self.advance(file, at, length);
        }
        Ok(moved)
    }

    fn write_step(
        &mut self,
        t: Tid,
        file: Id<OpenFile>,
        at: Position,
        base: UserPtr,
        length: usize,
        whole: u64,
    ) -> Result<Moved> {
        let mut chunk = [0; PAGE];
        if !self.files[file].writable() {
            return Err(Errno::EBADF);
        }
        self.copy_in(t, base, &mut chunk[..length])?;
        self.push(file, at, &chunk[..length], usize::try_from(whole).unwrap_or(usize::MAX))
    }

    pub(super) fn call_sendfile(
        &mut self,
        t: Tid,
        out: Fd,
        input: Fd,
        offset: UserPtr,
        length: u64,
    ) -> Reply {
        let (out, input) = (self.file_of(t, out)?, self.file_of(t, input)?);
        if !matches!(self.files[input].kind, FileKind::Regular(_) | FileKind::Text(..)) {
            return Err(Errno::EINVAL);
        }
        if self.files[out].has(g::O_APPEND) {
            return Err(Errno::EINVAL);
        }
        let from = self.optional_offset(t, offset)?;
        let reply = self.copy_between(t, (input, from), (out, Position::Own), length)?;
        if let (Outcome::Value(moved), Position::At(start)) = (&reply, from) {
            self.put(t, offset, &(start + moved))?;
        }
        Ok(reply)
    }

    pub(super) fn call_copy_file_range(
        &mut self,
        t: Tid,
        from: (Fd, UserPtr),
        to: (Fd, UserPtr),
        length: u64,
        flags: u32,
    ) -> Reply {
        let (input, out) = (self.file_of(t, from.0)?, self.file_of(t, to.0)?);
        let regular = |file: &OpenFile| matches!(file.kind, FileKind::Regular(_));
        if flags != 0 || !regular(&self.files[input]) || !regular(&self.files[out]) {
            return Err(Errno::EINVAL);
        }
        if self.node_of(input) == self.node_of(out) {
            // Overlap within one file is refused by Linux; elsewhere programs fall back to reading.
            return Err(Errno::EINVAL);
        }
        let (read_at, write_at) = (self.optional_offset(t, from.1)?, self.optional_offset(t, to.1)?);
        let reply = self.copy_between(t, (input, read_at), (out, write_at), length)?;
        if let Outcome::Value(moved) = reply {
            for (position, pointer) in [(read_at, from.1), (write_at, to.1)] {
                if let Position::At(start) = position {
                    self.put(t, pointer, &(start + moved))?;
                }
            }
        }
        Ok(reply)
    }

    fn optional_offset(&mut self, t: Tid, pointer: UserPtr) -> Result<Position> {
        match pointer.non_null() {
            None => Ok(Position::Own),
            Some(pointer) => position_of(Some(self.get::<u64>(t, pointer)?.cast_signed())),
        }
    }

    /// Copies up to `length` bytes between files; a short count where one call has done enough.
    fn copy_between(
        &mut self,
        t: Tid,
        from: (Id<OpenFile>, Position),
        to: (Id<OpenFile>, Position),
        length: u64,
    ) -> Reply {
        let mut chunk = [0; PAGE];
        let length = length.min(MAX_TRANSFER as u64);
        let mut done = 0;
        let stop = loop {
            let want = usize::try_from((length - done).min(PAGE as u64)).unwrap_or(PAGE);
            if want == 0 {
                break Stop::Finished;
            }
            let got = match self.peek(from.0, from.1.plus(done), &mut chunk[..want]) {
                Ok(Moved::Bytes(0)) => break Stop::Finished,
                Ok(Moved::Bytes(got)) => got,
                Ok(Moved::Wait(key)) => break Stop::Waits(key),
                Err(error) => break Stop::Failed(error),
            };
            match self.push(to.0, to.1.plus(done), &chunk[..got], 1) {
                Ok(Moved::Bytes(moved)) => {
                    self.advance(from.0, from.1, moved);
                    done += moved as u64;
                }
                Ok(Moved::Wait(_)) if done > 0 => break Stop::Finished,
                Ok(Moved::Wait(key)) => break Stop::Waits(key),
                Err(error) => break Stop::Failed(error),
            }
        };
        self.end_transfer(t, Direction::Out, to.0, done, stop)
    }

    /// What the task's current call has done before it waited.
    pub(super) fn progress(&self, t: Tid) -> u64 {
        self.task(t).call.map_or(0, |call| call.progress)
    }

    fn set_progress(&mut self, t: Tid, progress: u64) {
        if let Some(call) = &mut self.task_mut(t).call {
            call.progress = progress;
        }
    }

    /// `getrandom`.
    pub(super) fn call_getrandom(&mut self, t: Tid, base: UserPtr, length: u64, flags: u32) -> Reply {
        if flags & !(g::GRND_NONBLOCK | g::GRND_RANDOM | g::GRND_INSECURE) != 0 {
            return Err(Errno::EINVAL);
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(MAX_TRANSFER);
        let mut chunk = [0; 256];
        let mut done = 0;
        while done < length {
            let piece = (length - done).min(chunk.len());
            self.machine.platform.entropy(&mut chunk[..piece]);
            self.copy_out(t, base.plus(done as u64), &chunk[..piece])?;
            done += piece;
        }
        count(done)
    }
}

impl Position {
    /// The position after `done` bytes; a file's own offset has moved by itself.
    const fn plus(self, done: u64) -> Self {
        match self {
            Self::Own => Self::Own,
            Self::At(offset) => Self::At(offset.saturating_add(done)),
        }
    }
}

fn position_of(offset: Option<i64>) -> Result<Position> {
    match offset {
        None => Ok(Position::Own),
        Some(offset) => u64::try_from(offset).map(Position::At).map_err(|_| Errno::EINVAL),
    }
}
