//! What addresses in the kernel's image are called.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use elf::ElfBytes;
use elf::endian::LittleEndian;

use super::territory::Image;
use crate::failure::{Doing, Failure, Result};
use crate::place;

/// What is added to the image's physical addresses.
const IMAGE: u64 = 0xffff_ffff_8000_0000;
/// Addresses from here on are the kernel's.
const KERNEL_HALF: u64 = 1 << 63;

/// Names of instructions and data of one kernel.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// Everything with a name, by address: how long it is, and the name.
    all: BTreeMap<u64, (u64, String)>,
    /// Where an instruction was written: file and line.
    lines: BTreeMap<u64, String>,
}

/// Reads a kernel's file.
///
/// # Errors
/// When it cannot be read.
pub fn read(kernel: &Path) -> Result<Vec<u8>> {
    std::fs::read(kernel).doing(|| format!("cannot read {}", kernel.display()))
}

fn parse(elf: &[u8]) -> Result<ElfBytes<'_, LittleEndian>> {
    ElfBytes::minimal_parse(elf).doing(|| "the kernel is no ELF file".to_owned())
}

/// Where an image lies in memory.
///
/// # Errors
/// When it is no ELF file, or has nothing to load.
pub fn image(elf: &[u8]) -> Result<Image> {
    let nothing = || Failure::new("the kernel has nothing to load");
    let segments = parse(elf)?.segments().ok_or_else(nothing)?;
    let loaded = || segments.iter().filter(|segment| segment.p_type == elf::abi::PT_LOAD);
    let start = loaded().map(|segment| segment.p_paddr).min().ok_or_else(nothing)?;
    let end = loaded().map(|segment| segment.p_paddr + segment.p_memsz).max().ok_or_else(nothing)?;
    Ok(Image { start, end })
}

impl Symbols {
    /// The names of these instructions, and of all data, of a kernel.
    ///
    /// # Errors
    /// When the file has no symbols.
    pub fn of(kernel: &Path, instructions: impl Iterator<Item = u64>) -> Result<Self> {
        let elf = read(kernel)?;
        let file = parse(&elf)?;
        let table = file.symbol_table().ok().flatten();
        let (symbols, names) = table.ok_or_else(|| Failure::new("the kernel has no symbols"))?;
        let mut all = BTreeMap::new();
        for symbol in symbols.iter().filter(|symbol| symbol.st_size > 0) {
            let name = usize::try_from(symbol.st_name).ok().and_then(|at| names.get(at).ok());
            if let Some(name) = name {
                let name = format!("{:#}", rustc_demangle::demangle(name));
                all.insert(symbol.st_value, (symbol.st_size, name));
            }
        }
        Ok(Self { all, lines: lines(kernel, instructions.filter(|address| *address >= KERNEL_HALF)) })
    }

    /// What an instruction belongs to.
    #[must_use]
    pub fn instruction(&self, address: u64) -> String {
        if address < KERNEL_HALF {
            return format!("user mode at {address:#x}");
        }
        let before = self.all.range(..=address).next_back();
        let within = before.filter(|(start, (size, _))| address - **start < *size);
        let name =
            within.map_or_else(|| format!("the kernel at {address:#x}"), |(_, (_, name))| name.clone());
        self.lines.get(&address).map_or(name.clone(), |line| format!("{name} ({line})"))
    }

    /// What lies in a line of the image, by its physical address, if anything there has a name.
    #[must_use]
    pub fn in_line(&self, physical: u64) -> Vec<&str> {
        let (start, end) = (IMAGE + physical, IMAGE + physical + 64);
        let before_end = self.all.range(..end).filter(|(address, (size, _))| *address + size > start);
        before_end.map(|(_, (_, name))| name.as_str()).collect()
    }
}

/// Where instructions were written, as far as `addr2line` is there and knows.
fn lines(kernel: &Path, instructions: impl Iterator<Item = u64>) -> BTreeMap<u64, String> {
    let addresses: BTreeSet<String> = instructions.map(|address| format!("{address:#x}")).collect();
    let output = Command::new("addr2line").args(["-a", "-i", "-e"]).arg(kernel).args(&addresses).output();
    output.map_or_else(
        |_| BTreeMap::new(),
        |output| read_lines(&String::from_utf8_lossy(&output.stdout), place::root()),
    )
}

/// `addr2line` writes each address, then a place for each level of inlining, innermost first. What counts is the first
/// below `root`: the standard library is not where somebody looks.
fn read_lines(text: &str, root: &Path) -> BTreeMap<u64, String> {
    let mut lines = BTreeMap::new();
    let mut address = 0;
    for line in text.lines() {
        if let Some(digits) = line.strip_prefix("0x") {
            address = u64::from_str_radix(digits, 16).unwrap_or(0);
        } else if let Ok(own) = Path::new(line).strip_prefix(root) {
            let own = own.to_string_lossy();
            lines.entry(address).or_insert_with(|| own.split(' ').next().unwrap_or(&own).to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_a_line_has_its_name() {
        let all = [
            (IMAGE + 0x1000, (8, "before")),
            (IMAGE + 0x1030, (32, "across")),
            (IMAGE + 0x1080, (8, "after")),
        ];
        let all = all.into_iter().map(|(at, (size, name))| (at, (size, name.to_owned()))).collect();
        let symbols = Symbols { all, lines: BTreeMap::new() };
        assert_eq!(symbols.in_line(0x1000), ["before", "across"]);
        assert_eq!(symbols.in_line(0x1040), ["across"]);
        assert_eq!(symbols.in_line(0x1080), ["after"]);
        assert!(symbols.in_line(0x10c0).is_empty());
    }

    #[test]
    fn an_instruction_is_called_by_its_function_and_where_it_was_written() {
        let text = "0xffff800000000004\n/rustc/1/atomic.rs:7\n/house/a.rs:9 (discriminator 2)\n/house/b.rs:1\n0x20\n??:0\n";
        let lines = read_lines(text, Path::new("/house"));
        let all = BTreeMap::from([(0xffff_8000_0000_0000, (8, "f".to_owned()))]);
        let symbols = Symbols { all, lines };
        assert_eq!(symbols.instruction(0xffff_8000_0000_0004), "f (a.rs:9)");
        assert_eq!(symbols.instruction(0xffff_8000_0000_0007), "f");
        assert_eq!(symbols.instruction(0xffff_8000_0000_0008), "the kernel at 0xffff800000000008");
        assert_eq!(symbols.instruction(0x20_0000), "user mode at 0x200000");
    }
}
