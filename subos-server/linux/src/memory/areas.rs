//! The areas of a program's memory map: what each run of pages is meant to be.
//!
//! Pure bookkeeping, checked against a naive page-by-page model in the tests. What pages really
//! hold is [`super::Memory`]'s affair.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::address::PageRange;
use crate::error::{Errno, Result};
use crate::limits::{MAX_AREAS, PAGE_U64, USER_START};
use crate::platform::Prot;
use crate::vfs::Ino;

/// Where an area's pages come from at first touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backing {
    /// Zeros.
    Anonymous,
    /// A regular file, from this page of it on.
    File { ino: Ino, page: u64 },
}

impl Backing {
    /// The backing of the page `pages` further on.
    const fn advanced(self, pages: u64) -> Self {
        match self {
            Self::Anonymous => Self::Anonymous,
            Self::File { ino, page } => Self::File { ino, page: page + pages },
        }
    }
}

/// Who sees what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// This program alone: copied on the first write.
    Private,
    /// Everyone who maps the file.
    Shared,
}

/// What an area is called and how it behaves at its edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Plain,
    Heap,
    /// Grows downwards when touched below its start.
    Stack,
}

/// What all pages of an area have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) prot: Prot,
    pub(crate) sharing: Sharing,
    pub(crate) role: Role,
    /// The backing of the area's first page.
    pub(crate) backing: Backing,
}

impl Area {
    /// This area's description as seen `pages` further in.
    const fn advanced(self, pages: u64) -> Self {
        Self { backing: self.backing.advanced(pages), ..self }
    }
}

/// A memory map: areas that do not overlap, in order.
#[derive(Clone, Default)]
pub(crate) struct Areas {
    /// First page -> (end page, area).
    map: BTreeMap<u64, (u64, Area)>,
}

