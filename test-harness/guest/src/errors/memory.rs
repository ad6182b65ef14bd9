//! Untyped memory, regions, address spaces.

use alloc::vec::Vec;

use idl::types::{PageIndex, Pages, Progress, UserPage};
use userlib::cap::{AddressSpace, Cap, Region, Untyped, complete};
use userlib::{Error, Handle, Kind, Rights, SlotIndex, cap, check, check_eq, environment, memory, slots};

use super::refused;
use crate::puppet::{self, Call};
use crate::{Outcome, said};

/// Where nothing else is mapped.
const HERE: u64 = 0x4100_0000_0000;
const BOTH: Rights = Rights::READ.union(Rights::WRITE);

pub(crate) fn of_untyped() -> Outcome {
    let small = memory::create::<Untyped>(4).map_err(said("untyped"))?;
    let slot = slots::allocate().map_err(said("slot"))?;
    let own = environment().cspace().handle().index();
    refused("a core of memory", small.retype(Kind::Core, 0, slot), Error::InvalidArgument)?;
    refused("more than there is", small.retype(Kind::Region, 64, slot), Error::OutOfMemory)?;
    refused("nothing", small.retype(Kind::Region, 0, slot), Error::BadSize)?;
    refused("into a full slot", small.retype(Kind::Region, 1, own), Error::SlotOccupied)?;
    refused("into no slot", small.retype(Kind::Region, 1, SlotIndex(1 << 20)), Error::OutOfRange)?;
    let mut parent = memory::create::<Untyped>(64).map_err(said("untyped"))?;
    let refusal = loop {
        match memory::create_from::<Untyped>(parent, 1) {
            Ok(child) => parent = child,
            Err(error) => break error,
        }
    };
    check!(refusal == Error::DepthExceeded || refusal == Error::OutOfMemory, "nested memory: {refusal}");
    deepest(small)?;
    busy()
}

/// A chain of copies of untyped memory, as long as can be; what is made from the last is too deep.
fn deepest(small: Cap<Untyped>) -> Outcome {
    let mut last = small;
    while let Ok(copy) = memory::copy(last, Rights::all() & rights(last)?) {
        last = copy;
    }
    let slot = slots::allocate().map_err(said("slot"))?;
    refused("made too deep", last.retype(Kind::Notification, 0, slot), Error::DepthExceeded)
}

fn rights(of: Cap<Untyped>) -> Result<Rights, alloc::string::String> {
    environment().cspace().info(of.handle()).map(|info| info.rights).map_err(said("info"))
}

/// While memory is being reset nothing can be made from it.
fn busy() -> Outcome {
    let large = memory::create::<Untyped>(400).map_err(said("untyped"))?;
    let other = memory::copy(large, rights(large)?).map_err(said("copy"))?;
    let direct = memory::create_from::<Region>(large, 1).map_err(said("region"))?;
    refused("reset by a copy what others use", other.reset(), Error::Busy)?;
    slots::delete(direct.handle()).map_err(said("delete"))?;
    let made: Result<Vec<Cap<Region>>, Error> = (0..200).map(|_| memory::create_from(other, 1)).collect();
    let made = made.map_err(said("regions"))?;
    check_eq!(other.reset(), Ok(Progress::More));
    let slot = slots::allocate().map_err(said("slot"))?;
    let made_meanwhile = large.retype(Kind::Region, 1, slot);
    let table = environment().cspace();
    let copied = table.copy(large.handle(), Handle::NONE, slot, Rights::READ);
    complete(|| other.reset()).map_err(said("reset"))?;
    refused("made of memory that is being reset", made_meanwhile, Error::Busy)?;
    refused("copied from memory that is being reset", copied, Error::Busy)?;
    large.retype(Kind::Region, 1, slot).map_err(said("made of memory that was reset"))?;
    check!(made[0].info().is_err(), "a handle of before the reset names something");
    Ok(())
}

pub(crate) fn of_regions() -> Outcome {
    let region = memory::create::<Region>(4).map_err(said("region"))?;
    let space = environment().space().handle();
    let full = environment().cspace().handle().index();
    let free = slots::allocate().map_err(said("slot"))?;
    refused("bind into a full slot", region.bind(space, full), Error::SlotOccupied)?;
    let slice = |page, pages, slot| region.slice(PageIndex(page), Pages(pages), Rights::READ, slot);
    refused("a slice of nothing", slice(0, 0, free), Error::BadSize)?;
    refused("a slice beyond the end", slice(3, 2, free), Error::BadRange)?;
    refused("a slice into a full slot", slice(0, 1, full), Error::SlotOccupied)?;
    let mut last = region;
    while let Ok(deeper) =
        slots::fill(|slot| last.slice(PageIndex(0), Pages(1), Rights::all() & REGION, slot))
    {
        last = cap::cap(deeper);
    }
    refused("a slice too deep", last.slice(PageIndex(0), Pages(1), REGION, free), Error::DepthExceeded)?;
    refused("a binding too deep", last.bind(space, free), Error::DepthExceeded)?;
    numbers()
}

