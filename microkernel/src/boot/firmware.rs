//! What the loader says: the PVH start info (Xen `public/arch-x86/hvm/start_info.h`).

use heapless::Vec;
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::arch::x86_64::physmap;
use crate::limits::{BOOT_MAPPED, MAX_RANGES};
use crate::types::PhysAddr;

/// Bytes that firmware or loader left in memory; none if they lie beyond what boot maps.
#[must_use]
pub fn bytes(start: PhysAddr, length: u64) -> Option<&'static [u8]> {
    let end = start.0.checked_add(length)?;
    if start.0 == 0 || end > BOOT_MAPPED {
        return None;
    }
    // SAFETY: the boot tables map this range; boot writes only to memory that the map calls free, which holds no
    // tables, so nobody writes while these are read. Any byte is a valid u8.
    Some(unsafe { core::slice::from_raw_parts(physmap::pointer(start), usize::try_from(length).ok()?) })
}

/// Reads a structure that firmware or loader left in memory.
#[must_use]
pub fn read<T: FromBytes>(at: PhysAddr) -> Option<T> {
    T::read_from_bytes(bytes(at, size_of::<T>() as u64)?).ok()
}

const MAGIC: u32 = 0x336e_c578;

#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    module_count: u32,
    modules: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_entries: u32,
    reserved: u32,
}

#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct ModuleEntry {
    address: u64,
    size: u64,
    command_line: u64,
    reserved: u64,
}

#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct MemoryEntry {
    address: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

/// What a range of memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeKind {
    /// Free for use.
    Usable,
    /// Holds ACPI tables.
    Acpi,
    /// Not for use; may not be memory at all.
    Reserved,
}

/// A range of the physical address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Its first byte.
    pub start: u64,
    /// The first byte after it.
    pub end: u64,
    /// What it is.
    pub kind: RangeKind,
}

/// What the loader says.
#[derive(Clone, Debug)]
pub struct Firmware {
    /// Memory ranges, as they come.
    pub ranges: Vec<Range, MAX_RANGES>,
    /// The first boot module: where, and how many bytes.
    pub bundle: Option<(PhysAddr, u64)>,
    /// Where the ACPI root pointer is.
    pub rsdp: PhysAddr,
}

/// Reads the start info; none if it is not one. Ranges beyond [`MAX_RANGES`] are dropped, which loses memory but nothing
/// else, since what no range calls usable is not used.
#[must_use]
pub fn read_start_info(at: PhysAddr) -> Option<Firmware> {
    let info: StartInfo = read(at)?;
    if info.magic != MAGIC || info.version == 0 {
        return None;
    }
    let mut ranges = Vec::new();
    for index in 0..u64::from(info.memory_entries) {
        let entry: MemoryEntry = read(PhysAddr(info.memory_map + index * size_of::<MemoryEntry>() as u64))?;
        let kind = match entry.kind {
            1 => RangeKind::Usable,
            3 => RangeKind::Acpi,
            _ => RangeKind::Reserved,
        };
        let end = entry.address.saturating_add(entry.size);
        if ranges.push(Range { start: entry.address, end, kind }).is_err() {
            break;
        }
    }
    let bundle = if info.module_count > 0 { read::<ModuleEntry>(PhysAddr(info.modules)) } else { None };
    Some(Firmware {
        ranges,
        bundle: bundle.map(|module| (PhysAddr(module.address), module.size)),
        rsdp: PhysAddr(info.rsdp),
    })
}
