//! Memory: objects made from untyped memory, and regions mapped into this program's space.

use core::sync::atomic::AtomicU64;

use caps::{Error, Handle, Kind, Rights};
use idl::Object;
use idl::abi::{LENT_BASE, LENT_END, PAGE_SIZE};
use idl::types::{PageIndex, Pages, UserPage};

use crate::cap::{AddressSpace, Binding, Cap, Region, Untyped, cap};
use crate::environment;
use crate::slots;
use crate::sync::Mutex;

/// Where mappings of this program's own begin: far above any program.
const WINDOWS: u64 = 0x10_0000_0000;
/// Where they end.
const WINDOWS_END: u64 = LENT_BASE;
/// How many returned windows are remembered.
const REMEMBERED: usize = 32;
/// From how many untyped memories objects are made at most: one for each lot, and the program's own.
const SOURCES: usize = 33;

static POOL: Mutex<heapless::Vec<Cap<Untyped>, SOURCES>> = Mutex::new(heapless::Vec::new());
static WINDOW: Mutex<Windows> = Mutex::new(Windows::new(WINDOWS, WINDOWS_END));
#[cfg_attr(not(feature = "image"), allow(dead_code, reason = "the host lends bytes"))]
static LENT: Mutex<Windows> = Mutex::new(Windows::new(LENT_BASE, LENT_END));

/// Lets objects be made from this memory too, when what was there before is used up.
pub fn add_source(untyped: Cap<Untyped>) {
    // A program that holds more memories than there can be lots has one too many; it can still use it by name.
    let _ = POOL.lock().push(untyped);
}

/// Makes no more objects from this memory.
pub fn remove_source(untyped: Cap<Untyped>) {
    POOL.lock().retain(|source| source.handle() != untyped.handle());
}

/// Makes an object from whichever memory has room, in a free slot of this program's table. For the unit of
/// `size` see `Untyped.retype`.
///
/// # Errors
/// `OutOfRange` when no slot is free, and those of `Untyped.retype`; `OutOfMemory` when there is no memory.
pub fn create<K: Object>(size: u64) -> Result<Cap<K>, Error> {
    let handle = slots::fill(|slot| {
        let sources = POOL.lock().clone();
        let mut last = Error::OutOfMemory;
        for source in &sources {
            match source.retype(K::KIND, size, slot) {
                Ok(handle) => return Ok(handle),
                Err(error) => last = error,
            }
        }
        Err(last)
    })?;
    Ok(cap(handle))
}

/// Makes an object from this memory, in a free slot of this program's table.
///
/// # Errors
/// `OutOfRange` when no slot is free, and those of `Untyped.retype`.
pub fn create_from<K: Object>(untyped: Cap<Untyped>, size: u64) -> Result<Cap<K>, Error> {
    slots::fill(|slot| untyped.retype(K::KIND, size, slot)).map(cap)
}

/// How many pages hold so many bytes.
///
/// # Errors
/// `BadSize` when they are more than a count of pages can say.
pub fn pages_for(bytes: u64) -> Result<Pages, Error> {
    u32::try_from(bytes.div_ceil(PAGE_SIZE)).map(Pages).map_err(|_| Error::BadSize)
}

/// Binds a region to a space, in a free slot of this program's table.
///
/// # Errors
/// Those of `Region.bind`.
pub fn bind(region: Cap<Region>, space: Cap<AddressSpace>) -> Result<Cap<Binding>, Error> {
    slots::fill(|slot| region.bind(space.handle(), slot)).map(cap)
}

/// Maps pages of a bound region, as many calls as it takes.
///
/// # Errors
/// Those of `AddressSpace.map`; what was mapped by then stays mapped.
pub fn map_pages(
    space: Cap<AddressSpace>,
    binding: Cap<Binding>,
    mut page: PageIndex,
    mut address: UserPage,
    pages: Pages,
    rights: Rights,
) -> Result<(), Error> {
    let mut left = pages.0;
    while left > 0 {
        let done = space.map(binding.handle(), page, address, Pages(left), rights)?.0.min(left);
        if done == 0 {
            return Err(Error::AlreadyMapped);
        }
        left -= done;
        if left > 0 {
            page = PageIndex(page.0.checked_add(done).ok_or(Error::BadRange)?);
            address = address.checked_add(Pages(done)).ok_or(Error::BadRange)?;
        }
    }
    Ok(())
}

/// Unmaps pages, as many calls as it takes.
///
/// # Errors
/// Those of `AddressSpace.unmap`.
pub fn unmap_pages(space: Cap<AddressSpace>, mut address: UserPage, pages: Pages) -> Result<(), Error> {
    let mut left = pages.0;
    while left > 0 {
        let done = space.unmap(address, Pages(left))?.0.clamp(1, left);
        left -= done;
        if left > 0 {
            address = address.checked_add(Pages(done)).ok_or(Error::BadRange)?;
        }
    }
    Ok(())
}

/// A region, mapped at an address of its own in this program's space. Dropping it leaves it mapped.
#[derive(Debug)]
pub struct Mapping {
    address: UserPage,
    pages: Pages,
    region: Cap<Region>,
    binding: Cap<Binding>,
}

