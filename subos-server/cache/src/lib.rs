//! A block cache in front of a memory disk: a server that calls another, and is one of the same kind.
//!
//! Design principles
//!
//! 1. *A cache is a disk.* It serves the interface that it calls, so whoever reads blocks does not know which of the two it has,
//!    and the table decides.
//! 2. *What a client lends, a client can change.* The disk fills a buffer of the cache's own, and what is kept comes from there.
//!    Kept out of a client's memory, it could be made into anything, for every other client.
//! 3. *Written through.* What the cache has, the disk has. A disk that has died and come back has forgotten all, and so has the
//!    cache then.
//!
//! Reading order: [`Disk`] (the interface), [`MemoryDisk`], [`Cache`]. `cache_server.rs` counts for the metrics collector.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use idl::interface::{CallError, Caller, Generation, Lent, Transport, right};
use idl::kernel::region::Region;
use idl::types::Pages;
use userlib::Error;
use userlib::server::{Buffer, View};

/// Bytes of a block: a page, the least that can be lent.
pub const BLOCK: usize = 4096;
/// Blocks of the memory disk.
pub const BLOCKS: usize = 32;
/// Blocks that the cache keeps.
pub const KEPT: usize = 8;
/// What memory must allow that a block is read into.
pub const INTO: u16 = right::READ | right::WRITE | right::DERIVE;
/// What memory must allow that a block is written from.
pub const FROM: u16 = right::READ | right::DERIVE;

/// Why a disk refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, idl::Word)]
pub enum DiskError {
    /// There is no such block.
    NoSuchBlock = 1,
    /// The memory is shorter than a block, or cannot be mapped.
    Unusable,
    /// Of a cache: the disk behind it does not answer. What was written may be there or not.
    Away,
}

/// Reads and writes blocks, by way of memory.
#[idl::interface(version = 1, rights(READ, WRITE))]
pub trait Disk {
    /// How many blocks there are.
    #[requires(READ)]
    #[idempotent]
    fn blocks(&self) -> Result<u64, DiskError>;
    /// Reads a block.
    #[requires(READ)]
    #[idempotent]
    fn read(&self, block: u64, into: Lent<Region, INTO>) -> Result<(), DiskError>;
    /// Writes a block.
    #[requires(WRITE)]
    #[idempotent]
    fn write(&self, block: u64, from: Lent<Region, FROM>) -> Result<(), DiskError>;
}

/// The bytes of a block.
type Bytes = [u8; BLOCK];

/// Copies a block out of memory that was lent.
fn copy_in(from: &Lent<Region, FROM>, bytes: &mut Bytes) -> Result<(), DiskError> {
    let view = View::<u8, FROM>::of(from).map_err(|_| DiskError::Unusable)?;
    if view.read(0, bytes) == BLOCK { Ok(()) } else { Err(DiskError::Unusable) }
}

/// Copies a block into memory that was lent.
fn copy_out(bytes: &Bytes, into: &Lent<Region, INTO>) -> Result<(), DiskError> {
    let mut view = View::<u8, INTO>::of(into).map_err(|_| DiskError::Unusable)?;
    if view.write(0, bytes) == BLOCK { Ok(()) } else { Err(DiskError::Unusable) }
}

/// A disk that is memory.
#[derive(Debug)]
pub struct MemoryDisk(Vec<Bytes>);

impl Default for MemoryDisk {
    fn default() -> Self {
        Self(vec![[0; BLOCK]; BLOCKS])
    }
}

impl MemoryDisk {
    fn block(&mut self, number: u64) -> Result<&mut Bytes, DiskError> {
        let found = usize::try_from(number).ok().and_then(|index| self.0.get_mut(index));
        found.ok_or(DiskError::NoSuchBlock)
    }
}

impl DiskServer for MemoryDisk {
    fn blocks(&mut self, _: Caller<Disk>) -> Result<u64, DiskError> {
        Ok(self.0.len() as u64)
    }

    fn read(&mut self, _: Caller<Disk>, block: u64, into: Lent<Region, INTO>) -> Result<(), DiskError> {
        copy_out(self.block(block)?, &into)
    }

