//! What an address space is: page tables, the memory for them, and the numbers of the bindings that may be mapped there.
//!
//! Its memory: one page for this object, one for the table that says which slot holds the binding with a number,
//! one for the root of the page tables, and the rest, taken in order, for the other page tables. A page-table
//! entry names the binding that allowed it, so no record is kept per page, and revoking bindings marks their
//! numbers as dying and makes one resumable scan of the tables.

use caps::bounds::MAX_BINDING;
use caps::{Error, Kind, Rights, SlotRef};

use crate::arch::x86_64::paging::{BindingNumber, Pte, PteFlags};
use crate::limits::{PAGE, SCAN_BUDGET};
use crate::memory::{Header, Memory, Object, Ref};
use crate::sync::{Board, Epoch};
use crate::types::{PhysAddr, VirtAddr};

/// Pages before the pool of page tables: the object, the table of bindings, the root.
const FIXED_PAGES: u64 = 3;
/// The fewest pages that make a useful space: one path of page tables.
pub const MIN_PAGES: u64 = FIXED_PAGES + 3;
/// The most pages that one space may have.
pub const MAX_PAGES: u64 = 1 << 16;

const NUMBERS: usize = MAX_BINDING as usize + 1;
const WORDS: usize = NUMBERS / 64;

/// An address space. See the module.
#[repr(C, align(64))]
pub struct AddressSpace {
    header: Header,
    pages: u64,
    next_page: u64,
    live: [u64; WORDS],
    dying: [u64; WORDS],
    /// Where the scan for dying bindings goes on, while one is under way.
    scan: Option<ScanPosition>,
    /// The epoch after which no core can reach what the bindings mapped that the last scan looked for.
    scanned: Epoch,
    /// The next space of this kernel.
    pub next: Option<Ref<AddressSpace>>,
    /// The space before this one.
    pub previous: Option<Ref<AddressSpace>>,
}

/// How far a scan has come: the pool's page tables are visited in order, each in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ScanPosition {
    page: u64,
    entry: usize,
}

// SAFETY: repr(C), the header first, and retype carves whole pages, at least one.
unsafe impl Object for AddressSpace {
    const KIND: Kind = Kind::AddressSpace;
    const HEADER: usize = 0;
}

impl AddressSpace {
    /// A space of this many pages, all zero but for what this returns to be written to the first.
    #[must_use]
    pub const fn new(pages: u64) -> Self {
        Self {
            header: Header::new(Kind::AddressSpace),
            pages,
            next_page: FIXED_PAGES,
            live: [0; WORDS],
            dying: [0; WORDS],
            scan: None,
            scanned: Epoch(0),
            next: None,
            previous: None,
        }
    }

    /// A binding number that is not in use. That of a binding that went is in use until all cores have forgotten what it
    /// mapped.
    #[must_use]
    pub fn free_number(&self, board: &Board) -> Option<u16> {
        let forgotten = self.are_forgotten(board);
        (1..=MAX_BINDING).find(|number| {
            let (word, bit) = place(*number);
            let used = if forgotten { self.live[word] & !self.dying[word] } else { self.live[word] };
            used & bit == 0
        })
    }

    /// A number that is free is in use from now on.
    pub fn take_number(&mut self, number: u16, board: &Board) {
        if self.are_forgotten(board) {
            for (live, dying) in self.live.iter_mut().zip(&mut self.dying) {
                *live &= !core::mem::take(dying);
            }
        }
        let (word, bit) = place(number);
        self.live[word] |= bit;
    }

    /// Whether no core can reach any more what bindings mapped that went.
    fn are_forgotten(&self, board: &Board) -> bool {
        self.scan.is_none() && board.is_quiet(self.scanned)
    }

    /// The binding with this number has gone: its mappings must go before the number is used again.
    pub fn mark_dying(&mut self, number: u16) {
        let (word, bit) = place(number);
        self.dying[word] |= bit;
        // A scan that is under way has passed some tables without looking for this number.
        self.scan = Some(ScanPosition { page: FIXED_PAGES, entry: 0 });
    }