/// All rights of a region.
const REGION: Rights = BOTH.union(Rights::EXECUTE).union(Rights::DERIVE);

/// A space has so many binding numbers, and no more.
fn numbers() -> Outcome {
    let space = memory::create::<AddressSpace>(8).map_err(said("space"))?;
    let region = memory::create::<Region>(1).map_err(said("region"))?;
    // More bindings than this program's table has slots: they lie in tables made for them.
    let own = environment();
    let tables: Result<Vec<_>, Error> = (0..3).map(|_| memory::create::<cap::CSpace>(512)).collect();
    let tables = tables.map_err(said("tables"))?;
    let mut refusal = None;
    for table in &tables {
        for slot in 1..512 {
            let here = slots::allocate().map_err(said("slot"))?;
            let bound = region.bind(space.handle(), here);
            slots::release(here);
            match bound {
                Ok(binding) => own
                    .cspace()
                    .move_(binding, table.handle(), SlotIndex(slot))
                    .map(|_| ())
                    .map_err(said("move"))?,
                Err(error) => refusal = Some(error),
            }
        }
    }
    check_eq!(refusal, Some(Error::OutOfBindings));
    slots::delete(region.handle()).map_err(said("delete the region"))?;
    let other = memory::create::<Region>(1).map_err(said("region"))?;
    let binding = memory::bind(other, space).map_err(said("bind when numbers are free again"))?;
    slots::delete(binding.handle()).map_err(said("delete"))?;
    tables.iter().try_for_each(|table| slots::delete(table.handle())).map_err(said("delete the tables"))
}

pub(crate) fn of_spaces() -> Outcome {
    let space = memory::create::<AddressSpace>(8).map_err(said("space"))?;
    let region = memory::create::<Region>(8).map_err(said("region"))?;
    let binding = memory::bind(region, space).map_err(said("bind"))?.handle();
    let here = UserPage::new(HERE).ok_or("no address")?;
    let last = UserPage::new(idl::abi::USER_END - 4096).ok_or("no address")?;
    let map =
        |page, address, pages, rights| space.map(binding, PageIndex(page), address, Pages(pages), rights);
    refused("map what is written and not read", map(0, here, 1, Rights::WRITE), Error::InvalidArgument)?;
    refused("map beyond the region", map(8, here, 1, Rights::READ), Error::BadRange)?;
    refused("map beyond the space", map(0, last, 2, Rights::READ), Error::BadRange)?;
    check_eq!(map(0, here, 2, BOTH), Ok(Pages(2)));
    refused("map again", map(0, here, 1, Rights::READ), Error::AlreadyMapped)?;
    refused("unmap beyond the space", space.unmap(last, Pages(2)), Error::BadRange)?;
    refused("protect beyond the space", space.protect(last, Pages(2), Rights::READ), Error::BadRange)?;
    let unread = Rights::WRITE;
    refused("protect to write and not read", space.protect(here, Pages(1), unread), Error::InvalidArgument)?;
    let far = here.checked_add(Pages(100)).ok_or("no address")?;
    refused("protect nothing", space.protect(far, Pages(1), Rights::READ), Error::NotMapped)?;
    refused("query nothing", space.query(far), Error::NotMapped)?;
    refused("query the last page", space.query(last), Error::NotMapped)?;
    let words = [idl::abi::USER_END, 0, 0, 0, 0];
    let call = Call { op: Cap::<AddressSpace>::op(4).0, handle: space.handle(), words, ..Call::default() };
    let beyond = puppet::ask(&puppet::caller()?, &call)?;
    refused("query the kernel", beyond.status().map(|_| ()), Error::BadRange)?;
    // A slice that can only be read.
    let narrow =
        slots::fill(|slot| region.slice(PageIndex(4), Pages(2), Rights::READ | Rights::DERIVE, slot));
    let narrow =
        memory::bind(cap::cap::<Region>(narrow.map_err(said("slice"))?), space).map_err(said("bind"))?;
    let narrow = |rights| space.map(narrow.handle(), PageIndex(0), far, Pages(1), rights);
    refused("write what is read", narrow(BOTH), Error::MissingRight)?;
    check_eq!(narrow(Rights::READ), Ok(Pages(1)));
    refused("protect to write what is read", space.protect(far, Pages(1), BOTH), Error::MissingRight)?;
    // Pages so far apart that each needs tables of its own.
    let spread = (1..64u64).find_map(|step| {
        let address = UserPage::new(HERE + (step << 39))?;
        map(2, address, 1, Rights::READ).err()
    });
    check_eq!(spread, Some(Error::OutOfTables));
    refused("bind a region to no space", region.bind(Handle(999), SlotIndex(900)), Error::EmptySlot)
}
