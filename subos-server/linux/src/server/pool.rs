//! Memory lots as frames of the personality.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use idl::abi::PAGE_SIZE;
use idl::types::{LotNumber, PageIndex, Pages, Ticks};
use linux::platform::Frame;
use userlib::cap::{Region, Untyped};
use userlib::memory::{self, Mapping};
use userlib::{Cap, Error, Rights, environment, slots, time};

use super::guard::Wards;

/// Bytes of a frame.
const FRAME: usize = 4096;

/// One lot: a region over all of it, mapped here for good.
pub(super) struct Pool {
    pub(super) lot: LotNumber,
    pub(super) frames: Range<u32>,
    pub(super) mapping: Arc<Mapping>,
    /// Set when it was noticed that the lot is gone.
    lost: Arc<AtomicBool>,
}

/// All lots, by the frames they give.
pub(super) struct Pools {
    pools: Vec<Pool>,
    next: u32,
    wards: Wards,
}

impl Pools {
    /// None yet. Whoever touches one is guarded.
    pub(super) fn new(wards: Wards) -> Self {
        Self { pools: Vec::new(), next: 0, wards }
    }

    /// Makes a lot into frames.
    ///
    /// # Errors
    /// When its memory cannot be made into a region and mapped.
    pub(super) fn add(&mut self, lot: LotNumber) -> Result<Range<u32>, Error> {
        let untyped = environment().lot(lot.0)?;
        self.add_memory(lot, untyped, None)
    }

    /// Makes part of some memory into frames, or all of it.
    pub(super) fn add_memory(
        &mut self,
        lot: LotNumber,
        untyped: Cap<Untyped>,
        pages: Option<u64>,
    ) -> Result<Range<u32>, Error> {
        let info = untyped.info()?;
        let there = info.size.saturating_sub(info.used) / PAGE_SIZE;
        let pages = pages.unwrap_or(there).min(there);
        let region = memory::create_from::<Region>(untyped, pages)?;
        let mapping = Mapping::of(region, Rights::READ | Rights::WRITE).inspect_err(|_| {
            // The mapping's error is what the caller must hear of.
            let _ = slots::delete(region.handle());
        })?;
        let count = u32::try_from(pages).map_err(|_| Error::BadSize)?;
        let frames = self.next..self.next.checked_add(count).ok_or(Error::BadSize)?;
        self.next = frames.end;
        let lost = self.wards.watch(&mapping);
        self.pools.push(Pool { lot, frames: frames.clone(), mapping: Arc::new(mapping), lost });
        Ok(frames)
    }

    /// The pool that a frame lies in, with its number among the pools and its page of the region.
    pub(super) fn find(&self, frame: Frame) -> Option<(usize, &Pool, PageIndex)> {
        let found = self.pools.iter().enumerate().find(|(_, pool)| pool.frames.contains(&frame.0));
        found.map(|(index, pool)| (index, pool, PageIndex(frame.0 - pool.frames.start)))
    }

    /// The pool that was made of a lot.
    pub(super) fn of_lot(&self, lot: LotNumber) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.lot == lot)
    }

    /// The region of a pool.
    pub(super) fn region(&self, index: usize) -> Option<Cap<Region>> {
        self.pools.get(index).map(|pool| pool.mapping.region())
    }

    /// Forgets a lot, whose frames nobody uses any more, and deletes what was made of it. Pools keep
    /// their numbers: an empty one stays in its place.
    pub(super) fn remove(&mut self, lot: LotNumber) {
        if let Some(pool) = self.pools.iter_mut().find(|pool| pool.lot == lot) {
            pool.frames = 0..0;
            pool.lot = LotNumber(u32::MAX);
            // The supervisor takes the memory in any case.
            let _ = slots::delete(pool.mapping.region().handle());
        }
    }

    /// Whether a frame's memory is gone, as far as anybody has noticed; asked after a copy, that is far enough.
    pub(super) fn is_lost(&self, frame: Frame) -> bool {
        self.find(frame).is_none_or(|(_, pool, _)| pool.lost.load(Ordering::Acquire))
    }

    /// Looks whether a frame's memory is gone, where no copy would have told.
    pub(super) fn probe(&self, frame: Frame) {
        if let Some((_, pool, _)) = self.find(frame)
            && pool.mapping.region().info().is_err()
        {
            pool.lost.store(true, Ordering::Release);
        }
    }

    /// Copies bytes of a frame out.
    pub(super) fn read(&self, frame: Frame, offset: usize, out: &mut [u8]) {
        if let Some((_, pool, page)) = self.find(frame) {
            pool.mapping.read(byte(page, offset), out);
        }
    }

    /// Copies bytes into a frame.
    pub(super) fn write(&self, frame: Frame, offset: usize, bytes: &[u8]) {
        if let Some((_, pool, page)) = self.find(frame) {
            pool.mapping.write(byte(page, offset), bytes);
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "this is for 64-bit machines")]
const fn byte(page: PageIndex, offset: usize) -> usize {
    page.0 as usize * FRAME + offset
}

/// Counts the pages of a lot that were looked at by then, and those that hold anything but zeros.
pub(super) fn pages_in_use(mapping: &Mapping, until: Ticks) -> (Pages, Pages) {
    let mut bytes = [0; FRAME];
    let (mut looked, mut used) = (0, 0);
    while looked < mapping.pages().0 && time::now() < until {
        mapping.read(byte(PageIndex(looked), 0), &mut bytes);
        used += u32::from(bytes != [0; FRAME]);
        looked += 1;
    }
    (Pages(looked), Pages(used))
}