    /// Whether a scan is under way.
    #[must_use]
    pub const fn is_scanning(&self) -> bool {
        self.scan.is_some()
    }
}

fn place(number: u16) -> (usize, u64) {
    (usize::from(number / 64) % WORDS, 1 << (number % 64))
}

/// The index of an address in the page table of this level, 4 for the root.
fn index(address: VirtAddr, level: u32) -> usize {
    (address.0 >> (12 + 9 * (level - 1)) & 0x1ff) as usize
}

impl AddressSpace {
    /// The root of the page tables of the space at this address.
    #[must_use]
    #[inline]
    pub fn root_at(space: PhysAddr) -> PhysAddr {
        space.plus(2 * PAGE)
    }

    /// The space whose page tables have this root.
    #[must_use]
    pub fn of_root(root: PhysAddr) -> Ref<Self> {
        Ref::at(PhysAddr(root.0 - 2 * PAGE))
    }
}

impl Ref<AddressSpace> {
    /// The root of the page tables.
    #[must_use]
    pub fn root(self) -> PhysAddr {
        AddressSpace::root_at(self.address())
    }

    fn binding_table(self) -> PhysAddr {
        self.address().plus(PAGE)
    }

    /// Remembers which slot holds the binding with this number, for audits.
    pub fn set_binding(self, memory: &mut Memory, number: u16, slot: Option<SlotRef>) {
        let shift = 32 * u32::from(number % 2);
        let word = &mut memory.page_mut(self.binding_table())[usize::from(number / 2) % 512];
        let value = slot.map_or(0, |slot| u64::from(slot.number()));
        *word = *word & !(0xffff_ffff << shift) | value << shift;
    }

    /// The slot that holds the binding with this number.
    #[must_use]
    pub fn binding(self, memory: &Memory, number: u16) -> Option<SlotRef> {
        let word = memory.page(self.binding_table())[usize::from(number / 2) % 512];
        let value = (word >> (32 * u32::from(number % 2))) & 0xffff_ffff;
        SlotRef::new(u32::try_from(value).unwrap_or(0))
    }

    /// The page table nearest to an address, and its level: 1 if there is no other below it for this address.
    fn nearest(self, memory: &Memory, address: VirtAddr) -> (PhysAddr, u32) {
        let mut table = self.root();
        for level in [4, 3, 2] {
            let entry = Pte::from_bits(memory.page(table)[index(address, level)]);
            if !entry.is_present() {
                return (table, level);
            }
            table = entry.address();
        }
        (table, 1)
    }

    /// Whether a page can be mapped there: `AlreadyMapped`, `OutOfTables`.
    pub fn check_map(self, memory: &Memory, address: VirtAddr) -> Result<(), Error> {
        let (table, level) = self.nearest(memory, address);
        let occupied = level == 1 && Pte::from_bits(memory.page(table)[index(address, 1)]).is_present();
        let space = &memory[self];
        match occupied {
            true => Err(Error::AlreadyMapped),
            false if space.next_page + u64::from(level - 1) > space.pages => Err(Error::OutOfTables),
            false => Ok(()),
        }
    }

    /// Maps pages in a row, the first with this entry, until one cannot be mapped; says how many.
    pub fn map_all(self, memory: &mut Memory, at: VirtAddr, count: u64, first: Pte) -> u64 {
        let mut done = 0;
        while done < count && self.check_map(memory, at.plus(done * PAGE)).is_ok() {
            done += self.map(memory, at.plus(done * PAGE), count - done, first.bits() + done * PAGE);
        }
        done
    }

    /// Maps a page, as was checked, and those after it that the same table is for and has nothing mapped at; says how many.
    fn map(self, memory: &mut Memory, address: VirtAddr, count: u64, entry: u64) -> u64 {
        let (mut table, mut level) = self.nearest(memory, address);
        while level > 1 {
            let space = &mut memory[self];
            let fresh = self.address().plus(space.next_page * PAGE);
            space.next_page += 1;
            memory.page_mut(table)[index(address, level)] = table_entry(fresh).bits();
            (table, level) = (fresh, level - 1);
        }
        let vacant = |place: &&mut u64| !Pte::from_bits(**place).is_present();
        let places = memory.page_mut(table).iter_mut().skip(index(address, 1)).take_while(vacant);
        let mut done = 0;
        for place in places.take(usize::try_from(count).unwrap_or(usize::MAX)) {
            *place = entry + done * PAGE;
            done += 1;
        }
        done
    }

