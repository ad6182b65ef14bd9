//! Copies between the server and a program, through the page map: never through the address itself.

use super::address::UserPtr;
use super::{Machine, Memory};
use crate::error::{Errno, Result};
use crate::limits::{PAGE, PAGE_U64, USER_END};
use crate::platform::{Frame, Platform};
use crate::registers::Access;
use crate::vfs::Inodes;

/// Bytes of a string that are read at once.
const STRING_PIECE: usize = 128;

/// A piece of a copy that lies within one page.
struct Piece {
    page: u64,
    offset: usize,
    length: usize,
}

/// The first piece of a run of `length` bytes at `pointer`.
#[allow(clippy::cast_possible_truncation, reason = "an offset within a page fits any integer")]
fn piece(pointer: UserPtr, length: usize) -> Result<Piece> {
    if pointer.0 >= USER_END {
        return Err(Errno::EFAULT);
    }
    let offset = (pointer.0 % PAGE_U64) as usize;
    Ok(Piece { page: pointer.0 / PAGE_U64, offset, length: length.min(PAGE - offset) })
}

impl Memory {
    /// Fills `bytes` from the program's memory.
    ///
    /// # Errors
    /// `EFAULT` when part of it cannot be read.
    pub(crate) fn read<P: Platform>(
        &mut self,
        pointer: UserPtr,
        bytes: &mut [u8],
        machine: &mut Machine<P>,
        inodes: &mut Inodes,
    ) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let piece = piece(pointer.plus(done as u64), bytes.len() - done)?;
            self.copy_piece(&piece, &mut bytes[done..done + piece.length], machine, inodes)?;
            done += piece.length;
        }
        Ok(())
    }

    /// Stores `bytes` into the program's memory.
    ///
    /// # Errors
    /// `EFAULT` when part of it cannot be written; what comes before that part is written.
    pub(crate) fn write<P: Platform>(
        &mut self,
        pointer: UserPtr,
        bytes: &[u8],
        machine: &mut Machine<P>,
        inodes: &mut Inodes,
    ) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let piece = piece(pointer.plus(done as u64), bytes.len() - done)?;
            loop {
                let frame = self.reach(piece.page, Access::Write, machine, inodes)?;
                machine.platform.write(frame, piece.offset, &bytes[done..done + piece.length]);
                // If it is lost, reaching it again says so, or finds another.
                if !machine.platform.lost(frame) {
                    break;
                }
            }
            done += piece.length;
        }
        Ok(())
    }

    /// Reads a string up to its NUL, which is left out.
    ///
    /// # Errors
    /// `EFAULT`, or `too_long` when there is no NUL within `limit` bytes.
    pub(crate) fn read_string<P: Platform>(
        &mut self,
        pointer: UserPtr,
        limit: usize,
        too_long: Errno,
        machine: &mut Machine<P>,
        inodes: &mut Inodes,
    ) -> Result<alloc::vec::Vec<u8>> {
        let mut string = alloc::vec::Vec::new();
        while string.len() < limit {
            // Most strings are short: a piece at a time is read, never past its page.
            let mut bytes = [0; STRING_PIECE];
            let piece = piece(pointer.plus(string.len() as u64), (limit - string.len()).min(STRING_PIECE))?;
            let bytes = &mut bytes[..piece.length];
            self.copy_piece(&piece, bytes, machine, inodes)?;
            if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
                string.extend_from_slice(&bytes[..end]);
                return Ok(string);
            }
            string.extend_from_slice(bytes);
        }
        Err(too_long)
    }

    /// Fills `bytes` from one page.
    fn copy_piece<P: Platform>(
        &mut self,
        piece: &Piece,
        bytes: &mut [u8],
        machine: &mut Machine<P>,
        inodes: &mut Inodes,
    ) -> Result<()> {
        loop {
            let frame = self.reach(piece.page, Access::Read, machine, inodes)?;
            machine.platform.read(frame, piece.offset, bytes);
            // If it is lost, reaching it again says so, or finds another.
            if !machine.platform.lost(frame) {
                return Ok(());
            }
        }
    }

    fn reach<P: Platform>(
        &mut self,
        page: u64,
        access: Access,
        machine: &mut Machine<P>,
        inodes: &mut Inodes,
    ) -> Result<Frame> {
        self.ensure(page, access, machine, inodes).map_err(|denied| match denied {
            super::Denied::NoMemory => Errno::ENOMEM,
            _ => Errno::EFAULT,
        })
    }
}
