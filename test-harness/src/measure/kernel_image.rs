//! What the plugin must know of a kernel's image: where it begins, and where it copies and clears memory.

use std::ops::Range;

use elf::ElfBytes;
use elf::endian::LittleEndian;
use elf::note::Note;

use crate::failure::{Doing, Failure, Result};

/// The note that tells QEMU where to enter, from Xen's PVH boot protocol.
const PHYS32_ENTRY: u64 = 18;
/// The functions that copy and clear memory.
const MEMORY_FUNCTIONS: &[&str] = &["memmove", "memcpy", "memset"];
/// None of them is longer.
const LONGEST: u64 = 1024;

/// Where a kernel begins, and where it copies and clears memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelImage {
    /// The address of its first instruction, at which QEMU enters it.
    pub entry: u64,
    /// The addresses of the functions that copy and clear memory.
    pub memory_functions: Vec<Range<u64>>,
}

impl KernelImage {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// When it is none, has no PVH note, or no symbols.
    pub fn read(elf: &[u8]) -> Result<Self> {
        let file =
            ElfBytes::<LittleEndian>::minimal_parse(elf).doing(|| "the kernel is no ELF file".to_owned())?;
        let entry = entry(&file).ok_or_else(|| Failure::new("the kernel has no PVH note"))?;
        let symbols = symbols(&file).ok_or_else(|| Failure::new("the kernel has no symbols"))?;
        let mut memory_functions = Vec::new();
        for name in MEMORY_FUNCTIONS {
            let found = symbols.iter().find(|(_, symbol)| symbol == name);
            let (start, _) = found.ok_or_else(|| Failure::new(format!("the kernel has no {name}")))?;
            let next = symbols.iter().map(|(address, _)| *address).filter(|address| address > start).min();
            let end = next.unwrap_or(u64::MAX).min(start.saturating_add(LONGEST));
            memory_functions.push(*start..end);
        }
        Ok(Self { entry, memory_functions })
    }
}

fn entry(file: &ElfBytes<'_, LittleEndian>) -> Option<u64> {
    for segment in file.segments()?.iter().filter(|segment| segment.p_type == elf::abi::PT_NOTE) {
        for note in file.segment_data_as_notes(&segment).ok()? {
            if let Note::Unknown(note) = note
                && note.n_type == PHYS32_ENTRY
                && note.name.starts_with(b"Xen")
            {
                let mut bytes = [0; 8];
                let length = note.desc.len().min(8);
                bytes.get_mut(..length)?.copy_from_slice(note.desc.get(..length)?);
                return Some(u64::from_le_bytes(bytes));
            }
        }
    }
    None
}

/// The global functions, with their addresses.
fn symbols<'f>(file: &ElfBytes<'f, LittleEndian>) -> Option<Vec<(u64, &'f str)>> {
    let (symbols, names) = file.symbol_table().ok()??;
    let globals =
        symbols.iter().filter(|symbol| symbol.st_bind() == elf::abi::STB_GLOBAL && symbol.st_value != 0);
    Some(
        globals
            .filter_map(|symbol| {
                let name = usize::try_from(symbol.st_name).ok()?;
                Some((symbol.st_value, names.get(name).ok()?))
            })
            .collect(),
    )
}