    /// Takes away what is mapped at pages in a row, and says so of each.
    pub fn unmap_all(self, memory: &mut Memory, at: VirtAddr, count: u64, mut gone: impl FnMut(VirtAddr)) {
        let (mut table, mut level) = self.nearest(memory, at);
        for at in (0..count).map(|page| at.plus(page * PAGE)) {
            if index(at, 1) == 0 {
                (table, level) = self.nearest(memory, at);
            }
            let place = &mut memory.page_mut(table)[index(at, 1)];
            if level == 1 && Pte::from_bits(*place).is_present() {
                *place = 0;
                gone(at);
            }
        }
    }

    /// The entry for an address, if a page is mapped there.
    #[must_use]
    pub fn entry(self, memory: &Memory, address: VirtAddr) -> Option<Pte> {
        let (table, level) = self.nearest(memory, address);
        let entry = Pte::from_bits(memory.page(table)[index(address, 1)]);
        (level == 1 && entry.is_present()).then_some(entry)
    }

    /// Replaces the entry for an address at which a page is mapped.
    pub fn replace(self, memory: &mut Memory, address: VirtAddr, entry: Pte) {
        let (table, level) = self.nearest(memory, address);
        assert!(level == 1, "a page is mapped there");
        memory.page_mut(table)[index(address, 1)] = entry.bits();
    }

    /// One step of the scan that clears what dying bindings mapped, a part of a table. Returns whether it has come to its end; every core
    /// is asked to flush after that, and the numbers are free when all have.
    pub fn scan_step(self, memory: &mut Memory, board: &Board) -> bool {
        let space = &mut memory[self];
        let Some(ScanPosition { page, entry }) = space.scan else { return true };
        if page == space.next_page {
            space.scan = None;
            space.scanned = board.next();
            return true;
        }
        let end = entry + SCAN_BUDGET;
        let next = if end < 512 { (page, end) } else { (page + 1, 0) };
        space.scan = Some(ScanPosition { page: next.0, entry: next.1 });
        let dying = space.dying;
        let table = memory.page_mut(self.address().plus(page * PAGE));
        // No binding has the number 0, which is that of an entry that none allowed.
        for place in table[entry..end.min(512)].iter_mut().filter(|place| **place != 0) {
            let (word, bit) = self::place(Pte::from_bits(*place).binding().get());
            if dying[word] & bit != 0 {
                *place = 0;
            }
        }
        false
    }

    /// Calls `visit` with every entry and its level, for audits, and with those of the tables of which it says so.
    pub fn for_each_entry(self, memory: &Memory, visit: &mut dyn FnMut(VirtAddr, Pte, u32) -> bool) {
        walk(memory, self.root(), 4, VirtAddr(0), visit);
    }

    /// The entry for a page table of this space, if one is there; for audits.
    #[must_use]
    pub fn table_at(self, memory: &Memory, table: PhysAddr) -> Option<Pte> {
        let pool =
            self.address().plus(FIXED_PAGES * PAGE)..self.address().plus(memory[self].next_page * PAGE);
        pool.contains(&table).then(|| table_entry(table))
    }
}

/// An entry for a page table below another.
fn table_entry(table: PhysAddr) -> Pte {
    Pte::new(table, PteFlags::PRESENT | PteFlags::WRITABLE | PteFlags::USER, BindingNumber::NONE)
}

/// An entry for a page that a binding allows to map with these rights.
#[must_use]
pub fn page_entry(page: PhysAddr, rights: Rights, binding: BindingNumber) -> Pte {
    let mut flags = PteFlags::PRESENT | PteFlags::USER;
    flags.set(PteFlags::WRITABLE, rights.contains(Rights::WRITE));
    flags.set(PteFlags::NO_EXECUTE, !rights.contains(Rights::EXECUTE));
    Pte::new(page, flags, binding)
}

