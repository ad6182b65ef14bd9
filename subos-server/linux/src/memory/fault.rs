//! How a page comes to be: at a fault of the program, or when a call reaches into its memory.

use super::address::PageRange;
use super::areas::{Backing, Role, Sharing};
use super::{Machine, Memory, Page};
use crate::error::Errno;
use crate::limits::{MAX_PAGE_RECORDS, PAGE_U64, STACK_MAX};
use crate::platform::{Frame, Platform, Prot, VirtualPage};
use crate::registers::Access;
use crate::vfs::Inodes;

/// Why a page cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Nothing is mapped there: SIGSEGV with `SEGV_MAPERR`.
    Unmapped,
    /// The area does not allow the access: SIGSEGV with `SEGV_ACCERR`.
    Forbidden,
    /// The file ends before the page: SIGBUS.
    BeyondFile,
    /// What the page held is lost, with the memory that it lay in: SIGBUS.
    Lost,
    /// No frame, record or page table was left.
    NoMemory,
}

impl From<Errno> for Denied {
    fn from(errno: Errno) -> Self {
        if errno == Errno::EIO { Self::Lost } else { Self::NoMemory }
    }
}

impl Access {
    /// The right that the access needs. On this processor every page that may be used at all may be read.
    fn allowed_by(self, prot: Prot) -> bool {
        match self {
            Self::Read => !prot.is_empty(),
            Self::Write => prot.contains(Prot::WRITE),
            Self::Execute => prot.contains(Prot::EXECUTE),
        }
    }
}

impl Memory {
    /// The frame of `page`, ready for `access`; does what a fault would to make it so. The hardware
    /// mapping is only ever weakened here.
    pub(crate) fn ensure<P: Platform>(
        &mut self,
        number: u64,
        access: Access,
        machine: &mut Machine<P>,
        inodes: &mut Inodes,
    ) -> Result<Frame, Denied> {
        let area = match self.areas.at(number) {
            Some(area) => area,
            None => self.grow_stack(number).ok_or(Denied::Unmapped)?,
        };
        if !access.allowed_by(area.prot) {
            return Err(Denied::Forbidden);
        }
        let write = access == Access::Write;
        if let Some(frame) = self.pages.get(&number).map(|page| page.frame)
            && machine.platform.lost(frame)
        {
            if machine.has_lost(frame) {
                return Err(Denied::Lost);
            }
            // It was a clean copy of a file's page, and comes back from there.
            self.drop_pages(PageRange { start: number, end: number + 1 }, machine);
        }
        if let Some(page) = self.pages.get_mut(&number) {
            let shared_frame = machine.frames.holders(page.frame) > 1 || machine.frames.is_cache(page.frame);
            if write && area.sharing == Sharing::Private && shared_frame {
                let copy = machine.copied(page.frame)?;
                if !page.installed.is_empty() {
                    machine.platform.unmap(self.space, VirtualPage(number), 1);
                }
                machine.frames.release(page.frame);
                *page = Page { frame: copy, installed: Prot::empty() };
            }
            return Ok(page.frame);
        }
        if machine.records >= MAX_PAGE_RECORDS {
            return Err(Denied::NoMemory);
        }
        let frame = match (area.backing, area.sharing) {
            (Backing::Anonymous, _) => machine.zeroed()?,
            (Backing::File { ino, page }, sharing) => {
                let body = inodes.body_mut(ino).ok_or(Denied::BeyondFile)?;
                if page >= body.size().div_ceil(PAGE_U64) {
                    return Err(Denied::BeyondFile);
                }
                match sharing {
                    Sharing::Shared => {
                        let frame = body.own_page(page, machine)?;
                        machine.frames.retain(frame);
                        frame
                    }
                    Sharing::Private => match body.clean_page(page, machine) {
                        Some(frame) if write => machine.copied(frame)?,
                        Some(frame) => {
                            machine.frames.retain(frame);
                            frame
                        }
                        None => machine.filled(|platform, frame| body.copy_page(page, frame, platform))?,
                    },
                }
            }
        };
        machine.records += 1;
        self.pages.insert(number, Page { frame, installed: Prot::empty() });
        Ok(frame)
    }