impl Mapping {
    /// Maps a whole region at a free address, followed by a page that is never mapped.
    ///
    /// # Errors
    /// Those of `Region.bind` and `AddressSpace.map`; `BadRange` when no address is left.
    pub fn of(region: Cap<Region>, rights: Rights) -> Result<Self, Error> {
        // The mapping error is what the caller must hear of; clean-up that fails only leaks.
        Self::map_in(&WINDOW, region, rights, |mapping| {
            let _ = mapping.unmap();
        })
    }

    /// Maps a region that somebody lent, where it is known as such. `end` unmaps it.
    ///
    /// # Errors
    /// As [`Mapping::of`].
    #[cfg_attr(not(feature = "image"), allow(dead_code, reason = "the host lends bytes"))]
    pub(crate) fn lent(region: Cap<Region>, rights: Rights) -> Result<Self, Error> {
        Self::map_in(&LENT, region, rights, Self::end)
    }

    fn map_in(
        window: &Mutex<Windows>,
        region: Cap<Region>,
        rights: Rights,
        undo: impl FnOnce(Self),
    ) -> Result<Self, Error> {
        let pages = region.info()?;
        let space = environment().space();
        let binding = bind(region, space)?;
        let address = window.lock().take(pages).ok_or(Error::BadRange)?;
        let mapping = Self { address, pages, region, binding };
        match map_pages(space, binding, PageIndex(0), address, pages, rights) {
            Ok(()) => Ok(mapping),
            Err(error) => {
                undo(mapping);
                Err(error)
            }
        }
    }

    /// Makes a region and maps it for reading and writing.
    ///
    /// # Errors
    /// Those of [`create`] and [`Mapping::of`].
    pub fn new(pages: Pages) -> Result<Self, Error> {
        let region = create::<Region>(u64::from(pages.0))?;
        Self::of(region, Rights::READ | Rights::WRITE).inspect_err(|_| {
            let _ = slots::delete(region.handle());
        })
    }

    /// Where it lies.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address.address()
    }

    /// How many pages it has.
    #[must_use]
    pub const fn pages(&self) -> Pages {
        self.pages
    }

    /// The region.
    #[must_use]
    pub const fn region(&self) -> Cap<Region> {
        self.region
    }

    /// The first byte.
    #[must_use]
    pub const fn pointer(&self) -> *mut u8 {
        self.address() as *mut u8
    }

    /// How many bytes it has.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "this is for 64-bit machines")]
    pub const fn len(&self) -> usize {
        self.pages.bytes() as usize
    }

    /// Whether it has no byte. No region is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pages.0 == 0
    }

    /// All words of it, to be shared with whoever else maps the memory. Storing needs a writable mapping, or it faults.
    #[must_use]
    pub const fn words(&self) -> &[AtomicU64] {
        // SAFETY: the words lie in the mapping and are aligned; it stays mapped until `unmap` consumes what the reference
        // borrows, and whoever else has it uses atomic or volatile accesses as this type does.
        unsafe {
            core::slice::from_raw_parts(self.pointer().cast::<AtomicU64>(), self.len() / size_of::<u64>())
        }
    }

    /// A word of it, to be shared with whoever else maps the memory: word `index`, counted from 0. Storing needs a
    /// writable mapping, or it faults.
    #[must_use]
    pub const fn word(&self, index: usize) -> Option<&AtomicU64> {
        let words = self.words();
        if index < words.len() { Some(&words[index]) } else { None }
    }

    /// Copies bytes out, from this offset on; as many as there are.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> usize {
        let count = bytes.len().min(self.len().saturating_sub(offset));
        let from = self.pointer().wrapping_add(offset);
        // SAFETY: the range lies in the mapping, which stays until `unmap` consumes it, and not in the slice,
        // which is memory of another kind. Another program may write the region meanwhile; it gets torn bytes
        // read, no more.
        unsafe { core::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), count) };
        count
    }

    /// Copies bytes in, from this offset on; as many as fit. The mapping must be writable, or it faults.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.len().saturating_sub(offset));
        let to = self.pointer().wrapping_add(offset);
        // SAFETY: as in `read`.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, count) };
        count
    }

    /// The bytes of memory that nobody writes: what a program's maker gave it to read, without the right to write.
    pub(crate) fn into_constant(self) -> &'static [u8] {
        // SAFETY: mapped for reading and, `self` being consumed, for good. The capabilities that this is used for
        // (`slots::MODULES`) do not have WRITE, so no mapping of this program's can write it either.
        unsafe { core::slice::from_raw_parts(self.pointer(), self.len()) }
    }

    /// The bytes of a mapping that is this program's own for good: the region was made for it, nobody else has a
    /// capability to it, and it is never unmapped.
    pub(crate) fn into_slice(self) -> &'static mut [u8] {
        // SAFETY: `self` is consumed, so this is the only way to the memory; callers pass fresh mappings.
        unsafe { core::slice::from_raw_parts_mut(self.pointer(), self.len()) }
    }

    /// Gives back what the mapping took of this program's accounts, after the capability to its region was deleted:
    /// that took the mapping away, at the price of one scan instead of a flush for every call of `unmap`.
    pub fn gone(self) {
        slots::release(self.binding.handle().index());
        WINDOW.lock().put(self.address, self.pages);
    }

    /// Takes a mapping of what was lent away, if the lender has not done it already.
    #[cfg_attr(not(feature = "image"), allow(dead_code, reason = "the host lends bytes"))]
    pub(crate) fn end(self) {
        let binding = self.binding.handle();
        // Pages that went, or that others were put in the place of, count as mapped or as done: nothing is refused.
        let _ = unmap_pages(environment().space(), self.address, self.pages);
        if slots::delete(binding).is_err() {
            slots::release(binding.index());
        }
        LENT.lock().put(self.address, self.pages);
    }

    /// Takes the mapping away. The region stays.
    ///
    /// # Errors
    /// Those of `AddressSpace.unmap` and `CSpace.delete`.
    pub fn unmap(self) -> Result<(), Error> {
        unmap_pages(environment().space(), self.address, self.pages)?;
        slots::delete(self.binding.handle())?;
        WINDOW.lock().put(self.address, self.pages);
        Ok(())
    }
}

