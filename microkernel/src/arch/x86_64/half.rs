//! Kernel halves: the page tables behind the upper half of address spaces. See [`super::layout`] for what is where.
//!
//! A half begins with all its root entries in place, so that copies of the root's upper entries (in every new PML4 of
//! the subOS) stay right when lower tables change. The tables lie in system pages, which only subOS 0's kernel maps:
//! all functions here run there or at boot. Kernel mappings are global and carry accessed and dirty bits from the
//! start, so that page walks write nothing.

use super::area;
use super::layout::{self, pml4_index};
use super::pages::SystemPages;
use super::paging::{BindingNumber, Level, Pte, PteFlags, Table};
use super::physmap;
use crate::limits::{AREA_STRIDE, CHUNK, MAX_CORES, MAX_PHYSICAL, PAGE};
use crate::types::CoreId;
use crate::types::PhysAddr;

/// Why a half could not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfError {
    /// No system page is left for a table.
    NoPage,
    /// The address is outside what the kernel half can map.
    OutOfRange,
    /// Something else is mapped there.
    Occupied,
}

/// Whether the kernel may write a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    Read,
    /// Read and write.
    Write,
}

/// How a page is used by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Data(Access),
    Code,
    Device,
}

impl Use {
    fn flags(self) -> PteFlags {
        let leaf = PteFlags::PRESENT | PteFlags::ACCESSED | PteFlags::DIRTY | PteFlags::GLOBAL;
        match self {
            Use::Data(Access::Read) => leaf | PteFlags::NO_EXECUTE,
            Use::Data(Access::Write) => leaf | PteFlags::NO_EXECUTE | PteFlags::WRITABLE,
            Use::Code => leaf,
            Use::Device => {
                leaf | PteFlags::NO_EXECUTE
                    | PteFlags::WRITABLE
                    | PteFlags::NO_CACHE
                    | PteFlags::WRITE_THROUGH
            }
        }
    }

    /// The entry of a page that is used so.
    pub(crate) fn page(self, at: PhysAddr) -> Pte {
        Pte::new(at, self.flags(), BindingNumber::NONE)
    }

    /// That of a chunk.
    pub(crate) fn chunk(self, at: PhysAddr) -> Pte {
        Pte::new(at, self.flags() | PteFlags::HUGE, BindingNumber::NONE)
    }
}

/// The entry that leads to a table.
pub(crate) fn table(at: PhysAddr) -> Pte {
    let flags = PteFlags::PRESENT | PteFlags::WRITABLE | PteFlags::ACCESSED;
    Pte::new(at, flags, BindingNumber::NONE)
}

/// The five parts of a half.
const PARTS: [u64; 5] = [layout::PHYSMAP, layout::CORE_AREAS, layout::LAPIC, layout::SHARES, layout::IMAGE];

/// Where the part begins that an address lies in, if it lies in one.
pub(crate) fn part(address: u64) -> Option<u64> {
    PARTS.into_iter().find(|part| pml4_index(*part) == pml4_index(address))
}

/// One kernel half, by its home root. Not `Clone`: whoever holds it owns the tables.
#[derive(Debug, PartialEq, Eq)]
pub struct KernelHalf {
    root: PhysAddr,
}

/// The level-3 tables that every half shares: the image's and the local APIC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommonParts {
    /// Level-3 table of the image.
    pub image: PhysAddr,
    /// Level-3 table of the local APIC.
    pub lapic: PhysAddr,
}

impl KernelHalf {
    /// A half that maps the common parts and nothing else.
    ///
    /// # Errors
    /// [`HalfError::NoPage`]; nothing is kept then.
    pub fn new(common: CommonParts, pages: &mut SystemPages) -> Result<KernelHalf, HalfError> {
        let root = pages.take().ok_or(HalfError::NoPage)?;
        let half = KernelHalf { root };
        for part in PARTS {
            let table = match part {
                layout::IMAGE => Some(common.image),
                layout::LAPIC => Some(common.lapic),
                _ => pages.take(),
            };
            let Some(table) = table else {
                half.release(pages);
                return Err(HalfError::NoPage);
            };
            half.set(root, pml4_index(part), self::table(table));
        }
        Ok(half)
    }

    /// The page root: what CR3 gets, and what new PML4s copy their upper half from.
    #[must_use]
    pub const fn root(&self) -> PhysAddr {
        self.root
    }

    /// Maps chunks in a row in the physical map; all or none.
    ///
    /// # Errors
    /// See [`HalfError`]; nothing changed then (tables may have been added).
    pub fn map_chunks(
        &self,
        first: PhysAddr,
        count: usize,
        access: Access,
        pages: &mut SystemPages,
    ) -> Result<(), HalfError> {
        let room = MAX_PHYSICAL.saturating_sub(first.0) / CHUNK;
        if !first.is_aligned(CHUNK) || count as u64 > room {
            return Err(HalfError::OutOfRange);
        }
        let (mut table, mut chunk) = (Err(HalfError::NoPage), first);
        for done in 0..count {
            let address = layout::PHYSMAP + chunk.0;
            let index = Level::Two.index(address);
            if done == 0 || index == 0 {
                table = self.make_table(address, Level::Two, pages);
            }
            match table {
                Ok(table) if !Self::get(table, index).is_present() => {
                    self.set(table, index, Use::Data(access).chunk(chunk));
                }
                failed => {
                    self.unmap_chunks(first, done);
                    return Err(failed.err().unwrap_or(HalfError::Occupied));
                }
            }
            chunk = chunk.plus(CHUNK);
        }
        Ok(())
    }

