//! The cores of the machine, from ACPI (specification 6.5, sections 5.2.5 to 5.2.12): RSDP, RSDT or XSDT, MADT. A small
//! reader of our own: see docs/decisions/0030.

use heapless::Vec;
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::arch::x86_64::apic::ApicId;
use crate::limits::MAX_CORES;
use crate::types::PhysAddr;

use super::firmware::{bytes, read};

/// Why the cores could not be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcpiError {
    /// No root pointer where the loader said.
    NoRoot,
    /// The root table is unreadable.
    NoTables,
    /// There is no MADT.
    NoMadt,
}

#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable)]
#[repr(C, packed)]
struct RootPointer {
    signature: [u8; 8],
    checksum: u8,
    maker: [u8; 6],
    revision: u8,
    rsdt: u32,
}

const HEADER: usize = 36;
const MADT_ENTRIES: usize = 44;
/// Larger than any table of interest; a length beyond it is a lie.
const MAX_TABLE: u32 = 1 << 20;

/// The APIC ids of all enabled cores, in the firmware's order. At most [`MAX_CORES`].
///
/// # Errors
/// See [`AcpiError`].
pub fn find_cores(rsdp: PhysAddr) -> Result<Vec<ApicId, MAX_CORES>, AcpiError> {
    let root: RootPointer = read(rsdp).ok_or(AcpiError::NoRoot)?;
    if &root.signature != b"RSD PTR " || !sums_to_zero(bytes(rsdp, 20).ok_or(AcpiError::NoRoot)?) {
        return Err(AcpiError::NoRoot);
    }
    let extended = if root.revision >= 2 { read::<u64>(PhysAddr(rsdp.0 + 24)) } else { None };
    let (address, width) = match extended {
        Some(xsdt) if xsdt != 0 => (xsdt, 8),
        _ => (u64::from(root.rsdt), 4),
    };
    let tables = table(PhysAddr(address)).ok_or(AcpiError::NoTables)?;
    for pointer in tables.get(HEADER..).unwrap_or_default().chunks_exact(width) {
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(pointer);
        if let Some(found) =
            table(PhysAddr(u64::from_le_bytes(wide))).filter(|found| found.starts_with(b"APIC"))
        {
            return Ok(cores_of(found));
        }
    }
    Err(AcpiError::NoMadt)
}

/// A whole table with a right checksum.
fn table(at: PhysAddr) -> Option<&'static [u8]> {
    let length = read::<u32>(PhysAddr(at.0.checked_add(4)?))?;
    if length > MAX_TABLE || (length as usize) < HEADER {
        return None;
    }
    bytes(at, u64::from(length)).filter(|whole| sums_to_zero(whole))
}

fn sums_to_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) == 0
}

/// Entries 0 (local APIC) and 9 (local x2APIC) whose enabled flag is set.
fn cores_of(madt: &[u8]) -> Vec<ApicId, MAX_CORES> {
    let mut cores = Vec::new();
    let mut rest = madt.get(MADT_ENTRIES..).unwrap_or_default();
    while let [kind, length, ..] = *rest {
        let Some((entry, after)) = rest.split_at_checked(usize::from(length)) else { break };
        if length < 2 {
            break;
        }
        let core = match (kind, entry) {
            (0, [_, _, _, id, flags, ..]) if flags & 1 != 0 => Some(ApicId(u32::from(*id))),
            (9, [_, _, _, _, a, b, c, d, flags, ..]) if flags & 1 != 0 => {
                Some(ApicId(u32::from_le_bytes([*a, *b, *c, *d])))
            }
            _ => None,
        };
        if let Some(id) = core
            && !cores.contains(&id)
            && cores.push(id).is_err()
        {
            break;
        }
        rest = after;
    }
    cores
}

#[cfg(test)]
mod tests {
    use super::*;

    fn madt(entries: &[&[u8]]) -> std::vec::Vec<u8> {
        let mut table = std::vec![0; MADT_ENTRIES];
        for entry in entries {
            table.extend_from_slice(entry);
        }
        table
    }

    #[test]
    fn enabled_cores_are_found_in_order() {
        let table = madt(&[
            &[0, 8, 0, 4, 1, 0, 0, 0],
            &[1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0],
            &[0, 8, 1, 2, 0, 0, 0, 0],
            &[9, 16, 0, 0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
            &[0, 8, 1, 4, 1, 0, 0, 0],
        ]);
        assert_eq!(cores_of(&table).as_slice(), [ApicId(4), ApicId(0x107)]);
    }

    #[test]
    fn broken_entries_end_the_walk() {
        assert!(cores_of(&madt(&[&[0, 0, 0, 0]])).is_empty());
        assert!(cores_of(&madt(&[&[0, 200, 0, 0, 1]])).is_empty());
        assert!(cores_of(&[]).is_empty());
    }
}
