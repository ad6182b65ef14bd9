//! Making, mapping, copying, deleting, and the guest that is entered and left.

use idl::abi::TrapKind;
use idl::types::{Deadline, PageIndex, Pages, UserPage};
use userlib::cap::{AddressSpace, Guest, Notification, Region, Untyped};
use userlib::memory::{self, Mapping};
use userlib::{Cap, Error, Handle, Kind, Rights, cap, check_eq, environment, page, slots};

use super::meter::{report, timed};
use crate::{Outcome, said};

/// Where this program maps what it measures with.
const HERE: u64 = 0x4000_0000_0000;
/// Where the guest's code lies.
const GUEST_CODE: u64 = 0x40_0000;

pub(super) fn figures() -> Outcome {
    retype().map_err(said("retype"))?;
    pages().map_err(said("pages"))?;
    copies().map_err(said("copies"))?;
    guest()
}

/// One page made of untyped memory, and the untyped memory reset.
fn retype() -> Result<(), Error> {
    let untyped = memory::create::<Untyped>(16)?;
    let slot = slots::allocate()?;
    report("retype_a_page", |_| {
        let (ticks, made) = timed(|| untyped.retype(Kind::Region, 1, slot));
        made?;
        cap::complete(|| untyped.reset())?;
        Ok(ticks)
    })?;
    slots::release(slot);
    slots::delete(untyped.handle())
}

/// One page mapped and unmapped in this program's own space.
fn pages() -> Result<(), Error> {
    let region = memory::create::<Region>(1)?;
    let space = environment().space();
    let binding = memory::bind(region, space)?;
    let address = UserPage::new(HERE).ok_or(Error::BadRange)?;
    let rights = Rights::READ | Rights::WRITE;
    let map = || timed(|| space.map(binding.handle(), PageIndex(0), address, Pages(1), rights));
    let unmap = || timed(|| space.unmap(address, Pages(1)));
    report("map_a_page", |_| {
        let (ticks, mapped) = map();
        mapped?;
        unmap().1?;
        Ok(ticks)
    })?;
    report("unmap_a_page", |_| {
        map().1?;
        let (ticks, unmapped) = unmap();
        unmapped.map(|_| ticks)
    })?;
    slots::delete(region.handle())?;
    slots::release(binding.handle().index());
    Ok(())
}

/// A capability copied, and the copy deleted.
fn copies() -> Result<(), Error> {
    let notification = memory::create::<Notification>(0)?;
    let slot = slots::allocate()?;
    let table = environment().cspace();
    let copy = || timed(|| table.copy(notification.handle(), Handle::NONE, slot, Rights::CALL));
    report("copy_a_capability", |_| {
        let (ticks, copied) = copy();
        let copied = copied?;
        cap::complete(|| table.delete(copied))?;
        Ok(ticks)
    })?;
    report("delete_a_capability", |_| {
        let copied = copy().1?;
        let (ticks, deleted) = timed(|| table.delete(copied));
        deleted.map(|_| ticks)
    })?;
    slots::release(slot);
    slots::delete(notification.handle())
}

/// A guest entered, that makes a system call at once, and left.
fn guest() -> Outcome {
    let (guest, space) = make_guest().map_err(said("guest"))?;
    let mut frame = page::frame().map_err(said("frame"))?;
    frame.registers = idl::abi::Registers { rip: GUEST_CODE, rflags: 0x202, ..Default::default() };
    page::set_frame(&frame).map_err(said("frame"))?;
    check_eq!(guest.enter(Deadline::NEVER), Ok(TrapKind::SystemCall));
    report("guest_entry_and_exit", |_| {
        let (ticks, trap) = timed(|| guest.enter(Deadline::NEVER));
        trap.map(|_| ticks)
    })
    .map_err(said("enter"))?;
    check_eq!(page::frame().map_err(said("frame"))?.registers.rip, GUEST_CODE + 2);
    slots::delete(guest.handle()).map_err(said("delete"))?;
    slots::delete(space.handle()).map_err(said("delete"))
}

/// A guest whose space has one page of code: a system call, and a jump back to it.
fn make_guest() -> Result<(Cap<Guest>, Cap<AddressSpace>), Error> {
    let code = Mapping::new(Pages(1))?;
    code.write(0, &[0x0f, 0x05, 0xeb, 0xfc]);
    let region = code.region();
    code.unmap()?;
    let space = memory::create::<AddressSpace>(8)?;
    let binding = memory::bind(region, space)?;
    let address = UserPage::new(GUEST_CODE).ok_or(Error::BadRange)?;
    memory::map_pages(space, binding, PageIndex(0), address, Pages(1), Rights::READ | Rights::EXECUTE)?;
    let guest = memory::create::<Guest>(0)?;
    guest.configure(space.handle())?;
    Ok((guest, space))
}
