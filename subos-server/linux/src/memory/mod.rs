//! A program's memory: areas, pages, and how pages come to be.
//!
//! The server keeps its own page map: for each page that exists, the frame and the rights that the
//! hardware mapping has at the moment (none, if the platform was not told of the page yet). Everything is
//! derived from areas and frame counts:
//!
//! - a page appears at its first touch, by the program (a fault) or by a call (a copy);
//! - a private page is writable in hardware only while its frame has a single holder, so *copy on
//!   write* needs no flag: fork adds holders, the first write finds more than one and copies;
//! - a frame of the page cache is never writable.

pub(crate) mod address;
pub(crate) mod areas;
mod fault;
pub(crate) mod frames;
mod map;
mod user;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::error::{Errno, Result};
use crate::platform::{Frame, Platform, Prot, Space, VirtualPage};
use crate::vfs::Ino;
pub(crate) use address::PageRange;
use areas::{Areas, Sharing};
pub(crate) use fault::Denied;
use frames::FramePool;
pub(crate) use map::Place;

/// Pages without a mapping that one call to unmap passes over at most.
const UNMAP_GAP: u64 = 32;

/// The platform with what is counted of it.
pub(crate) struct Machine<P> {
    pub(crate) platform: P,
    pub(crate) frames: FramePool,
    /// Page records over all programs.
    pub(crate) records: usize,
}

impl<P: Platform> Machine<P> {
    /// A general frame that was filled like this, held once. Those whose memory is gone are passed over.
    pub(crate) fn filled(&mut self, mut fill: impl FnMut(&mut P, Frame)) -> Result<Frame> {
        loop {
            let frame = self.frames.take()?;
            if self.fills(frame, &mut fill) {
                return Ok(frame);
            }
        }
    }

    /// Whether a frame could be filled; if not, it is forgotten. What is known to be lost is not touched.
    fn fills(&mut self, frame: Frame, fill: &mut impl FnMut(&mut P, Frame)) -> bool {
        if !self.platform.lost(frame) {
            fill(&mut self.platform, frame);
        }
        let lost = self.platform.lost(frame);
        if lost {
            self.frames.discard(frame);
        }
        !lost
    }

    /// A frame of the page cache that was filled like this, held once.
    pub(crate) fn cached(&mut self, mut fill: impl FnMut(&mut P, Frame)) -> Option<Frame> {
        loop {
            let frame = self.frames.take_cache()?;
            if self.fills(frame, &mut fill) {
                return Some(frame);
            }
        }
    }

    /// A frame of zeros.
    pub(crate) fn zeroed(&mut self) -> Result<Frame> {
        self.filled(|platform, frame| platform.clear_frame(frame))
    }

    /// A general frame with the contents of another.
    ///
    /// # Errors
    /// `ENOMEM`; `EIO` when the contents are lost.
    pub(crate) fn copied(&mut self, from: Frame) -> Result<Frame> {
        let frame = self.filled(|platform, frame| platform.copy_frame(from, frame))?;
        if self.platform.lost(from) {
            self.frames.release(frame);
            return Err(Errno::EIO);
        }
        Ok(frame)
    }

    /// Whether what a frame held is lost, and not only a clean copy of it.
    pub(crate) fn has_lost(&self, frame: Frame) -> bool {
        self.platform.lost(frame) && !self.frames.is_cache(frame)
    }
}

/// One page that exists.
#[derive(Clone, Copy, Debug)]
struct Page {
    frame: Frame,
    /// The rights of the hardware mapping; empty when there is none.
    installed: Prot,
}

/// Where the pieces of a program lie, for /proc and brk.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Layout {
    pub(crate) brk_start: u64,
    pub(crate) brk: u64,
    pub(crate) stack_top: u64,
    pub(crate) arguments: (u64, u64),
    pub(crate) environment: (u64, u64),
}

/// The memory of one program, shared by its threads.
pub(crate) struct Memory {
    pub(crate) space: Space,
    pub(crate) areas: Areas,
    pages: BTreeMap<u64, Page>,
    /// Files that some area showed at some time; each is held once until this memory goes.
    pub(crate) files: BTreeSet<Ino>,
    pub(crate) layout: Layout,
}

impl Memory {
    /// Empty memory on an empty space.
    pub(crate) fn new(space: Space) -> Self {
        Self {
            space,
            areas: Areas::default(),
            pages: BTreeMap::new(),
            files: BTreeSet::new(),
            layout: Layout::default(),
        }
    }