/// Zeroed memory of this program's own, for good: what has no better allocator.
///
/// # Errors
/// Those of [`Mapping::new`].
pub fn allocate(pages: Pages) -> Result<&'static mut [u8], Error> {
    Ok(Mapping::new(pages)?.into_slice())
}

/// Which addresses are free for mappings: rising, and returned ones of the same size again.
struct Windows {
    next: u64,
    end: u64,
    returned: heapless::Vec<(UserPage, Pages), REMEMBERED>,
}

impl Windows {
    const fn new(next: u64, end: u64) -> Self {
        Self { next, end, returned: heapless::Vec::new() }
    }

    fn take(&mut self, pages: Pages) -> Option<UserPage> {
        if let Some(index) = self.returned.iter().position(|(_, size)| *size == pages) {
            return Some(self.returned.swap_remove(index).0);
        }
        let address = UserPage::new(self.next)?;
        let next = self.next.checked_add(pages.bytes())?.checked_add(PAGE_SIZE)?;
        if next > self.end {
            return None;
        }
        self.next = next;
        Some(address)
    }

    fn put(&mut self, address: UserPage, pages: Pages) {
        // What is not remembered is not used again; there is a great deal of address space.
        let _ = self.returned.push((address, pages));
    }
}

/// Reserves addresses for a mapping that the caller manages, aligned to a power of two of at least a page.
pub(crate) fn reserve(pages: Pages, alignment: u64) -> Option<UserPage> {
    let mut windows = WINDOW.lock();
    windows.next = windows.next.checked_next_multiple_of(alignment)?;
    let address = UserPage::new(windows.next)?;
    let next = windows.next.checked_add(pages.bytes())?;
    if next > windows.end {
        return None;
    }
    windows.next = next;
    Some(address)
}

/// Whether a kind is made with a size of 0.
#[must_use]
pub const fn is_fixed_size(kind: Kind) -> bool {
    !matches!(kind, Kind::Untyped | Kind::CSpace | Kind::AddressSpace | Kind::Region)
}

/// Derives a copy of a capability of this program's table, with these rights, in a free slot of the same table.
///
/// # Errors
/// Those of `CSpace.copy`.
pub fn copy<K: Object>(of: Cap<K>, rights: Rights) -> Result<Cap<K>, Error> {
    let table = environment().cspace();
    slots::fill(|slot| table.copy(of.handle(), Handle::NONE, slot, rights)).map(cap)
}

/// As [`copy`], with a badge.
///
/// # Errors
/// Those of `CSpace.mint`.
pub fn mint<K: Object>(of: Cap<K>, rights: Rights, badge: idl::types::Badge) -> Result<Cap<K>, Error> {
    let table = environment().cspace();
    slots::fill(|slot| table.mint(of.handle(), Handle::NONE, slot, rights, badge)).map(cap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_do_not_overlap_and_come_back() {
        let mut windows = Windows::new(WINDOWS, WINDOWS_END);
        let first = windows.take(Pages(4)).unwrap();
        let second = windows.take(Pages(1)).unwrap();
        assert!(second.address() >= first.address() + 5 * PAGE_SIZE);
        windows.put(first, Pages(4));
        assert_ne!(windows.take(Pages(2)), Some(first));
        assert_eq!(windows.take(Pages(4)), Some(first));
    }

    #[test]
    fn windows_end() {
        let mut windows = Windows::new(WINDOWS_END - PAGE_SIZE, WINDOWS_END);
        assert_eq!(windows.take(Pages(u32::MAX)), None);
        assert_eq!(windows.take(Pages(1)), None);
    }

    #[test]
    fn pages_are_rounded_up() {
        assert_eq!(pages_for(4097), Ok(Pages(2)));
        assert_eq!(pages_for(u64::MAX), Err(Error::BadSize));
    }

    #[test]
    fn without_a_kernel_nothing_is_made() {
        assert_eq!(create::<Region>(1).map(|cap| cap.handle()), Err(Error::OutOfMemory));
    }
}