    fn write(&mut self, _: Caller<Disk>, block: u64, from: Lent<Region, FROM>) -> Result<(), DiskError> {
        let kept = self.block(block)?;
        // All of a block changes or nothing of it.
        let mut bytes = [0; BLOCK];
        copy_in(&from, &mut bytes)?;
        *kept = bytes;
        Ok(())
    }
}

/// A block that the cache keeps.
#[derive(Debug)]
struct Entry {
    block: u64,
    /// When it was last wanted, by the cache's own count.
    wanted: u64,
    bytes: Box<Bytes>,
}

/// What came of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The block was kept.
    Hit,
    /// The disk was asked.
    Miss,
}

/// A cache in front of a disk. It tells `N` what came of each read.
#[derive(Debug)]
pub struct Cache<T, N> {
    disk: DiskClient<T>,
    /// In which life the disk was when it gave what is kept.
    life: Generation,
    buffer: Buffer,
    kept: Vec<Entry>,
    clock: u64,
    note: N,
}

impl<T: Transport, N: FnMut(Seen)> Cache<T, N> {
    /// An empty cache in front of this disk.
    ///
    /// # Errors
    /// Those of making a buffer.
    pub fn new(disk: T, note: N) -> Result<Self, Error> {
        let disk = DiskClient::new(disk);
        let buffer = Buffer::new(Pages(1))?;
        Ok(Self { life: disk.generation(), disk, buffer, kept: Vec::new(), clock: 0, note })
    }

    /// Forgets everything if the disk is not the one any more that gave it.
    fn check_life(&mut self) {
        if self.disk.generation() != self.life {
            self.kept.clear();
            self.life = self.disk.generation();
        }
    }

    /// Asks the disk; connects to its next life first if it has died.
    fn ask<R>(
        &mut self,
        call: impl Fn(&DiskClient<T>, &Buffer) -> Result<R, CallError<DiskError>>,
    ) -> Result<R, DiskError> {
        if self.disk.generation() == Generation::ANY {
            self.disk.reconnect().map_err(|_| DiskError::Away)?;
        }
        let answer = call(&self.disk, &self.buffer);
        self.check_life();
        answer.map_err(|error| match error {
            CallError::Refused(error) => error,
            _ => DiskError::Away,
        })
    }

    /// The place of a block that is kept, or was fetched just now.
    fn fetch(&mut self, block: u64) -> Result<usize, DiskError> {
        self.clock += 1;
        if let Some(index) = self.kept.iter().position(|entry| entry.block == block) {
            (self.note)(Seen::Hit);
            return Ok(index);
        }
        (self.note)(Seen::Miss);
        self.ask(|disk, buffer| disk.read(block, buffer.region().lend()))?;
        let mut bytes = Box::new([0; BLOCK]);
        self.buffer.read(0, &mut *bytes);
        Ok(self.keep(Entry { block, wanted: self.clock, bytes }))
    }

    /// Keeps a block, in the place of the one that was not wanted for longest if there are enough; says where.
    fn keep(&mut self, entry: Entry) -> usize {
        if self.kept.len() < KEPT {
            self.kept.push(entry);
            return self.kept.len() - 1;
        }
        let oldest = (0..self.kept.len()).min_by_key(|index| self.kept[*index].wanted).unwrap_or(0);
        self.kept[oldest] = entry;
        oldest
    }
}

impl<T: Transport, N: FnMut(Seen)> DiskServer for Cache<T, N> {
    fn blocks(&mut self, _: Caller<Disk>) -> Result<u64, DiskError> {
        self.ask(|disk, _| disk.blocks())
    }

    fn read(&mut self, _: Caller<Disk>, block: u64, into: Lent<Region, INTO>) -> Result<(), DiskError> {
        let index = self.fetch(block)?;
        self.kept[index].wanted = self.clock;
        copy_out(&self.kept[index].bytes, &into)
    }

    fn write(&mut self, _: Caller<Disk>, block: u64, from: Lent<Region, FROM>) -> Result<(), DiskError> {
        let mut bytes = Box::new([0; BLOCK]);
        copy_in(&from, &mut bytes)?;
        self.buffer.write(0, &*bytes);
        // Until the disk says that it has it, nobody knows what is there.
        self.kept.retain(|entry| entry.block != block);
        self.ask(|disk, buffer| disk.write(block, buffer.region().lend()))?;
        self.clock += 1;
        self.keep(Entry { block, wanted: self.clock, bytes });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
