//! The contents of a regular file: bytes of the boot bundle, with pages of its own over them.
//!
//! A page is *absent* (the bundle's bytes, then zeros), *cached* (a clean copy of the bundle's bytes
//! in a frame that may be dropped at any time), or *owned* (written, or mapped shared).

use alloc::collections::BTreeMap;

use crate::error::{Errno, Result};
use crate::limits::{MAX_FILE_SIZE, PAGE, PAGE_U64};
use crate::memory::Machine;
use crate::platform::{Frame, Platform};

/// A page of nothing.
const ZEROS: [u8; PAGE] = [0; PAGE];

#[derive(Clone, Copy)]
enum FilePage {
    Cached(Frame),
    Owned(Frame),
}

/// A regular file's contents.
#[derive(Default)]
pub(crate) struct Body {
    bundle: &'static [u8],
    size: u64,
    pages: BTreeMap<u64, FilePage>,
}

/// Splits an offset into its page and the offset within it.
#[allow(clippy::cast_possible_truncation, reason = "an offset within a page fits any integer")]
const fn split(offset: u64) -> (u64, usize) {
    (offset / PAGE_U64, (offset % PAGE_U64) as usize)
}

impl Body {
    /// A file of the boot bundle.
    pub(crate) fn from_bundle(bundle: &'static [u8]) -> Self {
        Self { bundle, size: bundle.len() as u64, pages: BTreeMap::new() }
    }

