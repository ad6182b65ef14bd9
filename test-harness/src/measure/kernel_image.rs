//! What the plugin must know of a kernel's image: where it begins, and where it copies and clears memory.

use std::ops::Range;

use elf::ElfBytes;
use elf::endian::LittleEndian;
use elf::note::Note;

use super::Masks;
use crate::failure::{Doing, Failure, Result};

/// The note that tells QEMU where to enter, from Xen's PVH boot protocol.
const PHYS32_ENTRY: u64 = 18;
/// The functions that copy and clear memory, and the one that looks for interrupts meanwhile.
const MEMORY_FUNCTIONS: &[&str] = &["memmove", "memcpy", "memset", "clear_run", LOOK];
/// The entries of interrupts and exceptions, one after the other.
const ENTRIES: &str = "trap_stubs";
/// The function that looks whether an interrupt waits.
const LOOK: &str = "interrupt_waits";
/// None of those that do not say how long they are is longer.
const LONGEST: u64 = 1024;

/// Where a kernel begins, and where it copies and clears memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelImage {
    /// The address of its first instruction, at which QEMU enters it.
    pub entry: u64,
    /// The addresses of the functions that copy and clear memory.
    pub memory_functions: Vec<Range<u64>>,
    /// What the flag for interrupts is known by.
    pub masks: Masks,
    /// The memory that it is loaded into, with what of that is zero at first.
    pub bytes: u64,
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
        let segments = file.segments().ok_or_else(|| Failure::new("the kernel has no segments"))?;
        let loaded = segments.iter().filter(|segment| segment.p_type == elf::abi::PT_LOAD);
        let bytes = loaded.map(|segment| segment.p_memsz).sum();
        let mut memory_functions = Vec::new();
        for name in MEMORY_FUNCTIONS {
            let found = symbols.iter().find(|symbol| symbol.is(name));
            let found = found.ok_or_else(|| Failure::new(format!("the kernel has no {name}")))?;
            let globals = symbols.iter().filter(|symbol| symbol.global).map(|symbol| symbol.start);
            let after = globals.filter(|start| *start > found.start);
            let next = after.min().unwrap_or(u64::MAX).min(found.start.saturating_add(LONGEST));
            let end = if found.size == 0 { next } else { found.start.saturating_add(found.size) };
            memory_functions.push(found.start..end);
        }
        let at = |name: &str| {
            let found = symbols.iter().find(|symbol| symbol.is(name)).map(|symbol| symbol.start);
            found.ok_or_else(|| Failure::new(format!("the kernel has no {name}")))
        };
        let masks = Masks { entries: at(ENTRIES)?, look: at(LOOK)? };
        Ok(Self { entry, memory_functions, masks, bytes })
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

/// A function, or a label in one.
struct Symbol<'f> {
    name: &'f str,
    start: u64,
    /// 0 if it does not say.
    size: u64,
    global: bool,
}

impl Symbol<'_> {
    /// Whether this is its name, by itself or in how the compiler writes the path to it.
    fn is(&self, name: &str) -> bool {
        self.name == name
            || (self.name.starts_with("_ZN") && self.name.contains(&format!("{}{name}17h", name.len())))
            || (self.name.starts_with("_R") && self.name.ends_with(&format!("{}{name}", name.len())))
    }
}

fn symbols<'f>(file: &ElfBytes<'f, LittleEndian>) -> Option<Vec<Symbol<'f>>> {
    let (symbols, names) = file.symbol_table().ok()??;
    let known = symbols.iter().filter(|symbol| symbol.st_value != 0);
    Some(
        known
            .filter_map(|symbol| {
                let name = names.get(usize::try_from(symbol.st_name).ok()?).ok()?;
                let global = symbol.st_bind() == elf::abi::STB_GLOBAL;
                Some(Symbol { name, start: symbol.st_value, size: symbol.st_size, global })
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_by_the_end_of_their_path() {
        let is = |text| Symbol { name: text, start: 1, size: 0, global: false }.is("clear_run");
        assert!(is("clear_run"));
        assert!(is("_ZN11microkernel7machine3raw9clear_run17h0123456789abcdefE"));
        assert!(is("_RNvNtNtCs1_11microkernel7machine3raw9clear_run"));
        assert!(!is("_ZN11microkernel7machine3raw13not_clear_run17h0123456789abcdefE"));
        assert!(!is("clear_runs"));
    }
}
