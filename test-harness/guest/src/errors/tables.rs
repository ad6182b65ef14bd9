//! Tables, and what every look-up can answer.

use idl::types::{Badge, Bits};
use userlib::cap::{CSpace, Endpoint, Notification, Region, complete};
use userlib::{Cap, Error, Handle, Rights, SlotIndex, cap, check_eq, environment, memory, slots};

use super::refused;
use crate::puppet::{self, Call};
use crate::{Outcome, said};

pub(crate) fn of_tables() -> Outcome {
    let table = environment().cspace();
    let endpoint = memory::create::<Endpoint>(0).map_err(said("endpoint"))?.handle();
    let region = memory::create::<Region>(1).map_err(said("region"))?.handle();
    let (full, free) = (region.index(), slots::allocate().map_err(said("slot"))?);
    let copy = |source, slot| table.copy(source, Handle::NONE, slot, Rights::DERIVE);
    refused("copy into a full slot", copy(endpoint, full), Error::SlotOccupied)?;
    refused("move into a full slot", table.move_(endpoint, Handle::NONE, full), Error::SlotOccupied)?;
    let mint = |source, slot, badge| table.mint(source, Handle::NONE, slot, Rights::DERIVE, Badge(badge));
    refused("mint into a full slot", mint(endpoint, full, 1), Error::SlotOccupied)?;
    refused("mint a region", mint(region, free, 1), Error::InvalidArgument)?;
    refused("mint with no badge", mint(endpoint, free, 0), Error::InvalidArgument)?;
    let mut last = endpoint;
    while let Ok(deeper) = slots::fill(|slot| copy(last, slot)) {
        last = deeper;
    }
    refused("copy too deep", copy(last, free), Error::DepthExceeded)?;
    refused("mint too deep", mint(last, free, 1), Error::DepthExceeded)?;
    refused("what is in an empty slot", table.at(free), Error::EmptySlot)?;
    busy(endpoint)
}

/// What was derived from keeps its slot.
fn busy(endpoint: Handle) -> Outcome {
    let table = environment().cspace();
    let free = slots::allocate().map_err(said("slot"))?;
    refused("move what has children", table.move_(endpoint, Handle::NONE, free), Error::Busy)
}

/// Each failed check of a look-up has an error of its own.
pub(crate) fn of_lookup() -> Outcome {
    let notification = memory::create::<Notification>(0).map_err(said("notification"))?;
    let at = |handle| cap::cap::<Notification>(handle).signal(Bits(1));
    let free = slots::allocate().map_err(said("slot"))?;
    refused("an empty slot", at(Handle(u64::from(free.0))), Error::EmptySlot)?;
    refused("no slot", at(Handle(1 << 20)), Error::OutOfRange)?;
    refused("another kind", at(environment().cspace().handle()), Error::WrongKind)?;
    let weak = memory::copy(notification, Rights::RECEIVE).map_err(said("copy"))?;
    refused("a right that is missing", weak.signal(Bits(1)), Error::MissingRight)?;
    slots::delete(weak.handle()).map_err(said("delete"))?;
    let again = memory::copy(notification, Rights::CALL).map_err(said("copy"))?;
    check_eq!(again.handle().index(), weak.handle().index());
    refused("a handle of before", weak.signal(Bits(1)), Error::StaleHandle)?;
    revoked(notification)?;
    unsound_words(notification)
}

/// From the first step of a revoke on nothing below its root can be used.
fn revoked(notification: Cap<Notification>) -> Outcome {
    let table = environment().cspace();
    let middle = memory::copy(notification, Rights::all() & NOTIFICATION).map_err(said("copy"))?;
    let shelf = memory::create::<CSpace>(256).map_err(said("table"))?;
    for slot in 1..200 {
        let copied = table.copy(middle.handle(), shelf.handle(), SlotIndex(slot), Rights::CALL);
        copied.map_err(said("copy"))?;
    }
    let more = table.revoke(middle.handle()).map_err(said("revoke"))?;
    check_eq!(more, idl::types::Progress::More);
    let below = memory::copy(middle, Rights::CALL).map(|cap| cap.handle());
    complete(|| table.revoke(middle.handle())).map_err(said("revoke"))?;
    refused("below what is being revoked", below, Error::BeingRevoked)?;
    middle.signal(Bits(1)).map_err(said("the root of a revoke stays"))
}

/// All rights of a notification.
const NOTIFICATION: Rights = Rights::CALL.union(Rights::RECEIVE).union(Rights::DERIVE);

/// Words that mean nothing are refused, not ignored.
fn unsound_words(notification: Cap<Notification>) -> Outcome {
    let caller = puppet::caller()?;
    let signal = Cap::<Notification>::op(1).0;
    let handle = notification.handle();
    let ask = |op: u64, words: [u64; 5]| puppet::ask(&caller, &Call { op, handle, words, ..Call::default() });
    let status = |result: idl::abi::ResultWord| result.status().map(|_| ());
    check_eq!(status(ask(signal, [1, 0, 0, 0, 0])?), Ok(()));
    refused("no method", status(ask(signal | 0x1e, [1, 0, 0, 0, 0])?), Error::UnknownMethod)?;
    refused(
        "a bit that means nothing",
        status(ask(signal | 1 << 30, [1, 0, 0, 0, 0])?),
        Error::InvalidArgument,
    )?;
    refused("a word too many", status(ask(signal, [1, 1, 0, 0, 0])?), Error::InvalidArgument)?;
    refused("no kind", status(ask(0xff << 8 | 1, [1, 0, 0, 0, 0])?), Error::UnknownMethod)
}
