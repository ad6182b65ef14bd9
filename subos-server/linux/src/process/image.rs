//! Building a program's first memory: segments, stack, auxiliary vector.

use alloc::vec::Vec;
use linux_raw_sys::auxvec as at;

use super::elf::{Image, Segment, Source};
use crate::error::{Errno, Result};
use crate::limits::{PAGE_U64, STACK_TOP};
use crate::memory::address::{PageRange, UserPtr};
use crate::memory::areas::{Area, Backing, Role, Sharing};
use crate::memory::{Machine, Memory};
use crate::platform::{Platform, Prot};
use crate::vfs::{Ino, Inodes};

/// Stack that exists from the start below what execve puts there; the rest grows.
const INITIAL_STACK: u64 = 128 * 1024;
/// Where an interpreter is loaded: below the mappings' top, far from the program.
const INTERPRETER_ROOM: u64 = 0x1000_0000;
/// CPUID.1:EDX of the processor every x86_64 program may assume: FPU, TSC, MSR, PAE, CX8, SEP, PGE,
/// CMOV, PAT, MMX, FXSR, SSE, SSE2.
const HWCAP: u64 = 0x0781_a971;
/// Clock ticks a second, as times(2) counts them.
pub(crate) const CLOCK_TICKS: u64 = 100;

/// A file as a source of ELF bytes.
pub(crate) struct FileSource<'a, P> {
    pub(crate) ino: Ino,
    pub(crate) inodes: &'a mut Inodes,
    pub(crate) machine: &'a mut Machine<P>,
}

impl<P: Platform> Source for FileSource<'_, P> {
    fn read(&mut self, offset: u64, out: &mut [u8]) -> usize {
        match self.inodes.body_mut(self.ino) {
            // A program that cannot be read is none.
            Some(body) => body.read(offset, out, self.machine).unwrap_or(0),
            None => 0,
        }
    }
}

/// A program or an interpreter, with where it came from and where it goes.
pub(crate) struct Loaded {
    pub(crate) ino: Ino,
    pub(crate) image: Image,
    pub(crate) bias: u64,
}

/// What the new program finds on its stack.
pub(crate) struct Start<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) arguments: &'a [Vec<u8>],
    pub(crate) environment: &'a [Vec<u8>],
    pub(crate) random: [u8; 16],
    pub(crate) ids: [u32; 4],
}

/// Where execution begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) rip: u64,
    pub(crate) rsp: u64,
}

/// Everything a new memory is made with.
pub(crate) struct Builder<'a, P> {
    pub(crate) memory: &'a mut Memory,
    pub(crate) machine: &'a mut Machine<P>,
    pub(crate) inodes: &'a mut Inodes,
}

