//! Reading an ELF image: headers only, all of it checked before anything is mapped.

use alloc::vec::Vec;
use elf::abi;
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::parse::ParsingTable;
use elf::segment::ProgramHeader;

use crate::error::{Errno, Result};
use crate::limits::{DYN_BASE, MAX_SEGMENTS, PAGE_U64, PATH_MAX, USER_END, USER_START};
use crate::platform::Prot;

/// Bytes of the ELF header of a 64-bit file.
pub(crate) const HEADER: usize = 64;
/// Bytes of one program header.
const ENTRY: usize = 56;

/// Where bytes of the file come from.
pub(crate) trait Source {
    /// Reads at an offset; a short count means the end.
    fn read(&mut self, offset: u64, out: &mut [u8]) -> usize;
}

/// A part of the file that goes into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Address in the file's own terms; the load bias comes on top.
    pub(crate) address: u64,
    pub(crate) offset: u64,
    pub(crate) file_size: u64,
    pub(crate) memory_size: u64,
    pub(crate) prot: Prot,
}

/// What the loader needs of an image.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) segments: Vec<Segment>,
    pub(crate) entry: u64,
    /// Address of the program headers in memory, without bias.
    pub(crate) headers_at: u64,
    pub(crate) header_count: u64,
    pub(crate) interpreter: Option<Vec<u8>>,
    pub(crate) position_independent: bool,
    pub(crate) executable_stack: bool,
}

impl Image {
    /// Reads and checks the headers.
    ///
    /// # Errors
    /// `ENOEXEC` when this is not an x86_64 program that can be loaded.
    pub(crate) fn parse(source: &mut impl Source) -> Result<Self> {
        let mut bytes = [0; HEADER];
        if source.read(0, &mut bytes) < HEADER {
            return Err(Errno::ENOEXEC);
        }
        let header = parse_ident::<LittleEndian>(&bytes[..16])
            .and_then(|ident| FileHeader::parse_tail(ident, &bytes[16..]))
            .map_err(|_| Errno::ENOEXEC)?;
        let fits = header.class == Class::ELF64
            && header.e_machine == abi::EM_X86_64
            && matches!(header.e_type, abi::ET_EXEC | abi::ET_DYN)
            && usize::from(header.e_phentsize) == ENTRY
            && (1..=MAX_SEGMENTS).contains(&usize::from(header.e_phnum));
        if !fits {
            return Err(Errno::ENOEXEC);
        }
        let mut table = alloc::vec![0; usize::from(header.e_phnum) * ENTRY];
        if source.read(header.e_phoff, &mut table) < table.len() {
            return Err(Errno::ENOEXEC);
        }
        let headers: Vec<ProgramHeader> =
            ParsingTable::new(LittleEndian, Class::ELF64, &table).iter().collect();
        let mut image = Self {
            segments: Vec::new(),
            entry: header.e_entry,
            headers_at: 0,
            header_count: u64::from(header.e_phnum),
            interpreter: None,
            position_independent: header.e_type == abi::ET_DYN,
            executable_stack: false,
        };
        for program in &headers {
            match program.p_type {
                abi::PT_LOAD => image.segments.push(Segment::checked(program)?),
                abi::PT_INTERP => image.interpreter = Some(read_interpreter(program, source)?),
                abi::PT_GNU_STACK => image.executable_stack = program.p_flags & abi::PF_X != 0,
                abi::PT_PHDR => image.headers_at = program.p_vaddr,
                _ => {}
            }
        }
        if image.segments.is_empty() || !image.segments.is_sorted_by_key(|segment| segment.address) {
            return Err(Errno::ENOEXEC);
        }
        if image.headers_at == 0 {
            let holder = image.segments.iter().find(|segment| {
                segment.offset <= header.e_phoff && header.e_phoff - segment.offset < segment.file_size
            });
            image.headers_at =
                holder.map_or(0, |segment| segment.address + (header.e_phoff - segment.offset));
        }
        Ok(image)
    }

    /// Lowest and highest address, in whole pages, without bias.
    pub(crate) fn span(&self) -> (u64, u64) {
        let low = self.segments.first().map_or(0, |segment| segment.address);
        let high =
            self.segments.iter().map(|segment| segment.address + segment.memory_size).max().unwrap_or(0);
        (low / PAGE_U64 * PAGE_U64, high.next_multiple_of(PAGE_U64))
    }

