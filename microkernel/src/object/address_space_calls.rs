//! The calls of AddressSpace: mapping pages of bound regions.

use caps::{Error, Handle, Kind, Rights, Slots};
use idl::Words;
use idl::kernel::address_space::{Call, Mapping};
use idl::types::{BindingNumber, PageIndex, Pages, UserPage};

use crate::arch::flush_page;
use crate::arch::x86_64::paging::{BindingNumber as Number, Pte};
use crate::kernel::Kernel;
use crate::limits::{MAP_BUDGET, PAGE};
use crate::memory::Ref;
use crate::object::address_space::{AddressSpace, MapError, entry_rights, page_entry};
use crate::outcome::{Answer, Outcome};
use crate::syscall::{Caller, object_of};
use crate::types::{PhysAddr, VirtAddr};

/// What mappings can allow.
const MAPPABLE: Rights = Rights::READ.union(Rights::WRITE).union(Rights::EXECUTE);

impl Kernel {
    /// Carries out a call of an AddressSpace.
    pub fn invoke_address_space(&mut self, caller: &Caller, call: Call) -> Result<Outcome, Error> {
        let space = Ref::<AddressSpace>::at(object_of(&caller.found.capability));
        match call {
            Call::Map { binding, page, address, pages, rights } => {
                let done = self.map(caller, space, binding, page, (address, pages), rights)?;
                Ok(Answer { words: done.to_words() }.into())
            }
            Call::Unmap { address, pages } => {
                let done = self.unmap(caller, space, address, pages)?;
                Ok(Answer { words: done.to_words() }.into())
            }
            Call::Protect { address, pages, rights } => {
                let done = self.protect(caller, space, (address, pages), rights)?;
                Ok(Answer { words: done.to_words() }.into())
            }
            Call::Query { address } => {
                let at = VirtAddr(address.address());
                let entry = space.entry(&mut self.memory, at).ok_or(Error::NotMapped)?;
                let slot = space.binding(&self.memory, entry.binding().get()).ok_or(Error::NotMapped)?;
                let region = self.memory.slot(slot).capability().ok_or(Error::NotMapped)?;
                let offset = (entry.address().0 - region.object) / PAGE;
                let mapping = Mapping {
                    page: PageIndex(u32::try_from(offset).map_err(|_| Error::NotMapped)?),
                    rights: entry_rights(entry),
                    binding: BindingNumber(u32::from(entry.binding().get())),
                };
                Ok(Answer { words: mapping.to_words() }.into())
            }
        }
    }

    fn map(
        &mut self,
        caller: &Caller,
        space: Ref<AddressSpace>,
        binding: Handle,
        page: PageIndex,
        (address, pages): (UserPage, Pages),
        rights: Rights,
    ) -> Result<Pages, Error> {
        let binding = self.argument(caller, binding, Kind::Binding, Rights::empty())?.capability;
        check_rights(rights)?;
        if binding.space != space.address().0 {
            return Err(Error::InvalidArgument);
        }
        if !binding.rights.contains(rights) {
            return Err(Error::MissingRight);
        }
        let start = u64::from(page.0) * PAGE;
        if start + pages.bytes() > binding.size {
            return Err(Error::BadRange);
        }
        check_range(address, pages)?;
        let number = Number::new(binding.number).ok_or(Error::InvalidArgument)?;
        let count = u64::from(pages.0).min(MAP_BUDGET);
        for index in 0..count {
            let frame = PhysAddr(binding.object).plus(start + index * PAGE);
            let entry = page_entry(frame, rights, number);
            let at = VirtAddr(address.address()).plus(index * PAGE);
            match space.map(&mut self.memory, at, entry) {
                Ok(()) => {}
                Err(_) if index > 0 => return Ok(count_of(index)),
                Err(MapError::Occupied) => return Err(Error::AlreadyMapped),
                Err(MapError::NoTable) => return Err(Error::OutOfTables),
            }
        }
        Ok(count_of(count))
    }

    fn unmap(
        &mut self,
        caller: &Caller,
        space: Ref<AddressSpace>,
        address: UserPage,
        pages: Pages,
    ) -> Result<Pages, Error> {
        check_range(address, pages)?;
        let count = u64::from(pages.0).min(MAP_BUDGET);
        let mut changed = false;
        for index in 0..count {
            let at = VirtAddr(address.address()).plus(index * PAGE);
            if space.entry(&mut self.memory, at).is_some() {
                space.replace(&mut self.memory, at, Pte::EMPTY);
                flush_page(at);
                changed = true;
            }
        }
        if changed {
            self.flush_others(caller);
        }
        Ok(count_of(count))
    }

    fn protect(
        &mut self,
        caller: &Caller,
        space: Ref<AddressSpace>,
        (address, pages): (UserPage, Pages),
        rights: Rights,
    ) -> Result<Pages, Error> {
        check_rights(rights)?;
        check_range(address, pages)?;
        let count = u64::from(pages.0).min(MAP_BUDGET);
        let mut done = 0;
        let mut failed = None;
        while done < count {
            let at = VirtAddr(address.address()).plus(done * PAGE);
            if let Err(error) = self.protect_page(space, at, rights) {
                failed = Some(error);
                break;
            }
            done += 1;
        }
        if done > 0 {
            self.flush_others(caller);
        }
        match failed {
            Some(error) if done == 0 => Err(error),
            _ => Ok(count_of(done)),
        }
    }

    fn protect_page(&mut self, space: Ref<AddressSpace>, at: VirtAddr, rights: Rights) -> Result<(), Error> {
        let entry = space.entry(&mut self.memory, at).ok_or(Error::NotMapped)?;
        let slot = space.binding(&self.memory, entry.binding().get()).ok_or(Error::NotMapped)?;
        let allowed = self.memory.slot(slot).capability().ok_or(Error::NotMapped)?.rights;
        if !allowed.contains(rights) {
            return Err(Error::MissingRight);
        }
        space.replace(&mut self.memory, at, page_entry(entry.address(), rights, entry.binding()));
        flush_page(at);
        Ok(())
    }

    /// The caller goes on only when no other core can still use what a mapping said before.
    fn flush_others(&mut self, caller: &Caller) {
        if self.board.members() & !self.me.bit() != 0 {
            self.hold_until_quiet(Some(caller.thread));
        }
    }
}

fn check_rights(rights: Rights) -> Result<(), Error> {
    let sound = rights.contains(Rights::READ) && MAPPABLE.contains(rights);
    if sound { Ok(()) } else { Err(Error::InvalidArgument) }
}

fn check_range(address: UserPage, pages: Pages) -> Result<(), Error> {
    if pages.0 == 0 {
        return Err(Error::BadRange);
    }
    let last = Pages(pages.0 - 1);
    address.checked_add(last).map(|_| ()).ok_or(Error::BadRange)
}

fn count_of(pages: u64) -> Pages {
    Pages(u32::try_from(pages).unwrap_or(u32::MAX))
}