impl<P: Platform> Builder<'_, P> {
    /// Loads a program with its interpreter and makes its stack.
    ///
    /// # Errors
    /// `ENOMEM`, or `E2BIG` when the arguments do not fit the stack.
    pub(crate) fn build(
        &mut self,
        program: &Loaded,
        interpreter: Option<&Loaded>,
        start: &Start<'_>,
    ) -> Result<Entry> {
        self.load(program)?;
        if let Some(interpreter) = interpreter {
            self.load(interpreter)?;
        }
        let (_, high) = program.image.span();
        let brk = high + program.bias;
        self.memory.layout.brk_start = brk;
        self.memory.layout.brk = brk;
        let rsp = self.make_stack(program, interpreter, start)?;
        let first = interpreter.unwrap_or(program);
        Ok(Entry { rip: first.image.entry.wrapping_add(first.bias), rsp })
    }

    fn load(&mut self, loaded: &Loaded) -> Result<()> {
        for segment in &loaded.image.segments {
            self.load_segment(loaded, segment)?;
        }
        if self.memory.files.insert(loaded.ino) {
            self.inodes.retain(loaded.ino);
        }
        Ok(())
    }

    fn load_segment(&mut self, loaded: &Loaded, segment: &Segment) -> Result<()> {
        let start = segment.address + loaded.bias;
        let first = start / PAGE_U64;
        let file_end = start + segment.file_size;
        let file_pages = PageRange { start: first, end: file_end.div_ceil(PAGE_U64) };
        let all_end = (start + segment.memory_size).div_ceil(PAGE_U64);
        let area =
            |backing| Area { prot: segment.prot, sharing: Sharing::Private, role: Role::Plain, backing };
        let from_file = segment.file_size > 0;
        if from_file {
            let backing = Backing::File { ino: loaded.ino, page: segment.offset / PAGE_U64 };
            self.memory.areas.insert(file_pages, area(backing))?;
        }
        let zero_start = if from_file { file_pages.end } else { first };
        if all_end > zero_start {
            self.memory
                .areas
                .insert(PageRange { start: zero_start, end: all_end }, area(Backing::Anonymous))?;
        }
        let tail = file_pages.end * PAGE_U64 - file_end;
        let writable = segment.prot.contains(Prot::WRITE);
        if from_file && writable && segment.memory_size > segment.file_size && tail > 0 {
            // To the end of the page, beyond what the segment asks for: the dynamic loader uses it.
            let zeros = alloc::vec![0; usize::try_from(tail).unwrap_or(0)];
            match self.memory.write(UserPtr(file_end), &zeros, self.machine, self.inodes) {
                // The file is shorter than its headers say; the program finds out when it looks.
                Ok(()) | Err(Errno::EFAULT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn make_stack(
        &mut self,
        program: &Loaded,
        interpreter: Option<&Loaded>,
        start: &Start<'_>,
    ) -> Result<u64> {
        let mut strings = Strings { bytes: Vec::new() };
        // From the top downwards, so positions are counted back from the top.
        let path = strings.push(start.path);
        let environment: Vec<u64> =
            start.environment.iter().rev().map(|string| strings.push(string)).collect();
        let environment_low = strings.low();
        let arguments: Vec<u64> = start.arguments.iter().rev().map(|string| strings.push(string)).collect();
        let arguments_low = strings.low();
        let platform = strings.push(b"x86_64");
        strings.align();
        let random = strings.push_raw(&start.random);
        let [uid, euid, gid, egid] = start.ids.map(u64::from);
        let vector = [
            (at::AT_MINSIGSTKSZ, crate::signal::frame::MIN_STACK),
            (at::AT_HWCAP, HWCAP),
            (at::AT_PAGESZ, PAGE_U64),
            (at::AT_CLKTCK, CLOCK_TICKS),
            (at::AT_PHDR, program.image.headers_at.wrapping_add(program.bias)),
            (at::AT_PHENT, 56),
            (at::AT_PHNUM, program.image.header_count),
            (at::AT_BASE, interpreter.map_or(0, |interpreter| interpreter.bias)),
            (at::AT_FLAGS, 0),
            (at::AT_ENTRY, program.image.entry.wrapping_add(program.bias)),
            (at::AT_UID, uid),
            (at::AT_EUID, euid),
            (at::AT_GID, gid),
            (at::AT_EGID, egid),
            (at::AT_SECURE, 0),
            (at::AT_RANDOM, random),
            (at::AT_HWCAP2, 0),
            (at::AT_EXECFN, path),
            (at::AT_PLATFORM, platform),
            (at::AT_NULL, 0),
        ];
        let mut words = Vec::new();
        words.push(arguments.len() as u64);
        words.extend(arguments.iter().rev());
        words.push(0);
        words.extend(environment.iter().rev());
        words.push(0);
        words.extend(vector.iter().flat_map(|&(kind, value)| [u64::from(kind), value]));
        let low = strings.low();
        let rsp = (low - 8 * words.len() as u64) & !15;
        self.map_stack(program, rsp)?;
        let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let strings = strings.into_bytes();
        self.write_all(rsp, &words)?;
        self.write_all(low, &strings)?;
        let layout = &mut self.memory.layout;
        layout.arguments = (arguments_low, environment_low);
        layout.environment = (environment_low, path);
        Ok(rsp)
    }

    fn map_stack(&mut self, program: &Loaded, rsp: u64) -> Result<()> {
        let start = (rsp - INITIAL_STACK) / PAGE_U64;
        let mut prot = Prot::READ | Prot::WRITE;
        prot.set(Prot::EXECUTE, program.image.executable_stack);
        let area = Area { prot, sharing: Sharing::Private, role: Role::Stack, backing: Backing::Anonymous };
        self.memory.layout.stack_top = STACK_TOP;
        self.memory.areas.insert(PageRange { start, end: STACK_TOP / PAGE_U64 }, area)
    }

    fn write_all(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.memory.write(UserPtr(at), bytes, self.machine, self.inodes)
    }
}

/// Where an interpreter goes.
pub(crate) fn interpreter_bias(image: &Image) -> Result<u64> {
    let (low, high) = image.span();
    if !image.position_independent {
        return Ok(0);
    }
    let base = crate::limits::MMAP_TOP - INTERPRETER_ROOM;
    if high - low > INTERPRETER_ROOM { Err(Errno::ENOEXEC) } else { Ok(base - low) }
}

/// Strings stacked downwards from [`STACK_TOP`]; kept in reverse so that pushing is cheap.
struct Strings {
    bytes: Vec<u8>,
}

impl Strings {
    fn low(&self) -> u64 {
        STACK_TOP - self.bytes.len() as u64
    }

    /// Adds a string with its NUL; the answer is its address.
    fn push(&mut self, string: &[u8]) -> u64 {
        self.bytes.push(0);
        self.push_raw(string)
    }

    fn push_raw(&mut self, bytes: &[u8]) -> u64 {
        self.bytes.extend(bytes.iter().rev());
        self.low()
    }

    fn align(&mut self) {
        let length = self.bytes.len().next_multiple_of(16);
        self.bytes.resize(length, 0);
    }

    fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.reverse();
        self.bytes
    }
}
