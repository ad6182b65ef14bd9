//! AddressSpace: mapping pages of bound regions.

mod tables;

use caps::{Error, Handle, Kind, Rights, Slots};
use idl::abi::USER_END;
use idl::kernel::address_space::{Call, Mapping};
use idl::types::{BindingNumber, PageIndex, Pages, UserPage};

pub use tables::{AddressSpace, MAX_PAGES, MIN_PAGES, entry_rights, page_entry};

use super::Methods;
use crate::arch::x86_64::paging::{BindingNumber as Number, Pte};
use crate::arch::{Vector, flush_page};
use crate::entry::Fault;
use crate::kernel::Kernel;
use crate::limits::{MAP_BUDGET, PAGE, PROTECT_BUDGET};
use crate::memory::Ref;
use crate::object::thread::Thread;
use crate::outcome::{Answer, Outcome};
use crate::syscall::{Caller, object_of};
use crate::types::{CoreId, PhysAddr, VirtAddr};

/// What mappings can allow.
const MAPPABLE: Rights = Rights::READ.union(Rights::WRITE).union(Rights::EXECUTE);

/// A call of an AddressSpace, checked: of what is done page by page, the first can be done.
pub enum Request {
    /// Maps pages, from this one on, with what the first page's entry says.
    Map(VirtAddr, Count, Pte),
    /// Takes mappings away.
    Unmap(VirtAddr, Count),
    /// Changes what mappings allow.
    Protect(VirtAddr, Count, Rights),
    /// Says this.
    Query(Mapping),
}

/// Pages that one call treats.
type Count = u64;

impl Methods for Call {
    type Request = Request;

    #[inline(always)]
    fn decode(self, kernel: &Kernel, caller: &Caller) -> Result<Request, Error> {
        let space = target(caller);
        match self {
            Call::Map { binding, page, address, pages, rights } => {
                let entry = first_entry(kernel, caller, (binding, page, pages), rights)?;
                let count = check_range(address, pages)?;
                let at = VirtAddr(address.address());
                space.check_map(&kernel.memory, at)?;
                Ok(Request::Map(at, count, entry))
            }
            Call::Unmap { address, pages } => {
                Ok(Request::Unmap(VirtAddr(address.address()), check_range(address, pages)?))
            }
            Call::Protect { address, pages, rights } => {
                check_rights(rights)?;
                let count = check_range(address, pages)?;
                let at = VirtAddr(address.address());
                kernel.protected(space, at, rights)?;
                Ok(Request::Protect(at, count.min(PROTECT_BUDGET), rights))
            }
            Call::Query { address } => {
                let entry =
                    space.entry(&kernel.memory, VirtAddr(address.address())).ok_or(Error::NotMapped)?;
                let slot = space.binding(&kernel.memory, entry.binding().get()).ok_or(Error::NotMapped)?;
                let region = kernel.memory.slot(slot).capability().ok_or(Error::NotMapped)?;
                let offset = (entry.address().0 - region.object) / PAGE;
                Ok(Request::Query(Mapping {
                    page: PageIndex(u32::try_from(offset).map_err(|_| Error::NotMapped)?),
                    rights: entry_rights(entry),
                    binding: BindingNumber(u32::from(entry.binding().get())),
                }))
            }
        }
    }

    #[inline(always)]
    fn perform(request: Request, kernel: &mut Kernel, caller: &Caller) -> Outcome {
        let space = target(caller);
        let done = match request {
            Request::Map(at, count, entry) => kernel.map(space, at, count, entry),
            Request::Unmap(at, count) => kernel.unmap(caller, space, at, count),
            Request::Protect(at, count, rights) => kernel.protect(caller, space, at, count, rights),
            Request::Query(mapping) => return Answer::of(mapping).into(),
        };
        Answer::of(Pages(u32::try_from(done).unwrap_or(u32::MAX))).into()
    }
}

/// The space that is invoked.
fn target(caller: &Caller) -> Ref<AddressSpace> {
    Ref::at(object_of(&caller.found.capability))
}

/// The entry for the first of these pages of what is bound.
fn first_entry(
    kernel: &Kernel,
    caller: &Caller,
    (binding, page, pages): (Handle, PageIndex, Pages),
    rights: Rights,
) -> Result<Pte, Error> {
    let binding = kernel.argument(caller, binding, Kind::Binding, Rights::empty())?.capability;
    check_rights(rights)?;
    if binding.space != target(caller).address().0 {
        return Err(Error::InvalidArgument);
    }
    if !binding.rights.contains(rights) {
        return Err(Error::MissingRight);
    }
    let start = u64::from(page.0) * PAGE;
    if start + pages.bytes() > binding.size {
        return Err(Error::BadRange);
    }
    let number = Number::new(binding.number).ok_or(Error::InvalidArgument)?;
    Ok(page_entry(PhysAddr(binding.object).plus(start), rights, number))
}

impl Kernel {
    fn map(&mut self, space: Ref<AddressSpace>, at: VirtAddr, count: Count, first: Pte) -> Count {
        crate::arch::x86_64::testing::bench_padding();
        space.map_all(&mut self.memory, at, count, first)
    }

