//! Changing the memory map: what mmap, munmap, mprotect, mremap, madvise and brk come down to.

use super::address::PageRange;
use super::areas::{Area, Backing, Role, Sharing};
use super::{Machine, Memory, Page, Run};
use crate::error::{Errno, Result};
use crate::limits::{MMAP_TOP, PAGE_U64, STACK_MAX, USER_START};
use crate::platform::{Platform, Prot, VirtualPage};

/// Where a mapping is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Anywhere, near this address if it is free.
    Near(u64),
    /// Exactly here, in place of what is there.
    Fixed(u64),
    /// Exactly here, but only if nothing is there.
    FixedNew(u64),
}

impl Memory {
    /// Adds an area of `length` bytes; the answer is its address. The caller holds the file.
    pub(crate) fn map<P: Platform>(
        &mut self,
        place: Place,
        length: u64,
        area: Area,
        machine: &mut Machine<P>,
    ) -> Result<u64> {
        if length == 0 {
            return Err(Errno::EINVAL);
        }
        let range = self.choose(place, length)?;
        self.areas.remove(range)?;
        self.drop_pages(range, machine);
        self.areas.insert(range, area)?;
        Ok(range.start * PAGE_U64)
    }

    fn choose(&self, place: Place, length: u64) -> Result<PageRange> {
        match place {
            Place::Near(hint) => {
                let hint = hint / PAGE_U64 * PAGE_U64;
                if hint >= USER_START
                    && let Ok(range) = PageRange::covering(hint, length)
                    && !self.areas.touches(range)
                {
                    return Ok(range);
                }
                let pages = length.div_ceil(PAGE_U64);
                let start = self.areas.find_gap(pages, MMAP_TOP / PAGE_U64).ok_or(Errno::ENOMEM)?;
                Ok(PageRange { start, end: start + pages })
            }
            Place::Fixed(address) | Place::FixedNew(address) => {
                let range = PageRange::covering(address, length)?;
                if address < USER_START {
                    return Err(Errno::EPERM);
                }
                if matches!(place, Place::FixedNew(_)) && self.areas.touches(range) {
                    return Err(Errno::EEXIST);
                }
                Ok(range)
            }
        }
    }

    /// Takes whatever is in `range` out of the map.
    pub(crate) fn unmap<P: Platform>(&mut self, range: PageRange, machine: &mut Machine<P>) -> Result<()> {
        self.areas.remove(range)?;
        self.drop_pages(range, machine);
        Ok(())
    }

    /// Changes rights. The hardware loses rights now; it gains them by faults.
    pub(crate) fn protect<P: Platform>(
        &mut self,
        range: PageRange,
        prot: Prot,
        machine: &mut Machine<P>,
    ) -> Result<()> {
        self.areas.protect(range, prot)?;
        if prot.is_empty() {
            let mut unmap = Run::default();
            for (&number, page) in self.pages.range_mut(range.start..range.end) {
                if page.installed.is_empty() {
                    continue;
                }
                page.installed = Prot::empty();
                if let Some((first, count, _)) = unmap.extend(number, Prot::empty()) {
                    machine.platform.unmap(self.space, VirtualPage(first), count);
                }
            }
            if let Some((first, count, _)) = unmap.finish() {
                machine.platform.unmap(self.space, VirtualPage(first), count);
            }
            return Ok(());
        }
        let allowed = prot | Prot::READ;
        let mut run = Run::default();
        for (&number, page) in self.pages.range_mut(range.start..range.end) {
            let weaker = page.installed & allowed;
            if page.installed.is_empty() || weaker == page.installed {
                continue;
            }
            page.installed = weaker;
            if let Some((first, count, prot)) = run.extend(number, weaker) {
                machine.platform.protect(self.space, VirtualPage(first), count, prot);
            }
        }
        if let Some((first, count, prot)) = run.finish() {
            machine.platform.protect(self.space, VirtualPage(first), count, prot);
        }
        Ok(())
    }