impl Areas {
    /// Every area in order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (PageRange, &Area)> {
        self.map.iter().map(|(&start, (end, area))| (PageRange { start, end: *end }, area))
    }

    /// The area that holds `page`, described from that page on.
    pub(crate) fn at(&self, page: u64) -> Option<Area> {
        let (&start, &(end, area)) = self.map.range(..=page).next_back()?;
        (page < end).then(|| area.advanced(page - start))
    }

    /// The extent of the area that holds `page`.
    pub(crate) fn extent(&self, page: u64) -> Option<PageRange> {
        let (&start, &(end, _)) = self.map.range(..=page).next_back()?;
        (page < end).then_some(PageRange { start, end })
    }

    /// The first area that starts at `page` or later.
    pub(crate) fn next_start(&self, page: u64) -> Option<(u64, Area)> {
        self.map.range(page..).next().map(|(&start, &(_, area))| (start, area))
    }

    /// The end of the last area below `page`.
    pub(crate) fn previous_end(&self, page: u64) -> Option<u64> {
        self.map.range(..page).next_back().map(|(_, &(end, _))| end)
    }

    /// Pages of all areas.
    pub(crate) fn pages(&self) -> u64 {
        self.iter().map(|(range, _)| range.pages()).sum()
    }

    /// Whether every page of `range` is in some area.
    pub(crate) fn covers(&self, range: PageRange) -> bool {
        let mut page = range.start;
        while page < range.end {
            match self.extent(page) {
                Some(extent) => page = extent.end,
                None => return false,
            }
        }
        true
    }

    /// Whether any page of `range` is in some area.
    pub(crate) fn touches(&self, range: PageRange) -> bool {
        !range.is_empty()
            && self.map.range(..range.end).next_back().is_some_and(|(_, &(end, _))| end > range.start)
    }

    /// Puts an area over `range`, in place of what was there.
    ///
    /// # Errors
    /// `ENOMEM` when the map has too many areas.
    pub(crate) fn insert(&mut self, range: PageRange, area: Area) -> Result<()> {
        if range.is_empty() {
            return Err(Errno::EINVAL);
        }
        self.check_room()?;
        self.remove(range)?;
        self.map.insert(range.start, (range.end, area));
        self.merge(range);
        Ok(())
    }

    /// Takes whatever lies in `range` out.
    ///
    /// # Errors
    /// `ENOMEM` when splitting would make too many areas.
    pub(crate) fn remove(&mut self, range: PageRange) -> Result<()> {
        self.check_room()?;
        for start in self.isolate(range) {
            self.map.remove(&start);
        }
        Ok(())
    }

    /// Gives every area in `range` new rights.
    ///
    /// # Errors
    /// `ENOMEM` when part of the range is unmapped, or there would be too many areas.
    pub(crate) fn protect(&mut self, range: PageRange, prot: Prot) -> Result<()> {
        if !self.covers(range) {
            return Err(Errno::ENOMEM);
        }
        self.check_room()?;
        for start in self.isolate(range) {
            if let Some((_, area)) = self.map.get_mut(&start) {
                area.prot = prot;
            }
        }
        self.merge(range);
        Ok(())
    }

    /// Moves the start of the stack that begins at `old` down to `new`.
    pub(crate) fn grow_down(&mut self, old: u64, new: u64) {
        if let Some(entry) = self.map.remove(&old) {
            self.map.insert(new, entry);
        }
    }

    /// The highest free run of `pages` pages that ends at or below `top`.
    pub(crate) fn find_gap(&self, pages: u64, top: u64) -> Option<u64> {
        let mut end = top;
        for (&start, &(area_end, _)) in self.map.range(..top).rev() {
            if area_end < end && end - area_end >= pages {
                break;
            }
            end = end.min(start);
        }
        let start = end.checked_sub(pages)?;
        let free = start >= USER_START / PAGE_U64 && !self.touches(PageRange { start, end });
        free.then_some(start)
    }

    const fn room_limit() -> usize {
        // One operation splits at most two areas.
        MAX_AREAS - 2
    }

    fn check_room(&self) -> Result<()> {
        if self.map.len() > Self::room_limit() { Err(Errno::ENOMEM) } else { Ok(()) }
    }

    /// Splits areas at both ends of `range`; the answer names those inside.
    fn isolate(&mut self, range: PageRange) -> Vec<u64> {
        if range.is_empty() {
            return Vec::new();
        }
        self.split(range.start);
        self.split(range.end);
        self.map.range(range.start..range.end).map(|(&start, _)| start).collect()
    }

    fn split(&mut self, page: u64) {
        if let Some((&start, entry)) = self.map.range_mut(..page).next_back()
            && entry.0 > page
        {
            let (end, area) = *entry;
            entry.0 = page;
            self.map.insert(page, (end, area.advanced(page - start)));
        }
    }

    /// Joins areas in and next to `range` that continue each other.
    fn merge(&mut self, range: PageRange) {
        let first = self.map.range(..range.start).next_back().map_or(range.start, |(&start, _)| start);
        let starts: Vec<u64> = self.map.range(first..=range.end).map(|(&start, _)| start).collect();
        let mut current: Option<u64> = None;
        for start in starts {
            let Some(&(end, area)) = self.map.get(&start) else { continue };
            if let Some(head) = current
                && let Some((head_end, head_area)) = self.map.get_mut(&head)
                && *head_end == start
                && head_area.advanced(start - head) == area
            {
                *head_end = end;
                self.map.remove(&start);
            } else {
                current = Some(start);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    const SPAN: u64 = 64;
    const PAGES: usize = 64;
    /// The lowest page a gap may take; the model's pages start there.
    const BASE: u64 = USER_START / PAGE_U64;

    fn area() -> impl Strategy<Value = Area> {
        let backing = prop_oneof![
            Just(Backing::Anonymous),
            (0u64..8).prop_map(|page| Backing::File { ino: Ino::for_tests(1), page })
        ];
        (0u8..8, any::<bool>(), backing).prop_map(|(prot, shared, backing)| Area {
            prot: Prot::from_bits_truncate(prot),
            sharing: if shared { Sharing::Shared } else { Sharing::Private },
            role: Role::Plain,
            backing,
        })
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64, u64, Area),
        Remove(u64, u64),
        Protect(u64, u64, u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        let run = || (0..SPAN, 1u64..16);
        prop_oneof![
            (run(), area()).prop_map(|((at, len), area)| Step::Insert(at, len, area)),
            run().prop_map(|(at, len)| Step::Remove(at, len)),
            (run(), 0u8..8).prop_map(|((at, len), prot)| Step::Protect(at, len, prot)),
        ]
    }

    fn index(page: u64) -> usize {
        usize::try_from(page).expect("a page of the model")
    }

    fn range(at: u64, len: u64) -> PageRange {
        PageRange { start: BASE + at, end: BASE + (at + len).min(SPAN) }
    }

    proptest! {
        /// The map agrees with one that describes every page by itself.
        #[test]
        fn agrees_with_a_page_by_page_model(steps in prop::collection::vec(step(), 1..60)) {
            let mut areas = Areas::default();
            let mut model: Vec<Option<Area>> = vec![None; PAGES];
            for step in steps {
                match step {
                    Step::Insert(at, len, area) => {
                        let run = range(at, len);
                        areas.insert(run, area).expect("there is room");
                        for page in run.start..run.end {
                            model[index(page - BASE)] = Some(area.advanced(page - run.start));
                        }
                    }
                    Step::Remove(at, len) => {
                        let run = range(at, len);
                        areas.remove(run).expect("there is room");
                        for page in run.start..run.end {
                            model[index(page - BASE)] = None;
                        }
                    }
                    Step::Protect(at, len, prot) => {
                        let run = range(at, len);
                        let prot = Prot::from_bits_truncate(prot);
                        let pages = index(run.start - BASE)..index(run.end - BASE);
                        let mapped = model[pages.clone()].iter().all(Option::is_some);
                        prop_assert_eq!(areas.protect(run, prot).is_ok(), mapped);
                        if mapped {
                            for area in model[pages].iter_mut().flatten() {
                                area.prot = prot;
                            }
                        }
                    }
                }
                for page in 0..SPAN {
                    prop_assert_eq!(areas.at(BASE + page), model[index(page)]);
                }
                let extents: Vec<_> = areas.iter().map(|(run, _)| run).collect();
                for pair in extents.windows(2) {
                    prop_assert!(pair[0].end <= pair[1].start);
                }
                for want in [1, 3, 9] {
                    let naive = (0..=SPAN - want).rev().find(|&at| {
                        model[index(at)..index(at + want)].iter().all(Option::is_none)
                    });
                    prop_assert_eq!(areas.find_gap(want, BASE + SPAN), naive.map(|at| BASE + at));
                }
            }
        }
    }
}