    /// Takes chunks in a row out of the physical map. The cores of the subOS must then flush.
    pub fn unmap_chunks(&self, first: PhysAddr, count: usize) {
        let mut table = None;
        for done in 0..count {
            let address = layout::PHYSMAP + first.0 + done as u64 * CHUNK;
            let index = Level::Two.index(address);
            if done == 0 || index == 0 {
                table = self.lookup_table(address, Level::Two);
            }
            if let Some(table) = table {
                self.set(table, index, Pte::EMPTY);
            }
        }
    }

    /// Maps one page among the share pages.
    ///
    /// # Errors
    /// See [`HalfError`].
    pub fn map_share_page(
        &self,
        at: u64,
        page: PhysAddr,
        access: Access,
        pages: &mut SystemPages,
    ) -> Result<(), HalfError> {
        if pml4_index(at) != pml4_index(layout::SHARES) || !at.is_multiple_of(PAGE) {
            return Err(HalfError::OutOfRange);
        }
        self.map_page(at, page, Use::Data(access), pages)
    }

    /// Maps a core's area, whose memory is the `AREA_STRIDE` bytes from `memory` on; guard pages stay unmapped. The
    /// mailbox may be kept from being written: an owner is not to answer for the core.
    ///
    /// # Errors
    /// See [`HalfError`]; nothing changed then (a table may have been added).
    pub fn map_core_area(
        &self,
        core: CoreId,
        memory: PhysAddr,
        mailbox: Access,
        pages: &mut SystemPages,
    ) -> Result<(), HalfError> {
        // One table of the last level covers the whole area.
        let table = self.make_table(area::base(core), Level::One, pages)?;
        let index = |page| Level::One.index(area::base(core) + page);
        if area::mapped_pages().any(|page| Self::get(table, index(page)).is_present()) {
            return Err(HalfError::Occupied);
        }
        for page in area::mapped_pages() {
            let access = if page == area::MAILBOX_PAGE { mailbox } else { Access::Write };
            self.set(table, index(page), Use::Data(access).page(memory.plus(page)));
        }
        Ok(())
    }

    /// Takes a core's area out. The core must have left the half before.
    pub fn unmap_core_area(&self, core: CoreId) {
        if let Some(table) = self.lookup_table(area::base(core), Level::One) {
            for page in area::mapped_pages() {
                self.set(table, Level::One.index(area::base(core) + page), Pte::EMPTY);
            }
        }
    }

    pub(crate) fn map_page(
        &self,
        at: u64,
        page: PhysAddr,
        how: Use,
        pages: &mut SystemPages,
    ) -> Result<(), HalfError> {
        self.map(at, Level::One, how.page(page), pages)
    }

    /// Whether an entry of this level maps an address.
    #[must_use]
    pub fn maps(&self, address: u64, leaf: Level) -> bool {
        let table = self.lookup_table(address, leaf);
        table.is_some_and(|table| Self::get(table, leaf.index(address)).is_present())
    }

    /// Calls `visit` with address, entry and level of every entry of this half, and of the tables that those entries lead
    /// to of which it says so: what an audit compares with the ledger.
    pub fn for_each_entry(&self, visit: &mut dyn FnMut(u64, Pte, Level) -> bool) {
        Self::walk(self.root, Level::Four, 0, visit);
    }

    fn walk(table: PhysAddr, level: Level, base: u64, visit: &mut dyn FnMut(u64, Pte, Level) -> bool) {
        for index in 0..512 {
            let entry = Self::get(table, index);
            let address = layout::canonical(base + index as u64 * level.span());
            let goes_on = entry.is_present() && visit(address, entry, level) && !entry.is_huge();
            if let Some(below) = level.below().filter(|_| goes_on) {
                Self::walk(entry.address(), below, address, visit);
            }
        }
    }

    /// Gives the tables of a part of the half back, or at last its root, but not the common parts; what is left, if anything is.
    /// No core may run on it any more, and no address space that copied its root may be loaded again.
    pub fn release_some(self, pages: &mut SystemPages) -> Option<Self> {
        // What a part can map at most, and where its leaves are: no more entries are looked at than that takes.
        let areas = MAX_CORES as u64 * AREA_STRIDE;
        let parts = [
            (layout::PHYSMAP, MAX_PHYSICAL, Level::Two),
            (layout::CORE_AREAS, areas, Level::One),
            (layout::SHARES, layout::SHARE_SPACE, Level::One),
        ];
        let is_there = |part| Self::get(self.root, pml4_index(part)).is_present();
        let Some((part, bytes, leaf)) = parts.into_iter().find(|(part, ..)| is_there(*part)) else {
            pages.give_back(self.root);
            return None;
        };
        let entry = Self::get(self.root, pml4_index(part));
        Self::release_table(entry.address(), Level::Three, (bytes, leaf), pages);
        self.set(self.root, pml4_index(part), Pte::EMPTY);
        Some(self)
    }

