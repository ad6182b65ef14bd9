//! The memory calls, from their words to [`crate::memory::Memory`].

use linux_raw_sys::general as g;

use crate::error::{Errno, Result};
use crate::file::Fd;
use crate::limits::PAGE_U64;
use crate::linux::Linux;
use crate::memory::PageRange;
use crate::memory::Place;
use crate::memory::areas::{Area, Backing, Role, Sharing};
use crate::outcome::{DONE, Outcome, Reply};
use crate::platform::{Platform, Prot};
use crate::process::Tid;

/// Rights from `PROT_*`; those that do not exist on this processor are refused.
fn prot_of(bits: u32) -> Result<Prot> {
    let known = g::PROT_READ | g::PROT_WRITE | g::PROT_EXEC | g::PROT_SEM | g::PROT_GROWSDOWN;
    if bits & !known != 0 {
        return Err(Errno::EINVAL);
    }
    let mut prot = Prot::empty();
    prot.set(Prot::READ, bits & g::PROT_READ != 0);
    prot.set(Prot::WRITE, bits & g::PROT_WRITE != 0);
    prot.set(Prot::EXECUTE, bits & g::PROT_EXEC != 0);
    Ok(prot)
}

impl<P: Platform> Linux<P> {
    pub(super) fn call_brk(&mut self, t: Tid, wanted: u64) -> Reply {
        let memory = self.task(t).memory;
        Ok(Outcome::Value(self.memories[memory].set_brk(wanted, &mut self.machine)))
    }

    #[allow(clippy::too_many_arguments, reason = "mmap has six")]
    pub(super) fn call_mmap(
        &mut self,
        t: Tid,
        address: u64,
        length: u64,
        prot: u32,
        flags: u32,
        fd: Fd,
        offset: u64,
    ) -> Reply {
        let prot = prot_of(prot)?;
        if length == 0 || !offset.is_multiple_of(PAGE_U64) {
            return Err(Errno::EINVAL);
        }
        let sharing = match flags & g::MAP_TYPE {
            g::MAP_PRIVATE => Sharing::Private,
            g::MAP_SHARED | g::MAP_SHARED_VALIDATE => Sharing::Shared,
            _ => return Err(Errno::EINVAL),
        };
        let place = if flags & g::MAP_FIXED_NOREPLACE != 0 {
            Place::FixedNew(address)
        } else if flags & g::MAP_FIXED != 0 {
            Place::Fixed(address)
        } else {
            Place::Near(address)
        };
        let rounded = length.checked_next_multiple_of(PAGE_U64).ok_or(Errno::ENOMEM)?;
        offset.checked_add(rounded).ok_or(Errno::EOVERFLOW)?;
        let memory = self.task(t).memory;
        // The file, with a hold of our own on it until the map has one.
        let file = if flags & g::MAP_ANONYMOUS != 0 {
            match sharing {
                Sharing::Private => None,
                Sharing::Shared => Some((self.unnamed_file(rounded)?, 0)),
            }
        } else {
            let id = self.file_of(t, fd)?;
            let ino = self.regular_of(t, fd)?;
            let open = &self.files[id];
            let writes_back = sharing == Sharing::Shared && prot.contains(Prot::WRITE);
            if !open.readable() || (writes_back && !open.writable()) {
                return Err(Errno::EACCES);
            }
            self.inodes.retain(ino);
            Some((ino, offset / PAGE_U64))
        };
        let backing = file.map_or(Backing::Anonymous, |(ino, page)| Backing::File { ino, page });
        let area = Area { prot, sharing, role: Role::Plain, backing };
        let mapped = self.memories[memory].map(place, rounded, area, &mut self.machine);
        if let Some((ino, _)) = file {
            let kept = mapped.is_ok() && self.memories[memory].files.insert(ino);
            if !kept {
                self.inodes.release(ino, &mut self.machine);
            }
        }
        mapped.map(Outcome::Value)
    }

    pub(super) fn call_munmap(&mut self, t: Tid, address: u64, length: u64) -> Reply {
        let range = PageRange::covering(address, length).map_err(|_| Errno::EINVAL)?;
        if range.is_empty() {
            return Err(Errno::EINVAL);
        }
        let memory = self.task(t).memory;
        self.memories[memory].unmap(range, &mut self.machine).and(DONE)
    }

    pub(super) fn call_mprotect(&mut self, t: Tid, address: u64, length: u64, prot: u32) -> Reply {
        let prot = prot_of(prot)?;
        let range = PageRange::covering(address, length)?;
        if range.is_empty() {
            return DONE;
        }
        let memory = self.task(t).memory;
        self.memories[memory].protect(range, prot, &mut self.machine).and(DONE)
    }

    pub(super) fn call_mremap(&mut self, t: Tid, old: u64, sizes: [u64; 2], flags: u32, new: u64) -> Reply {
        let [old_size, new_size] = sizes;
        if flags & !(g::MREMAP_MAYMOVE | g::MREMAP_FIXED) != 0 || old_size == 0 {
            return Err(Errno::EINVAL);
        }
        let fixed = flags & g::MREMAP_FIXED != 0;
        let may_move = flags & g::MREMAP_MAYMOVE != 0;
        if fixed && !may_move {
            return Err(Errno::EINVAL);
        }
        let place = if fixed { Some(Place::Fixed(new)) } else { may_move.then_some(Place::Near(0)) };
        let range = PageRange::covering(old, old_size)?;
        let new_size = new_size.checked_next_multiple_of(PAGE_U64).ok_or(Errno::ENOMEM)?;
        let memory = self.task(t).memory;
        self.memories[memory].remap(range, new_size, place, &mut self.machine).map(Outcome::Value)
    }

    pub(super) fn call_madvise(&mut self, t: Tid, address: u64, length: u64, advice: u32) -> Reply {
        let range = PageRange::covering(address, length)?;
        match advice {
            g::MADV_DONTNEED | g::MADV_FREE if !range.is_empty() => {
                let memory = self.task(t).memory;
                self.memories[memory].discard(range, &mut self.machine).and(DONE)
            }
            // Everything else is advice that changes nothing a program can see.
            0..=g::MADV_POPULATE_WRITE => DONE,
            _ => Err(Errno::EINVAL),
        }
    }

    pub(super) fn call_msync(&mut self, t: Tid, address: u64, length: u64) -> Reply {
        let range = PageRange::covering(address / PAGE_U64 * PAGE_U64, length)?;
        let memory = self.task(t).memory;
        if self.memories[memory].areas.covers(range) { DONE } else { Err(Errno::ENOMEM) }
    }
}
