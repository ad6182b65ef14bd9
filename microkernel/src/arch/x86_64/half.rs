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
}

const INTERIOR: PteFlags = PteFlags::PRESENT.union(PteFlags::WRITABLE).union(PteFlags::ACCESSED);
/// The five parts of a half.
const PARTS: [u64; 5] = [layout::PHYSMAP, layout::CORE_AREAS, layout::LAPIC, layout::SHARES, layout::IMAGE];

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
            half.set(root, pml4_index(part), Pte::new(table, INTERIOR, BindingNumber::NONE));
        }
        Ok(half)
    }

    /// The page root: what CR3 gets, and what new PML4s copy their upper half from.
    #[must_use]
    pub const fn root(&self) -> PhysAddr {
        self.root
    }

    /// Maps a chunk in the physical map.
    ///
    /// # Errors
    /// See [`HalfError`]; nothing changed then (a table may have been added).
    pub fn map_chunk(
        &self,
        chunk: PhysAddr,
        access: Access,
        pages: &mut SystemPages,
    ) -> Result<(), HalfError> {
        let address = chunk.0;
        if address >= MAX_PHYSICAL || !address.is_multiple_of(CHUNK) {
            return Err(HalfError::OutOfRange);
        }
        let flags = Use::Data(access).flags() | PteFlags::HUGE;
        self.map(layout::PHYSMAP + address, Level::Two, Pte::new(chunk, flags, BindingNumber::NONE), pages)
    }

    /// Takes a chunk out of the physical map; says whether it was there. The cores of the subOS must then flush.
    pub fn unmap_chunk(&self, chunk: PhysAddr) -> bool {
        chunk.0 < MAX_PHYSICAL && self.unmap(layout::PHYSMAP + chunk.0, Level::Two)
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
            let entry = Pte::new(memory.plus(page), Use::Data(access).flags(), BindingNumber::NONE);
            self.set(table, index(page), entry);
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
        self.map(at, Level::One, Pte::new(page, how.flags(), BindingNumber::NONE), pages)
    }

    /// The entry that maps an address, and its level; for audits and tests.
    #[must_use]
    pub fn lookup(&self, address: u64) -> Option<(Pte, Level)> {
        let mut table = self.root;
        let mut level = Level::Four;
        loop {
            let entry = Self::get(table, level.index(address));
            if !entry.is_present() {
                return None;
            }
            match level.below() {
                Some(below) if !entry.is_huge() => {
                    table = entry.address();
                    level = below;
                }
                _ => return Some((entry, level)),
            }
        }
    }

    /// Calls `visit` with address, entry and level of every mapping of this half: what an audit compares with the
    /// ledger.
    pub fn for_each_leaf(&self, visit: &mut dyn FnMut(u64, Pte, Level)) {
        for part in PARTS {
            let entry = Self::get(self.root, pml4_index(part));
            Self::walk(entry.address(), Level::Three, part, visit);
        }
    }

    fn walk(table: PhysAddr, level: Level, base: u64, visit: &mut dyn FnMut(u64, Pte, Level)) {
        // The image's part begins in the middle of its level-3 table; indices give the address all the same.
        let base = base & !(level.span() * 512 - 1);
        for index in 0..512 {
            let entry = Self::get(table, index);
            if !entry.is_present() {
                continue;
            }
            let address = base + index as u64 * level.span();
            match level.below() {
                Some(below) if !entry.is_huge() => Self::walk(entry.address(), below, address, visit),
                _ => visit(address, entry, level),
            }
        }
    }

    /// Gives all tables of the half back, but for the common parts. No core may run on it any more, and no
    /// address space that copied its root may be loaded again.
    pub fn release(self, pages: &mut SystemPages) {
        // What a part can map at most, and where its leaves are: no more entries are looked at than that takes.
        let areas = MAX_CORES as u64 * AREA_STRIDE;
        let parts = [
            (layout::PHYSMAP, MAX_PHYSICAL, Level::Two),
            (layout::CORE_AREAS, areas, Level::One),
            (layout::SHARES, layout::SHARE_SPACE, Level::One),
        ];
        for (part, bytes, leaf) in parts {
            let entry = Self::get(self.root, pml4_index(part));
            if entry.is_present() {
                Self::release_table(entry.address(), Level::Three, (bytes, leaf), pages);
            }
        }
        pages.give_back(self.root);
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
                entry = Pte::new(page, INTERIOR, BindingNumber::NONE);
                self.set(table, index, entry);
            }
            table = entry.address();
            level = level.below().ok_or(HalfError::OutOfRange)?;
        }
        Ok(table)
    }

    fn unmap(&self, address: u64, leaf: Level) -> bool {
        match self.lookup_table(address, leaf) {
            Some(table) if Self::get(table, leaf.index(address)).is_present() => {
                self.set(table, leaf.index(address), Pte::EMPTY);
                true
            }
            _ => false,
        }
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