    /// The frame of every page, once for each page.
    pub(crate) fn frames(&self) -> impl Iterator<Item = Frame> + '_ {
        self.pages.values().map(|page| page.frame)
    }

    /// How many pages exist.
    pub(crate) fn resident(&self) -> usize {
        self.pages.len()
    }

    /// Makes `child` a copy on write of this memory. The caller holds the child's files.
    ///
    /// The child's pages are recorded but not installed: a child that soon executes another program
    /// touches few of them.
    ///
    /// # Errors
    /// `ENOMEM` when there would be too many page records.
    pub(crate) fn fork_into<P: Platform>(
        &mut self,
        child: &mut Self,
        machine: &mut Machine<P>,
    ) -> Result<()> {
        if machine.records + self.pages.len() > crate::limits::MAX_PAGE_RECORDS {
            return Err(Errno::ENOMEM);
        }
        child.areas = self.areas.clone();
        child.layout = self.layout;
        child.files = self.files.clone();
        self.downgrade_private(machine);
        for (&number, page) in &self.pages {
            machine.frames.retain(page.frame);
            child.pages.insert(number, Page { frame: page.frame, installed: Prot::empty() });
        }
        machine.records += self.pages.len();
        Ok(())
    }

    /// Takes the right to write from every private page in hardware, in as few calls as its runs allow.
    fn downgrade_private<P: Platform>(&mut self, machine: &mut Machine<P>) {
        let mut run = Run::default();
        let space = self.space;
        let mut changes = Vec::new();
        for (range, area) in self.areas.iter() {
            if area.sharing == Sharing::Private {
                changes.push(range);
            }
        }
        for range in changes {
            for (&number, page) in self.pages.range_mut(range.start..range.end) {
                if !page.installed.contains(Prot::WRITE) {
                    continue;
                }
                page.installed.remove(Prot::WRITE);
                if let Some((first, count, prot)) = run.extend(number, page.installed) {
                    machine.platform.protect(space, VirtualPage(first), count, prot);
                }
            }
        }
        if let Some((first, count, prot)) = run.finish() {
            machine.platform.protect(space, VirtualPage(first), count, prot);
        }
    }

    /// Forgets the pages of `range`, in hardware and here; the areas stay.
    pub(crate) fn drop_pages<P: Platform>(&mut self, range: PageRange, machine: &mut Machine<P>) {
        let mut tail = self.pages.split_off(&range.start);
        let mut above = tail.split_off(&range.end);
        self.pages.append(&mut above);
        self.unmap_runs(&tail, machine);
        machine.records -= tail.len();
        for page in tail.values() {
            machine.frames.release(page.frame);
        }
    }

    /// Takes the hardware mapping of `pages`, which are all the pages of their range, away. It must be
    /// gone before their frames are released.
    fn unmap_runs<P: Platform>(&self, pages: &BTreeMap<u64, Page>, machine: &mut Machine<P>) {
        let mut run: Option<(u64, u64)> = None;
        for (&number, page) in pages {
            if page.installed.is_empty() {
                continue;
            }
            // Between the pages given here nothing is installed, so a short gap may go along: each call
            // makes every other core of the subOS flush.
            match &mut run {
                Some((_, end)) if number - *end <= UNMAP_GAP => *end = number + 1,
                _ => {
                    if let Some((first, end)) = run.replace((number, number + 1)) {
                        machine.platform.unmap(self.space, VirtualPage(first), end - first);
                    }
                }
            }
        }
        if let Some((first, end)) = run {
            machine.platform.unmap(self.space, VirtualPage(first), end - first);
        }
    }

    /// Gives every page, and the space, back. The caller releases the files.
    pub(crate) fn dismantle<P: Platform>(self, machine: &mut Machine<P>) {
        // The mappings go first: afterwards nothing can use the frames.
        self.unmap_runs(&self.pages, machine);
        machine.platform.drop_space(self.space);
        machine.records -= self.pages.len();
        for page in self.pages.values() {
            machine.frames.release(page.frame);
        }
    }

    /// Takes every page that shows a frame of `range` out of this memory, if it can be had again
    /// from its file; moves it to another frame otherwise.
    ///
    /// # Errors
    /// `ENOMEM` when there is no frame to move to.
    pub(crate) fn evacuate<P: Platform>(
        &mut self,
        range: &core::ops::Range<u32>,
        moved: &mut BTreeMap<Frame, Frame>,
        machine: &mut Machine<P>,
    ) -> Result<()> {
        let hit: Vec<u64> = self
            .pages
            .iter()
            .filter(|(_, page)| range.contains(&page.frame.0))
            .map(|(&number, _)| number)
            .collect();
        for number in hit {
            let frame = self.pages[&number].frame;
            if machine.frames.is_cache(frame) {
                self.drop_pages(PageRange { start: number, end: number + 1 }, machine);
                continue;
            }
            let target = if let Some(&target) = moved.get(&frame) {
                machine.frames.retain(target);
                target
            } else {
                let target = machine.copied(frame)?;
                moved.insert(frame, target);
                target
            };
            if let Some(page) = self.pages.get_mut(&number) {
                if !page.installed.is_empty() {
                    machine.platform.unmap(self.space, VirtualPage(number), 1);
                }
                *page = Page { frame: target, installed: Prot::empty() };
            }
            machine.frames.release(frame);
        }
        Ok(())
    }
}

/// Collects neighbouring pages of equal rights, so that the platform is called once for each run.
#[derive(Default)]
struct Run {
    current: Option<(u64, u64, Prot)>,
}

impl Run {
    /// Adds a page; answers the run before it when the page does not continue it.
    fn extend(&mut self, page: u64, prot: Prot) -> Option<(u64, u64, Prot)> {
        if let Some((first, count, same)) = &mut self.current
            && *first + *count == page
            && *same == prot
        {
            *count += 1;
            return None;
        }
        self.current.replace((page, 1, prot))
    }

    fn finish(self) -> Option<(u64, u64, Prot)> {
        self.current
    }
}
