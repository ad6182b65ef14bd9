//! Memory that comes and goes: what a lot holds is looked at, every word of it, a window at a time.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use caps::{Error, Rights};
use idl::abi::PAGE_SIZE;
use idl::dialogue::Report;
use idl::types::{Chunks, LotNumber, PageIndex, Pages};
use userlib::cap::{Cap, Region, Untyped, cap};
use userlib::memory::{self, Mapping};
use userlib::{environment, slots};

/// Pages that are mapped at a time.
const WINDOW: u32 = 512;
/// Words of a page.
#[allow(clippy::cast_possible_truncation, reason = "512")]
const WORDS: usize = (PAGE_SIZE / 8) as usize;
/// What every page gets as its first word when it was looked at: so it is in use, and whoever has it next can tell
/// whether it was cleared.
const MARK: u64 = 0x6564_6f77_6f68_6365;

/// One lot, with a region over all of it.
#[derive(Debug)]
struct Lot {
    number: LotNumber,
    untyped: Cap<Untyped>,
    region: Cap<Region>,
    pages: u32,
    /// The next page to look at; `None` when there is nothing to look for.
    next: Option<u32>,
    used: u32,
}

/// All lots but the home lot.
#[derive(Debug, Default)]
pub struct Lots {
    lots: Vec<Lot>,
}

impl Lots {
    /// A lot is there: begins to look at it.
    ///
    /// # Errors
    /// When its memory cannot be made into a region.
    pub fn granted(&mut self, number: LotNumber, size: Chunks) -> Result<(), Error> {
        if number.0 == 0 || self.lots.iter().any(|lot| lot.number == number) {
            return Ok(());
        }
        let untyped = environment().lot(number.0)?;
        let pages = u32::try_from(size.bytes() / PAGE_SIZE).map_err(|_| Error::BadSize)?;
        let region = memory::create_from::<Region>(untyped, u64::from(pages))?;
        self.lots.push(Lot { number, untyped, region, pages, next: Some(0), used: 0 });
        Ok(())
    }

    /// A lot went, and all that was made of it: the slots are empty already.
    pub fn lost(&mut self, number: LotNumber) {
        if let Some(index) = self.lots.iter().position(|lot| lot.number == number) {
            let lot = self.lots.swap_remove(index);
            slots::release(lot.region.handle().index());
            slots::release(lot.untyped.handle().index());
        }
    }

    /// Looks at a lot once more, to say what it holds.
    pub fn wanted(&mut self, number: LotNumber) {
        for lot in self.lots.iter_mut().filter(|lot| lot.number == number) {
            (lot.next, lot.used) = (Some(0), 0);
        }
    }

    /// Whether there is something to look at.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.lots.iter().any(|lot| lot.next.is_some())
    }

    /// Looks at one window. When that was the last of a lot, what it holds.
    ///
    /// # Errors
    /// Those of mapping; the lot is not looked at any further then.
    pub fn look(&mut self) -> Result<Option<Report>, Error> {
        let Some(lot) = self.lots.iter_mut().find(|lot| lot.next.is_some()) else { return Ok(None) };
        let Some(first) = lot.next.take() else { return Ok(None) };
        let pages = WINDOW.min(lot.pages.saturating_sub(first));
        lot.used += look_at(lot.region, PageIndex(first), Pages(pages))?;
        let next = first + pages;
        if next < lot.pages {
            lot.next = Some(next);
            return Ok(None);
        }
        Ok(Some(Report::Lot { lot: lot.number, looked: Pages(lot.pages), used: Pages(lot.used) }))
    }
}

/// Counts the pages that hold anything, and marks all of them.
fn look_at(region: Cap<Region>, first: PageIndex, pages: Pages) -> Result<u32, Error> {
    let rights = Rights::READ | Rights::WRITE;
    let slice = slots::fill(|slot| region.slice(first, pages, rights | Rights::DERIVE, slot))?;
    let result = Mapping::of(cap(slice), rights).and_then(|window| {
        let mut used = 0;
        for page in 0..pages.0 as usize {
            let word = |index: usize| window.word(page * WORDS + index);
            let holds = |index| word(index).is_some_and(|word| word.load(Ordering::Relaxed) != 0);
            used += u32::from((0..WORDS).any(holds));
            if let Some(word) = word(0) {
                word.store(MARK, Ordering::Relaxed);
            }
        }
        window.unmap()?;
        Ok(used)
    });
    slots::delete(slice)?;
    result
}