    fn unmap(&mut self, caller: &Caller, space: Ref<AddressSpace>, at: VirtAddr, count: Count) -> Count {
        let mut changed = false;
        space.unmap_all(&mut self.memory, at, count, |at| {
            flush_page(at);
            changed = true;
        });
        if changed {
            self.flush_others(caller, space);
        }
        count
    }

    fn protect(
        &mut self,
        caller: &Caller,
        space: Ref<AddressSpace>,
        at: VirtAddr,
        count: Count,
        rights: Rights,
    ) -> Count {
        let (mut done, mut shrunk) = (0, false);
        for at in (0..count).map(|index| at.plus(index * PAGE)) {
            let Ok(entry) = self.protected(space, at, rights) else { break };
            shrunk |=
                space.entry(&self.memory, at).is_some_and(|before| !rights.contains(entry_rights(before)));
            space.replace(&mut self.memory, at, entry);
            flush_page(at);
            done += 1;
        }
        // Of rights that only grew nobody else need hear: see `is_outgrown`.
        if shrunk {
            self.flush_others(caller, space);
        }
        done
    }

    /// The entry of a mapped page, with these rights instead of its own.
    fn protected(&self, space: Ref<AddressSpace>, at: VirtAddr, rights: Rights) -> Result<Pte, Error> {
        let entry = space.entry(&self.memory, at).ok_or(Error::NotMapped)?;
        let slot = space.binding(&self.memory, entry.binding().get()).ok_or(Error::NotMapped)?;
        let allowed = self.memory.slot(slot).capability().ok_or(Error::NotMapped)?.rights;
        if !allowed.contains(rights) {
            return Err(Error::MissingRight);
        }
        Ok(page_entry(entry.address(), rights, entry.binding()))
    }

    /// The caller goes on only when no other core can still use what a mapping said before: of those that run on this
    /// space now. Whoever loads its root later flushes by that.
    fn flush_others(&mut self, caller: &Caller, space: Ref<AddressSpace>) {
        let there = CoreId::all_in(self.board.members() & !self.me.bit())
            .filter(|core| self.cores[core.index()].root == space.root())
            .fold(0, |cores, core| cores | core.bit());
        if there != 0 {
            let asked = self.board.ask(there);
            self.hold(Some(caller.thread), asked);
        }
    }

    /// Whether a page fault comes of a translation from before the page got more rights: nobody tells other cores of that,
    /// and the processor has forgotten the translation by faulting (SDM vol 3, 4.10.4.1).
    pub fn is_outgrown(&self, thread: Ref<Thread>, fault: Fault) -> bool {
        if fault.vector != Vector::PAGE_FAULT || fault.address >= USER_END {
            return false;
        }
        let space = self.root_of(thread).map(AddressSpace::of_root);
        let entry = space.and_then(|space| space.entry(&self.memory, VirtAddr(fault.address)));
        entry.is_some_and(|entry| fault_is_allowed(fault.error, entry_rights(entry)))
    }
}

/// Whether these rights allow an access that a page fault with this error code was about. An entry that was not there, or
/// is malformed, was no matter of rights; nor was an access that the processor made as a kernel would, on behalf of an
/// instruction of the program's: that one comes again however often it is tried.
fn fault_is_allowed(error: u64, rights: Rights) -> bool {
    /// The entry was there, and the program itself wanted it.
    const OWN: u64 = 1 << 0 | 1 << 2;
    const WRITE: u64 = 1 << 1;
    const RESERVED: u64 = 1 << 3;
    const FETCH: u64 = 1 << 4;
    let wanted = [(WRITE, Rights::WRITE), (FETCH, Rights::EXECUTE)];
    error & (OWN | RESERVED) == OWN
        && wanted.iter().all(|(bit, right)| error & bit == 0 || rights.contains(*right))
}

fn check_rights(rights: Rights) -> Result<(), Error> {
    let sound = rights.contains(Rights::READ) && MAPPABLE.contains(rights);
    if sound { Ok(()) } else { Err(Error::InvalidArgument) }
}

/// How many pages of the range one call treats.
fn check_range(address: UserPage, pages: Pages) -> Result<Count, Error> {
    let last = Pages(pages.0.checked_sub(1).ok_or(Error::BadRange)?);
    address.checked_add(last).ok_or(Error::BadRange)?;
    Ok(u64::from(pages.0).min(MAP_BUDGET))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_of_old_rights_only_if_the_new_ones_allow_it() {
        let (read, write) = (Rights::READ, Rights::READ | Rights::WRITE);
        let execute = Rights::READ | Rights::EXECUTE;
        assert!(fault_is_allowed(0b0_0101, read) && fault_is_allowed(0b0_0111, write));
        assert!(fault_is_allowed(0b1_0101, execute));
        assert!(!fault_is_allowed(0b0_0111, execute) && !fault_is_allowed(0b1_0101, write));
        // Nothing was mapped there; a malformed entry; not the program's own access.
        assert!(!fault_is_allowed(0b0_0110, write) && !fault_is_allowed(0b0_1101, read));
        assert!(!fault_is_allowed(0b0_0001, write) && !fault_is_allowed(0b0_0011, write));
    }
}
