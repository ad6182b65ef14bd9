//! The kernel half of every address space: what is where. All else in the upper half is unmapped.
//!
//! | address | what | in which roots |
//! | --- | --- | --- |
//! | `0xffff_8000_0000_0000` | physical map, 2 MiB pages | own chunks; in subOS 0 all memory |
//! | `0xffff_c000_0000_0000` | core areas, 128 KiB apart | own cores; subOS 0 and the park root: all |
//! | `0xffff_d000_0000_0000` | local APIC, uncached | all |
//! | `0xffff_e000_0000_0000` | share pages | own; placed by the machine part |
//! | `0xffff_ffff_8000_0000` | image, physical address + this | all, read-only |

use static_assertions::const_assert_eq;

/// Where the physical map begins.
pub const PHYSMAP: u64 = 0xffff_8000_0000_0000;
/// Where the core areas begin.
pub const CORE_AREAS: u64 = 0xffff_c000_0000_0000;
/// The page of the local APIC.
pub const LAPIC: u64 = 0xffff_d000_0000_0000;
/// Where the share pages begin.
pub const SHARES: u64 = 0xffff_e000_0000_0000;
/// How much address space the share pages have: 1 MiB for each subOS.
pub const SHARE_SPACE: u64 = (crate::limits::MAX_SUBOSES as u64) << 20;
/// What is added to the image's physical addresses.
pub const IMAGE: u64 = 0xffff_ffff_8000_0000;
/// The first address that is not user space.
pub const USER_END: u64 = 0x0000_8000_0000_0000;

const_assert_eq!(pml4_index(PHYSMAP), 256);
const_assert_eq!(pml4_index(CORE_AREAS), 384);
const_assert_eq!(pml4_index(LAPIC), 416);
const_assert_eq!(pml4_index(SHARES), 448);
const_assert_eq!(pml4_index(IMAGE), 511);

/// Which of the 512 entries of a page root covers an address.
#[must_use]
pub const fn pml4_index(address: u64) -> usize {
    ((address >> 39) & 511) as usize
}

/// An address with bits 63 to 48 as bit 47, as a 48-bit processor demands (SDM vol 1, 3.3.7.1).
#[must_use]
pub const fn canonical(address: u64) -> u64 {
    ((address << 16).cast_signed() >> 16).cast_unsigned()
}
