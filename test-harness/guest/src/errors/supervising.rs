//! The ledger's authority, and subOSes as their supervisor sees them.

use idl::types::{
    Bits, Chunks, CoreNumber, Length, LotNumber, PageIndex, Pages, ResourceKind, StatisticsQuestion, Ticks,
};
use userlib::cap::{Notification, Region, SubOs};
use userlib::{Cap, Error, Handle, cap, check_eq, environment, memory, slots};

use super::refused;
use crate::puppet::{self, Call};
use crate::subos::{self, HOME};
use crate::{Outcome, said, walls};

pub(crate) fn of_machine() -> Outcome {
    let machine = environment().machine();
    let free = slots::allocate().map_err(said("slot"))?;
    let full = environment().cspace().handle().index();
    refused("a subOS of nothing", machine.create(Chunks(0), free), Error::BadSize)?;
    refused("a subOS larger than the machine", machine.create(Chunks(1 << 20), free), Error::NoResource)?;
    refused("a subOS in a full slot", machine.create(HOME, full), Error::SlotOccupied)?;
    refused("no such core", machine.ledger(ResourceKind::Core, 64), Error::NoResource)?;
    refused("no such chunk", machine.ledger(ResourceKind::Chunk, 1 << 40), Error::NoResource)
}

pub(crate) fn of_suboses() -> Outcome {
    let subos = subos::create()?;
    unloaded(subos)?;
    loading(subos)?;
    resources(subos)?;
    ring(subos)?;
    without_page(subos)?;
    refused(
        "load what is loaded",
        subos::load(subos, "subos::idle").map_err(|_| Error::WrongState),
        Error::WrongState,
    )?;
    subos.start().map_err(said("start"))?;
    refused("start what is started", subos.start(), Error::WrongState)?;
    let program = environment().modules().handle();
    refused("attach to what is started", subos.attach(program, PageIndex(0), Pages(1)), Error::WrongState)?;
    refused("no epitaph", subos.epitaph(), Error::Empty)?;
    subos::destroy(subos)?;
    refused("what was destroyed", subos.info(), Error::EmptySlot)
        .or_else(|_| refused("what was destroyed", subos.info(), Error::StaleHandle))
}

fn unloaded(subos: Cap<SubOs>) -> Outcome {
    refused("start without a program", subos.start(), Error::WrongState)?;
    let region = memory::create::<Region>(2).map_err(said("region"))?.handle();
    let load = |page, pages, length| subos.load(region, PageIndex(page), Pages(pages), Length(length));
    refused("load beyond the region", load(1, 2, 0), Error::BadRange)?;
    refused("load zeros", load(0, 2, 0), Error::BadImage)?;
    refused("arguments beyond the page", load(0, 2, 5000), Error::TooLong)?;
    let attach = |page, pages| subos.attach(region, PageIndex(page), Pages(pages));
    refused("attach beyond the region", attach(1, 2), Error::BadRange)?;
    refused("attach nothing", attach(0, 0), Error::BadRange)?;
    let large = memory::create::<Region>(u64::from(HOME.0) * 512).map_err(said("a large region"))?;
    let pages = Pages(HOME.0 * 512);
    refused(
        "attach more than the home lot",
        subos.attach(large.handle(), PageIndex(0), pages),
        Error::OutOfMemory,
    )?;
    slots::delete(large.handle()).map_err(said("delete"))
}

/// A program that does not fit; then one that does.
fn loading(subos: Cap<SubOs>) -> Outcome {
    let small = subos::create_of(Chunks(1))?;
    let filler = memory::create::<Region>(300).map_err(said("region"))?;
    cap::complete(|| small.attach(filler.handle(), PageIndex(0), Pages(300))).map_err(said("attach"))?;
    let refusal = subos::load(small, "subos::idle");
    check_eq!(refusal, Err("load: OutOfMemory".into()));
    subos::destroy(small)?;
    slots::delete(filler.handle()).map_err(said("delete"))?;
    subos::load(subos, "subos::idle")
}

fn resources(subos: Cap<SubOs>) -> Outcome {
    refused("a core that is ours", subos.grant_core(CoreNumber(0)), Error::NoResource)?;
    refused("no such core", subos.grant_core(CoreNumber(63)), Error::NoResource)?;
    refused("a core it has not", subos.reclaim_core(CoreNumber(1), Ticks(0)), Error::NotOwner)?;
    refused("a lot of nothing", subos.grant_lot(Chunks(0)), Error::BadSize)?;
    refused("a lot larger than the machine", subos.grant_lot(Chunks(1 << 20)), Error::NoResource)?;
    refused("the home lot", subos.reclaim_lot(LotNumber(0)), Error::HomeLot)?;
    refused("a lot it has not", subos.reclaim_lot(LotNumber(5)), Error::NotOwner)?;
    refused("no such core's", subos.statistics(CoreNumber(99), StatisticsQuestion::Calls), Error::NoResource)
}

fn ring(subos: Cap<SubOs>) -> Outcome {
    refused("a forged event", subos.send(1 << 63, 0, 0, 0, 0), Error::InvalidArgument)?;
    refused("nothing sent", subos.receive(), Error::Empty)?;
    let full = (0..1000).find_map(|_| subos.send(1, 2, 3, 4, 5).err());
    check_eq!(full, Some(Error::Full));
    refused("more than a page", subos.read_console(Length(5000)), Error::TooLong)?;
    let notification = memory::create::<Notification>(0).map_err(said("notification"))?;
    subos.bind(notification.handle(), Bits(1)).map_err(said("bind"))?;
    let other = memory::create::<Notification>(0).map_err(said("notification"))?;
    refused("bind another", subos.bind(other.handle(), Bits(1)), Error::AlreadyBound)?;
    subos.bind(Handle::NONE, Bits(0)).map_err(said("unbind"))
}

/// What goes through a message page needs one.
fn without_page(subos: Cap<SubOs>) -> Outcome {
    let caller = puppet::caller()?;
    let region = environment().modules().handle().0;
    for (method, words) in [(1, [region, 0, 1, 4, 0]), (11, [4, 0, 0, 0, 0]), (13, [0; 5])] {
        let call = Call { op: Cap::<SubOs>::op(method).0, handle: subos.handle(), words, ..Call::default() };
        let result = puppet::ask(&caller, &call)?;
        refused("without a page", result.status().map(|_| ()), Error::NotConfigured)?;
    }
    Ok(())
}

/// What needs a kernel that works is refused when there is none any more.
pub(crate) fn of_condemned_suboses() -> Outcome {
    let child = walls::condemned()?;
    let subos = child.subos;
    refused("start", subos.start(), Error::Condemned)?;
    refused("a core", subos.grant_core(CoreNumber(3)), Error::Condemned)?;
    refused("several things", subos.grant(0, Chunks(1), Chunks(0), Chunks(0)), Error::Condemned)?;
    let sound = subos::create()?;
    refused("a window", subos.share(sound.handle(), Chunks(1)), Error::Condemned)?;
    refused("a window to it", sound.share(subos.handle(), Chunks(1)), Error::Condemned)?;
    subos::destroy(sound)?;
    refused("a lot", subos.grant_lot(Chunks(1)), Error::Condemned)?;
    refused("take a lot", subos.reclaim_lot(LotNumber(1)), Error::Condemned)?;
    refused("a word", subos.send(1, 0, 0, 0, 0), Error::Condemned)?;
    refused("what it did", subos.statistics(CoreNumber(2), StatisticsQuestion::Calls), Error::Condemned)?;
    child.destroy()
}