    /// Bytes.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Every frame that the file holds.
    pub(crate) fn frames(&self) -> impl Iterator<Item = Frame> + '_ {
        self.pages.values().map(|page| page.frame())
    }

    /// Reads at `offset`; the answer is how many bytes there were.
    ///
    /// # Errors
    /// `EIO` when the first of them is lost.
    pub(crate) fn read<P: Platform>(
        &mut self,
        offset: u64,
        out: &mut [u8],
        machine: &mut Machine<P>,
    ) -> Result<usize> {
        let there = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let total = out.len().min(there);
        let mut done = 0;
        while done < total {
            let (page, start) = split(offset + done as u64);
            let length = (PAGE - start).min(total - done);
            let out = &mut out[done..done + length];
            let frame = self.clean_page(page, machine);
            match frame {
                Some(frame) => machine.platform.read(frame, start, out),
                None => self.bundle_bytes(page, start, out),
            }
            match frame {
                Some(frame) if machine.has_lost(frame) && done == 0 => return Err(Errno::EIO),
                Some(frame) if machine.has_lost(frame) => return Ok(done),
                // Only a copy went while it was read.
                Some(frame) if machine.platform.lost(frame) => self.bundle_bytes(page, start, out),
                _ => {}
            }
            done += length;
        }
        Ok(total)
    }

    /// Writes at `offset`, making the file longer as needed; the answer is how many bytes were
    /// written before memory ran out.
    ///
    /// # Errors
    /// `ENOSPC` when not a byte could be written, `EIO` when that is because the page is lost, `EFBIG` past the largest
    /// file.
    pub(crate) fn write<P: Platform>(
        &mut self,
        offset: u64,
        bytes: &[u8],
        machine: &mut Machine<P>,
    ) -> Result<usize> {
        let end = offset.checked_add(bytes.len() as u64).ok_or(Errno::EFBIG)?;
        if end > MAX_FILE_SIZE {
            return Err(Errno::EFBIG);
        }
        let mut done = 0;
        let mut reason = Errno::ENOSPC;
        while done < bytes.len() {
            let (page, start) = split(offset + done as u64);
            let length = (PAGE - start).min(bytes.len() - done);
            if !machine.frames.has_room_for_files() {
                break;
            }
            let owned = self.own_page(page, machine);
            if let Ok(frame) = owned {
                machine.platform.write(frame, start, &bytes[done..done + length]);
            }
            if owned == Err(Errno::EIO) || owned.is_ok_and(|frame| machine.has_lost(frame)) {
                reason = Errno::EIO;
                break;
            }
            if owned.is_err() {
                break;
            }
            done += length;
            self.size = self.size.max(offset + done as u64);
        }
        if done == 0 && !bytes.is_empty() { Err(reason) } else { Ok(done) }
    }

    /// Sets the size; what lies beyond is forgotten and reads as zeros if the file grows again.
    pub(crate) fn truncate<P: Platform>(&mut self, size: u64, machine: &mut Machine<P>) -> Result<()> {
        if size > MAX_FILE_SIZE {
            return Err(Errno::EFBIG);
        }
        let (page, start) = split(size);
        if size < self.size && start != 0 {
            // The rest of the last page must read as zeros later, also where it is mapped.
            let frame = self.own_page(page, machine)?;
            machine.platform.write(frame, start, &ZEROS[start..]);
        }
        self.size = size;
        let keep = usize::try_from(size).unwrap_or(usize::MAX).min(self.bundle.len());
        self.bundle = &self.bundle[..keep];
        for (_, page) in self.pages.split_off(&size.div_ceil(PAGE_U64)) {
            machine.frames.release(page.frame());
        }
        Ok(())
    }

    /// The frame that holds `page`, to read: the file's own, or a cached copy if the cache has room.
    /// The file holds it; a caller who keeps it adds itself.
    pub(crate) fn clean_page<P: Platform>(&mut self, page: u64, machine: &mut Machine<P>) -> Option<Frame> {
        self.drop_lost_copy(page, machine);
        if let Some(there) = self.pages.get(&page) {
            return Some(there.frame());
        }
        if page * PAGE_U64 >= self.bundle.len() as u64 {
            return None;
        }
        let frame = machine.cached(|platform, frame| self.copy_page(page, frame, platform))?;
        self.pages.insert(page, FilePage::Cached(frame));
        Some(frame)
    }

    /// The frame that holds `page`, to write. The file holds it.
    ///
    /// # Errors
    /// `ENOMEM`; `EIO` when what it held is lost.
    pub(crate) fn own_page<P: Platform>(&mut self, page: u64, machine: &mut Machine<P>) -> Result<Frame> {
        if let Some(FilePage::Owned(frame)) = self.pages.get(&page) {
            return if machine.has_lost(*frame) { Err(Errno::EIO) } else { Ok(*frame) };
        }
        // From the bundle, where the bytes stay: a copy could go while it is copied.
        let frame = machine.filled(|platform, frame| self.copy_page(page, frame, platform))?;
        if let Some(old) = self.pages.insert(page, FilePage::Owned(frame)) {
            machine.frames.release(old.frame());
        }
        Ok(frame)
    }

    /// Copies the bundle's bytes of `page` into a frame.
    pub(crate) fn copy_page<P: Platform>(&self, page: u64, frame: Frame, platform: &mut P) {
        let mut bytes = ZEROS;
        self.bundle_bytes(page, 0, &mut bytes);
        platform.write(frame, 0, &bytes);
    }

    /// Forgets a clean copy that is lost: it can be made again.
    fn drop_lost_copy<P: Platform>(&mut self, page: u64, machine: &mut Machine<P>) {
        if let Some(&FilePage::Cached(frame)) = self.pages.get(&page)
            && machine.platform.lost(frame)
        {
            self.pages.remove(&page);
            machine.frames.release(frame);
        }
    }

    fn bundle_bytes(&self, page: u64, start: usize, out: &mut [u8]) {
        let from = usize::try_from(page * PAGE_U64).unwrap_or(usize::MAX).saturating_add(start);
        let bytes = self.bundle.get(from..).unwrap_or(&[]);
        let length = bytes.len().min(out.len());
        out[..length].copy_from_slice(&bytes[..length]);
        out[length..].fill(0);
    }

    /// Gives every frame back.
    pub(crate) fn dismantle<P: Platform>(self, machine: &mut Machine<P>) {
        for page in self.pages.values() {
            machine.frames.release(page.frame());
        }
    }

    /// Drops cached pages in frames of `range` and moves owned ones to other frames. `moved` says
    /// where frames went that programs show as well.
    ///
    /// # Errors
    /// `ENOMEM` when there is no frame to move to.
    pub(crate) fn evacuate<P: Platform>(
        &mut self,
        range: &core::ops::Range<u32>,
        moved: &mut BTreeMap<Frame, Frame>,
        machine: &mut Machine<P>,
    ) -> Result<()> {
        self.pages.retain(|_, page| {
            let drop = matches!(page, FilePage::Cached(frame) if range.contains(&frame.0));
            if drop {
                machine.frames.release(page.frame());
            }
            !drop
        });
        for page in self.pages.values_mut() {
            let frame = page.frame();
            if !range.contains(&frame.0) {
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
            *page = FilePage::Owned(target);
            machine.frames.release(frame);
        }
        Ok(())
    }
}

impl FilePage {
    const fn frame(self) -> Frame {
        match self {
            Self::Cached(frame) | Self::Owned(frame) => frame,
        }
    }
}