/// What an entry allows.
#[must_use]
pub fn entry_rights(entry: Pte) -> Rights {
    let flags = entry.flags();
    let mut rights = Rights::READ;
    rights.set(Rights::WRITE, flags.contains(PteFlags::WRITABLE));
    rights.set(Rights::EXECUTE, !flags.contains(PteFlags::NO_EXECUTE));
    rights
}

/// Visits the entries below a table. The recursion is three calls deep, one a level.
fn walk(
    memory: &Memory,
    table: PhysAddr,
    level: u32,
    base: VirtAddr,
    visit: &mut dyn FnMut(VirtAddr, Pte, u32) -> bool,
) {
    for index in 0..if level == 4 { 256 } else { 512 } {
        let entry = Pte::from_bits(memory.page(table)[index]);
        let address = base.plus((index as u64) << (12 + 9 * (level - 1)));
        if entry.is_present() && visit(address, entry, level) && level > 1 {
            walk(memory, entry.address(), level - 1, address, visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::physical_memory;
    use crate::types::CoreId;

    #[test]
    fn a_number_is_used_again_only_when_every_core_has_flushed() {
        let _guard = physical_memory();
        let (mut memory, board) = (Memory::new(), Board::default());
        let space = Ref::<AddressSpace>::at(PhysAddr(PAGE));
        memory.create(PhysAddr(PAGE), AddressSpace::new(MIN_PAGES));
        board.join(CoreId(1), || ());
        board.join(CoreId(2), || ());
        let number = memory[space].free_number(&board).unwrap();
        memory[space].take_number(number, &board);
        let entry = page_entry(PhysAddr(9 * PAGE), Rights::READ, BindingNumber::new(number).unwrap());
        assert_eq!(space.map_all(&mut memory, VirtAddr(0x1000), 1, entry), 1);
        memory[space].mark_dying(number);
        let later = |memory: &Memory| assert_ne!(memory[space].free_number(&board), Some(number));
        later(&memory);
        while !space.scan_step(&mut memory, &board) {
            later(&memory);
        }
        assert_eq!(space.entry(&memory, VirtAddr(0x1000)), None);
        later(&memory);
        let _ = board.raise();
        board.answer(CoreId(1), || {});
        later(&memory);
        board.answer(CoreId(2), || {});
        assert_eq!(memory[space].free_number(&board), Some(number));
    }

    #[test]
    fn what_cannot_be_mapped_is_refused_before_a_table_is_taken() {
        let _guard = physical_memory();
        let mut memory = Memory::new();
        let space = Ref::<AddressSpace>::at(PhysAddr(PAGE));
        memory.create(PhysAddr(PAGE), AddressSpace::new(MIN_PAGES + 1));
        for page in 1..MIN_PAGES + 1 {
            memory.clear_page(PhysAddr(PAGE + page * PAGE));
        }
        let map = |memory: &mut Memory, address| {
            space.check_map(memory, VirtAddr(address))?;
            let entry = page_entry(PhysAddr(9 * PAGE), Rights::READ, BindingNumber::NONE);
            assert_eq!(space.map_all(memory, VirtAddr(address), 1, entry), 1);
            Ok(())
        };
        assert_eq!(map(&mut memory, 0x1000), Ok(()));
        assert_eq!(map(&mut memory, 0x1000), Err(Error::AlreadyMapped));
        assert_eq!(map(&mut memory, 1 << 39), Err(Error::OutOfTables), "three tables, and one is left");
        assert_eq!(map(&mut memory, 1 << 30), Err(Error::OutOfTables), "two tables");
        assert_eq!(map(&mut memory, 1 << 21), Ok(()), "one table");
        assert_eq!(map(&mut memory, 1 << 22), Err(Error::OutOfTables));
        assert_eq!(map(&mut memory, 0x2000), Ok(()), "none");
    }
}
