//! Page-table entries and tables (SDM vol 3, 4.5). Nothing here follows a pointer; see [`super::half`] for the
//! kernel's own tables, and the kernel's `AddressSpace` for user tables.

use bitflags::bitflags;

use crate::types::PhysAddr;

bitflags! {
    /// The bits of an entry that are neither address nor binding number.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PteFlags: u64 {
        /// The entry is in use.
        const PRESENT = 1 << 0;
        /// Writes are allowed.
        const WRITABLE = 1 << 1;
        /// User mode may use it.
        const USER = 1 << 2;
        /// Write-through; with `NO_CACHE`, uncached.
        const WRITE_THROUGH = 1 << 3;
        /// Not cached.
        const NO_CACHE = 1 << 4;
        /// Set by the processor on use.
        const ACCESSED = 1 << 5;
        /// Set by the processor on writing (leaf entries).
        const DIRTY = 1 << 6;
        /// A leaf of 2 MiB or 1 GiB (not in the last level).
        const HUGE = 1 << 7;
        /// Survives a load of CR3 in the TLB.
        const GLOBAL = 1 << 8;
        /// Instruction fetches are refused.
        const NO_EXECUTE = 1 << 63;
    }
}

/// The number of the binding that allowed a user mapping: ten bits; zero means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct BindingNumber(u16);

impl BindingNumber {
    /// No binding: an empty or an interior entry.
    pub const NONE: BindingNumber = BindingNumber(0);
    /// How many numbers there are, zero included.
    pub const COUNT: u16 = 1 << 10;

    /// The binding with this number, if ten bits hold it.
    #[must_use]
    pub const fn new(number: u16) -> Option<BindingNumber> {
        if number < Self::COUNT { Some(BindingNumber(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// One entry of a page table of any level.
///
/// The binding number takes the bits that the processor ignores in every level: 9 to 11 and 52 to 58 (59 to 62
/// belong to protection keys).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Pte(u64);

impl Pte {
    /// The entry that maps nothing.
    pub const EMPTY: Pte = Pte(0);
    const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
    const LOW_SHIFT: u32 = 9;
    const HIGH_SHIFT: u32 = 52;

    /// An entry for `address` (its low 12 bits are dropped) that names the binding which allows it.
    #[must_use]
    pub const fn new(address: PhysAddr, flags: PteFlags, binding: BindingNumber) -> Pte {
        let low = (binding.0 as u64 & 0b111) << Self::LOW_SHIFT;
        let high = (binding.0 as u64 >> 3) << Self::HIGH_SHIFT;
        Pte(address.0 & Self::ADDRESS | flags.bits() | low | high)
    }

    /// The raw word.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// An entry from its raw word.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Pte {
        Pte(bits)
    }

    /// Whether the entry is in use.
    #[must_use]
    pub const fn is_present(self) -> bool {
        self.0 & PteFlags::PRESENT.bits() != 0
    }

    /// Whether the entry is a leaf above the last level.
    #[must_use]
    pub const fn is_huge(self) -> bool {
        self.0 & PteFlags::HUGE.bits() != 0
    }

    /// The address of the page or table.
    #[must_use]
    pub const fn address(self) -> PhysAddr {
        PhysAddr(self.0 & Self::ADDRESS)
    }

    /// The flags.
    #[must_use]
    pub const fn flags(self) -> PteFlags {
        PteFlags::from_bits_truncate(self.0)
    }

    /// The binding that allowed this entry.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "masked to ten bits")]
    pub const fn binding(self) -> BindingNumber {
        let low = self.0 >> Self::LOW_SHIFT & 0b111;
        let high = self.0 >> Self::HIGH_SHIFT & 0b111_1111;
        BindingNumber((high << 3 | low) as u16)
    }
}

/// A page table of any level.
#[derive(Clone, Debug)]
#[repr(C, align(4096))]
pub struct Table(pub [Pte; 512]);

/// A level of the tree: 4 is the root, 1 holds 4 KiB pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// 4 KiB pages.
    One = 1,
    /// Tables, or 2 MiB pages.
    Two = 2,
    /// Tables (1 GiB pages are not used).
    Three = 3,
    /// The root.
    Four = 4,
}

impl Level {
    /// The level below, which this level's entries point to.
    #[must_use]
    pub const fn below(self) -> Option<Level> {
        match self {
            Level::Four => Some(Level::Three),
            Level::Three => Some(Level::Two),
            Level::Two => Some(Level::One),
            Level::One => None,
        }
    }

    /// How many bytes one entry covers.
    #[must_use]
    pub const fn span(self) -> u64 {
        1 << (12 + 9 * (self as u32 - 1))
    }

    /// The index of the entry that covers an address.
    #[must_use]
    pub const fn index(self, address: u64) -> usize {
        (address >> (12 + 9 * (self as u32 - 1)) & 511) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binding_numbers_and_addresses_do_not_mix() {
        for number in [0, 1, 7, 8, 512, 1023] {
            let binding = BindingNumber::new(number).expect("in range");
            let flags = PteFlags::all() - PteFlags::HUGE;
            let entry = Pte::new(PhysAddr(0x000f_ffff_ffff_f000), flags, binding);
            assert_eq!(entry.binding(), binding);
            assert_eq!(entry.flags(), flags);
            assert_eq!(entry.address().0, 0x000f_ffff_ffff_f000);
            assert_eq!(entry.bits() >> 59 & 0xf, 0, "protection-key bits stay clear");
        }
        assert_eq!(BindingNumber::new(1024), None);
    }

    #[test]
    fn levels_cover_what_the_manual_says() {
        assert_eq!(Level::One.span(), 4096);
        assert_eq!(Level::Two.span(), 2 << 20);
        assert_eq!(Level::Four.index(0xffff_8000_0000_0000), 256);
        assert_eq!(Level::One.index(0x3000), 3);
    }
}