    /// `madvise(MADV_DONTNEED)`: the pages come back from their backing at the next touch.
    pub(crate) fn discard<P: Platform>(&mut self, range: PageRange, machine: &mut Machine<P>) -> Result<()> {
        if !self.areas.covers(range) {
            return Err(Errno::ENOMEM);
        }
        // Shared anonymous memory is a file here, so its pages come back as they were.
        self.drop_pages(range, machine);
        Ok(())
    }

    /// Moves the end of the heap; the answer is where it is now, which says whether it worked.
    pub(crate) fn set_brk<P: Platform>(&mut self, wanted: u64, machine: &mut Machine<P>) -> u64 {
        let Layout { brk_start, brk, .. } = self.layout;
        let limit = MMAP_TOP - STACK_MAX;
        if wanted < brk_start || wanted >= limit {
            return brk;
        }
        let (old, new) = (brk.div_ceil(PAGE_U64), wanted.div_ceil(PAGE_U64));
        let change = if new > old {
            let range = PageRange { start: old, end: new };
            if self.areas.touches(range) {
                return brk;
            }
            let area = Area {
                prot: Prot::READ | Prot::WRITE,
                sharing: Sharing::Private,
                role: Role::Heap,
                backing: Backing::Anonymous,
            };
            self.areas.insert(range, area)
        } else if new < old {
            self.unmap(PageRange { start: new, end: old }, machine)
        } else {
            Ok(())
        };
        if change.is_ok() {
            self.layout.brk = wanted;
        }
        self.layout.brk
    }

    /// `mremap`: resizes a mapping in place, or moves it with its pages.
    pub(crate) fn remap<P: Platform>(
        &mut self,
        old: PageRange,
        new_length: u64,
        place: Option<Place>,
        machine: &mut Machine<P>,
    ) -> Result<u64> {
        let pages = new_length.div_ceil(PAGE_U64);
        let extent = self.areas.extent(old.start).ok_or(Errno::EFAULT)?;
        if old.end > extent.end || pages == 0 {
            return Err(if pages == 0 { Errno::EINVAL } else { Errno::EFAULT });
        }
        let area = self.areas.at(old.start).ok_or(Errno::EFAULT)?;
        let here = old.start * PAGE_U64;
        if !matches!(place, Some(Place::Fixed(_))) {
            if pages <= old.pages() {
                self.unmap(PageRange { start: old.start + pages, end: old.end }, machine)?;
                return Ok(here);
            }
            let growth = PageRange::covering(old.end * PAGE_U64, (pages - old.pages()) * PAGE_U64)?;
            if old.end == extent.end && !self.areas.touches(growth) {
                self.areas.insert(PageRange { start: old.start, end: growth.end }, area)?;
                return Ok(here);
            }
        }
        let target = self.choose(place.ok_or(Errno::ENOMEM)?, new_length)?;
        if target.start < old.end && old.start < target.end {
            return Err(Errno::EINVAL);
        }
        self.areas.remove(target)?;
        self.drop_pages(target, machine);
        self.areas.insert(target, area)?;
        self.areas.remove(old)?;
        self.move_pages(old, target, machine);
        self.drop_pages(old, machine);
        Ok(target.start * PAGE_U64)
    }

    fn move_pages<P: Platform>(&mut self, old: PageRange, target: PageRange, machine: &mut Machine<P>) {
        let end = old.end.min(old.start + target.pages());
        let numbers: alloc::vec::Vec<u64> =
            self.pages.range(old.start..end).map(|(&number, _)| number).collect();
        for number in numbers {
            if let Some(page) = self.pages.remove(&number) {
                if !page.installed.is_empty() {
                    machine.platform.unmap(self.space, VirtualPage(number), 1);
                }
                let moved = Page { frame: page.frame, installed: Prot::empty() };
                self.pages.insert(target.start + (number - old.start), moved);
            }
        }
    }
}

use super::Layout;