    /// Where the program is loaded, as what is added to its addresses; `None` when that is nowhere.
    pub(crate) fn bias(&self) -> Option<u64> {
        let (low, high) = self.span();
        let bias = if self.position_independent { DYN_BASE.checked_sub(low)? } else { 0 };
        (low + bias >= USER_START && high.checked_add(bias)? <= USER_END).then_some(bias)
    }
}

impl Segment {
    fn checked(program: &ProgramHeader) -> Result<Self> {
        let segment = Self {
            address: program.p_vaddr,
            offset: program.p_offset,
            file_size: program.p_filesz,
            memory_size: program.p_memsz,
            prot: prot(program.p_flags),
        };
        let inside = |start: u64, size: u64| start.checked_add(size).is_some_and(|end| end <= USER_END);
        let sound = segment.file_size <= segment.memory_size
            && inside(segment.address, segment.memory_size)
            && inside(segment.offset, segment.file_size)
            && segment.address % PAGE_U64 == segment.offset % PAGE_U64;
        if sound { Ok(segment) } else { Err(Errno::ENOEXEC) }
    }
}

fn prot(flags: u32) -> Prot {
    let mut prot = Prot::empty();
    prot.set(Prot::READ, flags & abi::PF_R != 0);
    prot.set(Prot::WRITE, flags & abi::PF_W != 0);
    prot.set(Prot::EXECUTE, flags & abi::PF_X != 0);
    prot
}

fn read_interpreter(program: &ProgramHeader, source: &mut impl Source) -> Result<Vec<u8>> {
    let size = usize::try_from(program.p_filesz).unwrap_or(usize::MAX);
    if !(2..=PATH_MAX).contains(&size) {
        return Err(Errno::ENOEXEC);
    }
    let mut path = alloc::vec![0; size];
    if source.read(program.p_offset, &mut path) < size || path.pop() != Some(0) {
        return Err(Errno::ENOEXEC);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Bytes<'a>(&'a [u8]);

    impl Source for Bytes<'_> {
        fn read(&mut self, offset: u64, out: &mut [u8]) -> usize {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
            let bytes = &self.0[from..];
            let length = bytes.len().min(out.len());
            out[..length].copy_from_slice(&bytes[..length]);
            length
        }
    }

    /// A minimal program: the header and one loaded segment.
    fn minimal() -> Vec<u8> {
        let mut bytes = alloc::vec![0u8; 120];
        bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(16, &2u16.to_le_bytes());
        put(18, &62u16.to_le_bytes());
        put(20, &1u32.to_le_bytes());
        put(24, &0x40_0078u64.to_le_bytes());
        put(32, &64u64.to_le_bytes());
        put(52, &64u16.to_le_bytes());
        put(54, &56u16.to_le_bytes());
        put(56, &1u16.to_le_bytes());
        put(64, &1u32.to_le_bytes());
        put(68, &5u32.to_le_bytes());
        put(80, &0x40_0000u64.to_le_bytes());
        put(96, &120u64.to_le_bytes());
        put(104, &0x2000u64.to_le_bytes());
        bytes
    }

    #[test]
    fn reads_a_minimal_program() {
        let image = Image::parse(&mut Bytes(&minimal())).expect("it is a program");
        assert_eq!(image.entry, 0x40_0078);
        assert_eq!(image.headers_at, 0x40_0040);
        assert_eq!(image.span(), (0x40_0000, 0x40_2000));
        assert_eq!(image.bias(), Some(0));
        assert_eq!(image.segments[0].prot, Prot::READ | Prot::EXECUTE);
    }

    proptest! {
        /// Whatever the bytes, the answer is an image that lies in user memory, or an error.
        #[test]
        fn total_on_damaged_files(damage in prop::collection::vec((0usize..120, any::<u8>()), 0..12), cut in 0usize..=120) {
            let mut bytes = minimal();
            for (at, value) in damage {
                bytes[at] = value;
            }
            bytes.truncate(cut.max(1));
            if let Ok(image) = Image::parse(&mut Bytes(&bytes))
                && let Some(bias) = image.bias()
            {
                let (low, high) = image.span();
                prop_assert!(low + bias >= USER_START && high + bias <= USER_END);
            }
        }
    }
}
