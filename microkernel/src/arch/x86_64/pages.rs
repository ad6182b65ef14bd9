//! System pages: zeroed pages for what two kernels touch or what a prisoner must not write (tables of kernel halves,
//! share pages, the ledger). Cut from a few chunks that boot sets aside; only subOS 0's kernel maps them.

use super::physmap;
use crate::limits::PAGE;
use crate::types::PhysAddr;

/// The free system pages. One value exists; boot hands it to the machine part.
#[derive(Debug)]
pub struct SystemPages {
    next: PhysAddr,
    end: PhysAddr,
    /// Head of a list through the pages that were given back.
    returned: Option<PhysAddr>,
}

impl SystemPages {
    /// All pages from `start` to `end`.
    ///
    /// # Safety
    /// The range is memory that nothing else uses, and is mapped wherever this value is used.
    #[must_use]
    pub unsafe fn new(start: PhysAddr, end: PhysAddr) -> SystemPages {
        SystemPages { next: start, end, returned: None }
    }

    /// How many pages were never taken.
    #[must_use]
    pub const fn untouched(&self) -> u64 {
        (self.end.0 - self.next.0) / PAGE
    }

    /// Takes a page of zeroes.
    pub fn take(&mut self) -> Option<PhysAddr> {
        let page = match self.returned {
            Some(page) => {
                let link: *mut u64 = physmap::pointer(page);
                // SAFETY: `give_back` wrote the link into this page, which nobody has used since, and zeroes for the rest.
                let next = unsafe { core::mem::take(&mut *link) };
                self.returned = (next != 0).then_some(PhysAddr(next));
                page
            }
            None if self.next < self.end => {
                let page = self.next;
                self.next = page.plus(PAGE);
                // SAFETY: the page was free, so nothing refers to it.
                unsafe { physmap::zero_page(page) };
                page
            }
            None => return None,
        };
        Some(page)
    }

    /// Takes so many pages in a row, from those never used before: for arrays made once.
    pub fn take_run(&mut self, pages: u64) -> Option<PhysAddr> {
        let start = self.next;
        if self.untouched() < pages {
            return None;
        }
        self.next = start.plus(pages * PAGE);
        for index in 0..pages {
            // SAFETY: the page was free, so nothing refers to it.
            unsafe { physmap::zero_page(start.plus(index * PAGE)) };
        }
        Some(start)
    }

    /// Takes a page back. Its old content is gone at once, not only when it is taken again.
    pub fn give_back(&mut self, page: PhysAddr) {
        // SAFETY: the caller gives up a page that came from here; what it held is of no use to anyone now.
        unsafe { physmap::zero_page(page) };
        let link: *mut u64 = physmap::pointer(page);
        let next = self.returned.map_or(0, |page| page.0);
        // SAFETY: the page is free from here on, and is mapped.
        unsafe { link.write(next) };
        self.returned = Some(page);
    }
}