    /// Gives all tables of the half back at once.
    pub fn release(self, pages: &mut SystemPages) {
        let mut left = Some(self);
        while let Some(half) = left {
            left = half.release_some(pages);
        }
    }

    fn release_table(table: PhysAddr, level: Level, (bytes, leaf): (u64, Level), pages: &mut SystemPages) {
        if let Some(below) = level.below().filter(|_| level != leaf) {
            let entries = usize::try_from(bytes.div_ceil(level.span())).unwrap_or(512).min(512);
            for index in 0..entries {
                let entry = Self::get(table, index);
                if entry.is_present() {
                    Self::release_table(entry.address(), below, (bytes, leaf), pages);
                }
            }
        }
        pages.give_back(table);
    }

    fn map(&self, address: u64, leaf: Level, entry: Pte, pages: &mut SystemPages) -> Result<(), HalfError> {
        let table = self.make_table(address, leaf, pages)?;
        if Self::get(table, leaf.index(address)).is_present() {
            return Err(HalfError::Occupied);
        }
        self.set(table, leaf.index(address), entry);
        Ok(())
    }

    /// The table of this level that covers an address, made if it is missing.
    fn make_table(&self, address: u64, leaf: Level, pages: &mut SystemPages) -> Result<PhysAddr, HalfError> {
        let mut table = self.root;
        let mut level = Level::Four;
        while level != leaf {
            let index = level.index(address);
            let mut entry = Self::get(table, index);
            if entry.is_present() && entry.is_huge() {
                return Err(HalfError::Occupied);
            }
            if !entry.is_present() {
                let page = pages.take().ok_or(HalfError::NoPage)?;
                entry = self::table(page);
                self.set(table, index, entry);
            }
            table = entry.address();
            level = level.below().ok_or(HalfError::OutOfRange)?;
        }
        Ok(table)
    }

    fn lookup_table(&self, address: u64, leaf: Level) -> Option<PhysAddr> {
        let mut table = self.root;
        let mut level = Level::Four;
        while level != leaf {
            let entry = Self::get(table, level.index(address));
            if !entry.is_present() || entry.is_huge() {
                return None;
            }
            table = entry.address();
            level = level.below()?;
        }
        Some(table)
    }

    fn get(table: PhysAddr, index: usize) -> Pte {
        // SAFETY: a KernelHalf's tables are system pages that only this module fills, with entries that point to
        // such pages or are leaves; the caller runs where system pages are mapped. Volatile, because processors
        // walk the table meanwhile.
        unsafe { entry_place(table, index).read_volatile() }
    }

    fn set(&self, table: PhysAddr, index: usize, entry: Pte) {
        const { assert!(size_of::<Table>() as u64 == PAGE) };
        // SAFETY: as in `get`; an aligned 8-byte store is atomic for page walks (SDM vol 3, 8.1.1).
        unsafe { entry_place(table, index).write_volatile(entry) };
    }
}

fn entry_place(table: PhysAddr, index: usize) -> *mut Pte {
    physmap::pointer::<Pte>(table).wrapping_add(index & 511)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The audit compares with the same table, so that the table is right is for this test to say.
    #[test]
    fn every_use_has_no_more_rights_than_it_needs() {
        const EVERY: u64 = 1 | 1 << 5 | 1 << 6 | 1 << 8;
        let (write, no_execute) = (1 << 1, 1 << 63);
        let (write_through, no_cache) = (1 << 3, 1 << 4);
        let bits = |how: Use| how.page(PhysAddr(0x5000)).bits();
        assert_eq!(bits(Use::Code), 0x5000 | EVERY);
        assert_eq!(bits(Use::Data(Access::Read)), 0x5000 | EVERY | no_execute);
        assert_eq!(bits(Use::Data(Access::Write)), 0x5000 | EVERY | no_execute | write);
        let uncached = write_through | no_cache;
        assert_eq!(bits(Use::Device), 0x5000 | EVERY | no_execute | write | uncached);
        let chunk = Use::Data(Access::Read).chunk(PhysAddr(CHUNK));
        assert_eq!(chunk.bits(), CHUNK | EVERY | no_execute | 1 << 7);
        assert_eq!(table(PhysAddr(0x5000)).bits(), 0x5000 | 1 | write | 1 << 5);
    }

    #[test]
    fn an_address_lies_in_one_part_or_in_none() {
        for address in PARTS {
            assert_eq!(part(address), Some(address));
            assert_eq!(part(address + PAGE), Some(address));
        }
        // The whole root entry of the image, which begins before it.
        assert_eq!(part(0xffff_ff80_0000_0000), Some(layout::IMAGE));
        assert_eq!(part(0), None);
        assert_eq!(part(0xffff_9600_0000_0000), None);
    }
}
