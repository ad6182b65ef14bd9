//! Moving bytes through open files: peek and advance to read, push to write.
//!
//! A read looks first and takes afterwards, so that a bad address of the program loses no bytes of a
//! pipe. Both directions answer with what to wait for when they cannot go on.

use linux_raw_sys::general as g;

use super::{Ends, FileKind, OpenFile};
use crate::arena::Id;
use crate::error::{Errno, Result};
use crate::linux::Linux;
use crate::outcome::WaitKey;
use crate::platform::Platform;
use crate::vfs::{Device, Time};

/// How far a transfer got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// So many bytes; zero at the end of a file.
    Bytes(usize),
    /// Nothing before this happens.
    Wait(WaitKey),
}

/// Where in a file a transfer happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// At the open file's own offset, which moves along.
    Own,
    /// At this offset.
    At(u64),
}

impl<P: Platform> Linux<P> {
    /// Looks at what can be read next.
    ///
    /// # Errors
    /// `EBADF`, `EISDIR`, `EINVAL`, `ESPIPE` for a position in something that has none.
    pub(crate) fn peek(&mut self, id: Id<OpenFile>, at: Position, out: &mut [u8]) -> Result<Moved> {
        let file = &self.files[id];
        if !file.readable() {
            return Err(Errno::EBADF);
        }
        let offset = match at {
            Position::Own => file.offset,
            Position::At(offset) => offset,
        };
        let seekable = matches!(file.kind, FileKind::Regular(_) | FileKind::Text(..) | FileKind::Device(..));
        if !seekable && at != Position::Own {
            return Err(Errno::ESPIPE);
        }
        match &file.kind {
            FileKind::Regular(ino) => {
                let body = self.inodes.body_mut(*ino).ok_or(Errno::EINVAL)?;
                Ok(Moved::Bytes(body.read(offset, out, &mut self.machine)?))
            }
            FileKind::Text(_, text) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
                let length = out.len().min(text.len() - from);
                out[..length].copy_from_slice(&text[from..from + length]);
                Ok(Moved::Bytes(length))
            }
            FileKind::Directory(_) => Err(Errno::EISDIR),
            FileKind::Pipe { pipe, ends, .. } if ends.reads() => Ok(self.peek_pipe(*pipe, out)),
            FileKind::Pair { incoming, .. } => Ok(self.peek_pipe(*incoming, out)),
            FileKind::Device(device, _) => Ok(Moved::Bytes(self.read_device(*device, out))),
            FileKind::Input => Ok(Moved::Bytes(0)),
            FileKind::Event { count: 0, .. } => Ok(Moved::Wait(WaitKey::Event(id))),
            FileKind::Event { count, semaphore } => {
                let value = if *semaphore { 1 } else { *count };
                let out = out.get_mut(..8).ok_or(Errno::EINVAL)?;
                out.copy_from_slice(&value.to_le_bytes());
                Ok(Moved::Bytes(8))
            }
            FileKind::Stream(_) | FileKind::Pipe { .. } | FileKind::Path(_) => Err(Errno::EBADF),
        }
    }

    fn peek_pipe(&self, id: Id<crate::pipe::Pipe>, out: &mut [u8]) -> Moved {
        let pipe = &self.pipes[id];
        if pipe.len() > 0 || pipe.writers == 0 || out.is_empty() {
            Moved::Bytes(pipe.peek(out))
        } else {
            Moved::Wait(WaitKey::Readable(id))
        }
    }

    fn read_device(&mut self, device: Device, out: &mut [u8]) -> usize {
        match device {
            Device::Null | Device::Tty | Device::Console => 0,
            Device::Zero | Device::Full => {
                out.fill(0);
                out.len()
            }
            Device::Random | Device::Urandom => {
                self.machine.platform.entropy(out);
                out.len()
            }
        }
    }

    /// Takes `length` bytes that a [`Self::peek`] showed.
    pub(crate) fn advance(&mut self, id: Id<OpenFile>, at: Position, length: usize) {
        if length == 0 {
            return;
        }
        let file = &mut self.files[id];
        match &mut file.kind {
            FileKind::Regular(_) | FileKind::Text(..) if at == Position::Own => {
                file.offset = file.offset.saturating_add(length as u64);
            }
            &mut (FileKind::Pipe { pipe, .. } | FileKind::Pair { incoming: pipe, .. }) => {
                self.pipes[pipe].consume(length);
                self.wake_all(WaitKey::Writable(pipe));
            }
            FileKind::Event { count, semaphore } => {
                *count -= if *semaphore { 1 } else { *count };
                self.wake_all(WaitKey::Event(id));
            }
            _ => {}
        }
    }

    /// Writes what fits of `bytes`, which are part of `whole` bytes that the program wants written.
    ///
    /// # Errors
    /// `EBADF`, `EPIPE` (the caller sends the signal), `ENOSPC`, `EFBIG`, `EINVAL`.
    pub(crate) fn push(
        &mut self,
        id: Id<OpenFile>,
        at: Position,
        bytes: &[u8],
        whole: usize,
    ) -> Result<Moved> {
        let file = &self.files[id];
        if !file.writable() {
            return Err(Errno::EBADF);
        }
        let seekable = matches!(file.kind, FileKind::Regular(_) | FileKind::Device(..));
        if !seekable && at != Position::Own {
            return Err(Errno::ESPIPE);
        }
        match file.kind {
            FileKind::Regular(ino) => self.push_regular(id, ino, at, bytes).map(Moved::Bytes),
            FileKind::Pipe { pipe, ends: Ends::Write | Ends::Both, .. } => self.push_pipe(pipe, bytes, whole),
            FileKind::Pair { outgoing, .. } => self.push_pipe(outgoing, bytes, whole),
            FileKind::Device(Device::Full, _) => Err(Errno::ENOSPC),
            FileKind::Device(Device::Console, _) => {
                Ok(self.push_console(crate::platform::Stream::Output, bytes))
            }
            FileKind::Device(..) => Ok(Moved::Bytes(bytes.len())),
            FileKind::Stream(stream) => Ok(self.push_console(stream, bytes)),
            FileKind::Event { count, .. } => {
                let value = bytes.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
                let value = value.filter(|&value| value != u64::MAX).ok_or(Errno::EINVAL)?;
                match count.checked_add(value) {
                    Some(sum) if sum < u64::MAX => {
                        if let FileKind::Event { count, .. } = &mut self.files[id].kind {
                            *count = sum;
                        }
                        self.wake_all(WaitKey::Event(id));
                        Ok(Moved::Bytes(8))
                    }
                    _ => Ok(Moved::Wait(WaitKey::Event(id))),
                }
            }
            _ => Err(Errno::EBADF),
        }
    }

    fn push_regular(
        &mut self,
        id: Id<OpenFile>,
        ino: crate::vfs::Ino,
        at: Position,
        bytes: &[u8],
    ) -> Result<usize> {
        let now = self.wall_time();
        let body = self.inodes.body_mut(ino).ok_or(Errno::EINVAL)?;
        let file = &self.files[id];
        let offset = match at {
            Position::At(offset) => offset,
            Position::Own if file.has(g::O_APPEND) => body.size(),
            Position::Own => file.offset,
        };
        let written = body.write(offset, bytes, &mut self.machine)?;
        self.inodes.get_mut(ino).touch(now);
        if at == Position::Own {
            self.files[id].offset = offset + written as u64;
        }
        Ok(written)
    }

    fn push_pipe(&mut self, id: Id<crate::pipe::Pipe>, bytes: &[u8], whole: usize) -> Result<Moved> {
        let pipe = &mut self.pipes[id];
        if pipe.readers == 0 {
            return Err(Errno::EPIPE);
        }
        if bytes.is_empty() {
            return Ok(Moved::Bytes(0));
        }
        if !pipe.accepts(whole) {
            return Ok(Moved::Wait(WaitKey::Writable(id)));
        }
        let pushed = pipe.push(bytes);
        self.wake_all(WaitKey::Readable(id));
        Ok(Moved::Bytes(pushed))
    }

    fn push_console(&mut self, stream: crate::platform::Stream, bytes: &[u8]) -> Moved {
        if bytes.is_empty() {
            return Moved::Bytes(0);
        }
        match self.machine.platform.console(stream, bytes) {
            0 => Moved::Wait(WaitKey::Console),
            taken => Moved::Bytes(taken.min(bytes.len())),
        }
    }

    /// The time of day, as files are stamped with.
    pub(crate) fn wall_time(&self) -> Time {
        Time::from_nanos(self.machine.platform.epoch() + self.machine.platform.now())
    }
}