    /// Handles a page fault of the program: afterwards the access succeeds.
    pub(crate) fn fault<P: Platform>(
        &mut self,
        number: u64,
        access: Access,
        machine: &mut Machine<P>,
        inodes: &mut Inodes,
    ) -> Result<(), Denied> {
        let frame = self.ensure(number, access, machine, inodes)?;
        match self.install(number, frame, machine) {
            // That its memory is gone shows only now. If it was a copy, there is another to be had.
            Err(Denied::Lost) => {
                let frame = self.ensure(number, access, machine, inodes)?;
                self.install(number, frame, machine)?;
            }
            done => done?,
        }
        if access != Access::Write {
            self.install_neighbours(number, machine, inodes);
        }
        Ok(())
    }

    /// Tells the hardware of a page that exists, with all the rights it may have now.
    fn install<P: Platform>(
        &mut self,
        number: u64,
        frame: Frame,
        machine: &mut Machine<P>,
    ) -> Result<(), Denied> {
        let (Some(area), Some(page)) = (self.areas.at(number), self.pages.get_mut(&number)) else {
            return Err(Denied::Unmapped);
        };
        let mut prot = area.prot | Prot::READ;
        let alone = machine.frames.holders(frame) == 1 && !machine.frames.is_cache(frame);
        if area.sharing == Sharing::Private && !alone {
            prot.remove(Prot::WRITE);
        }
        if page.installed == prot {
            // Another executor was faster, or what was mapped is gone with a lot: mapped anew it is
            // right in both cases.
            machine.platform.unmap(self.space, VirtualPage(number), 1);
            page.installed = Prot::empty();
        }
        if page.installed.is_empty() {
            machine
                .platform
                .map(self.space, VirtualPage(number), frame, prot)
                .map_err(|_| if machine.platform.lost(frame) { Denied::Lost } else { Denied::NoMemory })?;
        } else {
            machine.platform.protect(self.space, VirtualPage(number), 1, prot);
        }
        page.installed = prot;
        Ok(())
    }

    /// Installs pages around one of a file that cost nothing more than the mapping: a fault costs
    /// far more, and programs run on into the next page of their text.
    fn install_neighbours<P: Platform>(
        &mut self,
        number: u64,
        machine: &mut Machine<P>,
        inodes: &mut Inodes,
    ) {
        const AROUND: u64 = 8;
        let Some(extent) = self.areas.extent(number) else { return };
        let file = self.areas.at(number).filter(|area| area.sharing == Sharing::Private);
        let Some(Backing::File { .. }) = file.map(|area| area.backing) else { return };
        let first = number.saturating_sub(number % AROUND).max(extent.start);
        for neighbour in first..(first + AROUND).min(extent.end) {
            let installed = self.pages.get(&neighbour).is_some_and(|page| !page.installed.is_empty());
            if installed || machine.frames.counts().cache_free == 0 {
                continue;
            }
            let Ok(frame) = self.ensure(neighbour, Access::Read, machine, inodes) else { return };
            if self.install(neighbour, frame, machine).is_err() {
                return;
            }
        }
    }

    /// Extends the stack down to `number`, if that is the stack's to take.
    fn grow_stack(&mut self, number: u64) -> Option<super::areas::Area> {
        let (start, area) = self.areas.next_start(number)?;
        let lowest = (self.layout.stack_top.checked_sub(STACK_MAX)?) / PAGE_U64;
        let below = self.areas.previous_end(number).unwrap_or(0);
        // A guard page stays between the stack and what lies below it.
        if area.role != Role::Stack || number < lowest || number <= below {
            return None;
        }
        self.areas.grow_down(start, number);
        self.areas.at(number)
    }
}
