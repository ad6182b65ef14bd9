//! Objects and capabilities: made, refused, copied, taken back; and memory that comes back clean.

use alloc::string::String;
use alloc::vec::Vec;

use idl::types::{Badge, Bits, Deadline, PageIndex, Progress, ThreadState};
use userlib::cap::{CSpace, Endpoint, Notification, Region, Thread, Untyped, cap, complete};
use userlib::memory::{self, Mapping};
use userlib::{Cap, Error, Handle, Kind, Rights, SlotIndex, check, check_eq, environment, slots, thread};

use crate::rig::{END, INVALID_OPCODE, Rig, code};
use crate::{Outcome, PATIENCE, said};

/// The kinds that can be made, with a size that will do.
const KINDS: [(Kind, u64); 9] = [
    (Kind::Untyped, 1),
    (Kind::CSpace, 16),
    (Kind::Thread, 0),
    (Kind::AddressSpace, 8),
    (Kind::Region, 1),
    (Kind::Endpoint, 0),
    (Kind::Notification, 0),
    (Kind::Reply, 0),
    (Kind::Guest, 0),
];

fn own() -> Cap<CSpace> {
    environment().cspace()
}

fn free_slot() -> Result<SlotIndex, String> {
    slots::allocate().map_err(said("slot"))
}

/// Every kind comes to be with its size; what is no kind to make does not, and no bad size does.
pub(crate) fn every_kind_is_made() -> Outcome {
    let budget = memory::create::<Untyped>(64).map_err(said("budget"))?;
    for (kind, size) in KINDS {
        let slot = free_slot()?;
        let handle = budget.retype(kind, size, slot).map_err(said(kind_name(kind)))?;
        let info = own().info(handle).map_err(said("info"))?;
        check_eq!((info.kind, info.badge, info.size), (kind, Badge(0), size));
        check_eq!(own().at(slot), Ok(handle));
        check_eq!((kind, budget.retype(kind, size, slot)), (kind, Err(Error::SlotOccupied)));
        check_eq!((kind, budget.retype(kind, size, SlotIndex(0))), (kind, Err(Error::OutOfRange)));
        check_eq!((kind, budget.retype(kind, size, SlotIndex(u32::MAX))), (kind, Err(Error::OutOfRange)));
        slots::delete(handle).map_err(said("delete"))?;
        check_eq!(own().info(handle).map(|_| ()), Err(Error::EmptySlot));
    }
    let slot = free_slot()?;
    for kind in
        [Kind::Empty, Kind::Binding, Kind::Core, Kind::SubOs, Kind::Uplink, Kind::Machine, Kind::DebugConsole]
    {
        check_eq!((kind, budget.retype(kind, 0, slot)), (kind, Err(Error::InvalidArgument)));
    }
    for (kind, size) in KINDS {
        let bad: &[u64] = match kind {
            Kind::CSpace => &[0, 1, (1 << 14) + 1, 1 << 32, u64::MAX],
            Kind::Untyped | Kind::Region => &[0],
            Kind::AddressSpace => &[0, 1, 5, (1 << 16) + 1, u64::MAX],
            _ => &[1, 4096, u64::MAX],
        };
        for size in bad.iter().copied() {
            check_eq!((kind, size, budget.retype(kind, size, slot)), (kind, size, Err(Error::BadSize)));
        }
        let large: &[u64] = if size > 0 { &[65, 1 << 20, 1 << 40, u64::MAX >> 12] } else { &[] };
        for size in large.iter().copied().filter(|_| matches!(kind, Kind::Untyped | Kind::Region)) {
            check_eq!((kind, size, budget.retype(kind, size, slot)), (kind, size, Err(Error::OutOfMemory)));
        }
    }
    check_eq!(budget.retype(Kind::Region, u64::MAX, slot), Err(Error::BadSize));
    Ok(())
}

fn kind_name(kind: Kind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("?", |_| "retype")
}

/// Memory runs out exactly, and comes back whole and zero, all handles to what was there being stale.
pub(crate) fn memory_comes_back_clean() -> Outcome {
    let budget = memory::create::<Untyped>(16).map_err(said("budget"))?;
    for _ in 0..3 {
        check_eq!(budget.info().map(|info| (info.size, info.used)), Ok((16 * 4096, 0)));
        let region = memory::create_from::<Region>(budget, 12).map_err(said("region"))?;
        let mapping = Mapping::of(region, Rights::READ | Rights::WRITE).map_err(said("map"))?;
        for page in 0..12 {
            let mut bytes = [1; 4096];
            check_eq!(mapping.read(page * 4096, &mut bytes), 4096);
            check!(bytes.iter().all(|byte| *byte == 0), "page {page} is not zero");
            mapping.write(page * 4096, &[0xa5; 4096]);
        }
        let mut made = Vec::new();
        for _ in 0..32 {
            made.push(memory::create_from::<Endpoint>(budget, 0).map_err(said("endpoint"))?.handle());
        }
        let table = memory::create_from::<CSpace>(budget, 64).map_err(said("table"))?;
        made.push(own().copy(made[0], table.handle(), SlotIndex(5), Rights::CALL).map_err(said("copy"))?);
        made.pop();
        made.push(table.handle());
        check!(memory::create_from::<Region>(budget, 4).is_err(), "there is more memory than there is");
        // A reset takes mappings along, and cannot be hurried past.
        let mut steps = 0;
        while budget.reset().map_err(said("reset"))? == Progress::More {
            steps += 1;
            let slot = free_slot()?;
            check_eq!(budget.retype(Kind::Endpoint, 0, slot), Err(Error::BeingRevoked));
            slots::release(slot);
        }
        check!(steps > 1, "a reset of 32 objects and 12 pages in {steps} steps");
        for handle in made.iter().copied().chain([region.handle()]) {
            check_eq!(own().info(handle).map(|_| ()), Err(Error::EmptySlot));
            slots::release(handle.index());
        }
    }
    Ok(())
}

/// Copies have at most what they are copied from; each refusal says which rule it is.
pub(crate) fn copies_have_no_more_rights() -> Outcome {
    let endpoint = memory::create::<Endpoint>(0).map_err(said("endpoint"))?;
    let slot = free_slot()?;
    let call = memory::copy(endpoint, Rights::CALL | Rights::DERIVE).map_err(said("copy"))?;
    let copy = |source: Handle, rights| own().copy(source, Handle::NONE, slot, rights);
    check_eq!(copy(call.handle(), Rights::CALL | Rights::RECEIVE), Err(Error::MissingRight));
    let last = memory::copy(call, Rights::CALL).map_err(said("copy"))?;
    check_eq!(copy(last.handle(), Rights::CALL), Err(Error::MissingRight));
    check_eq!(copy(Handle(0), Rights::CALL), Err(Error::OutOfRange));
    check_eq!(copy(Handle(u64::from(slot.0)), Rights::CALL), Err(Error::EmptySlot));
    check_eq!(copy(Handle(u64::from(u32::MAX)), Rights::CALL), Err(Error::OutOfRange));
    check_eq!(copy(Handle(call.handle().0 + (7 << 32)), Rights::CALL), Err(Error::StaleHandle));
    let mint = |source: Handle, badge| own().mint(source, Handle::NONE, slot, Rights::CALL, Badge(badge));
    check_eq!(mint(call.handle(), 0), Err(Error::InvalidArgument));
    let region = memory::create::<Region>(1).map_err(said("region"))?;
    let region_mint = own().mint(region.handle(), Handle::NONE, slot, Rights::READ, Badge(4));
    check_eq!(region_mint, Err(Error::InvalidArgument));
    let minted = memory::mint(call, Rights::CALL | Rights::DERIVE, Badge(u64::MAX)).map_err(said("mint"))?;
    check_eq!(own().info(minted.handle()).map(|info| info.badge), Ok(Badge(u64::MAX)));
    check_eq!(mint(minted.handle(), 9), Err(Error::InvalidArgument));
    // A copy of a minted one has its badge.
    let again = memory::copy(minted, Rights::CALL).map_err(said("copy"))?;
    check_eq!(own().info(again.handle()).map(|info| info.badge), Ok(Badge(u64::MAX)));
    // Deleting what all of them derive from deletes all of them.
    slots::delete(endpoint.handle()).map_err(said("delete"))?;
    for handle in [call, last, minted, again].map(|cap| cap.handle()) {
        check_eq!(own().info(handle).map(|_| ()), Err(Error::EmptySlot));
    }
    Ok(())
}

/// A chain of derivations has an end, for every way to derive.
pub(crate) fn derivation_has_a_bound() -> Outcome {
    let mut region = memory::create::<Region>(2).map_err(said("region"))?;
    let first = region;
    let mut length = 1;
    let refused = loop {
        match memory::copy(region, Rights::all() & own().info(region.handle()).map_err(said("info"))?.rights)
        {
            Ok(next) => region = next,
            Err(error) => break error,
        }
        length += 1;
        check!(length < 64, "no bound");
    };
    check_eq!(refused, Error::DepthExceeded);
    let slot = free_slot()?;
    check_eq!(
        region.slice(PageIndex(0), idl::types::Pages(1), Rights::READ, slot),
        Err(Error::DepthExceeded)
    );
    check_eq!(region.bind(environment().space().handle(), slot), Err(Error::DepthExceeded));
    complete(|| own().revoke(first.handle())).map_err(said("revoke"))?;
    check_eq!(region.info(), Err(Error::EmptySlot));
    check_eq!(first.info(), Ok(idl::types::Pages(2)));
    Ok(())
}

/// A move keeps a capability's place: what it derives from still takes it along, and old handles are stale.
pub(crate) fn a_move_keeps_the_place() -> Outcome {
    let endpoint = memory::create::<Endpoint>(0).map_err(said("endpoint"))?;
    let table = memory::create::<CSpace>(16).map_err(said("table"))?;
    let copy = memory::copy(endpoint, Rights::CALL).map_err(said("copy"))?;
    let inside = own().move_(copy.handle(), table.handle(), SlotIndex(3)).map_err(said("move"))?;
    check_eq!(own().info(copy.handle()).map(|_| ()), Err(Error::EmptySlot));
    check_eq!(table.info(inside).map(|info| info.kind), Ok(Kind::Endpoint));
    check_eq!(table.move_(inside, Handle::NONE, SlotIndex(0)), Err(Error::OutOfRange));
    check_eq!(own().move_(endpoint.handle(), table.handle(), SlotIndex(3)), Err(Error::SlotOccupied));
    check_eq!(own().move_(endpoint.handle(), table.handle(), SlotIndex(16)), Err(Error::OutOfRange));
    let other = own()
        .copy(endpoint.handle(), Handle::NONE, copy.handle().index(), Rights::CALL)
        .map_err(said("refill"))?;
    check!(other != copy.handle(), "a handle came back");
    check_eq!(own().info(copy.handle()).map(|_| ()), Err(Error::StaleHandle));
    complete(|| own().revoke(endpoint.handle())).map_err(said("revoke"))?;
    check_eq!(table.info(inside).map(|_| ()), Err(Error::EmptySlot));
    Ok(())
}

/// A binding that was moved to another slot, or another table, still is what maps, protects and unmaps by.
pub(crate) fn a_moved_binding_still_maps() -> Outcome {
    let (space, region) = (environment().space(), memory::create::<Region>(4).map_err(said("region"))?);
    let slot = free_slot()?;
    let binding = region.bind(space.handle(), slot).map_err(said("bind"))?;
    let at = idl::types::UserPage::new(0x7000_0000_0000).ok_or("address")?;
    let both = Rights::READ | Rights::WRITE;
    let map = |binding, page, count| space.map(binding, PageIndex(page), at, idl::types::Pages(count), both);
    check_eq!(map(binding, 0, 2), Ok(idl::types::Pages(2)));
    let target = free_slot()?;
    let moved = own().move_(binding, Handle::NONE, target).map_err(said("move"))?;
    check_eq!(map(binding, 2, 1), Err(Error::EmptySlot));
    let found = space.query(at).map_err(said("query"))?;
    check_eq!((found.page, found.rights), (PageIndex(0), both));
    check_eq!(space.protect(at, idl::types::Pages(2), Rights::READ), Ok(idl::types::Pages(2)));
    check_eq!(space.query(at).map(|found| found.rights), Ok(Rights::READ));
    slots::delete(moved).map_err(said("delete"))?;
    check_eq!(space.query(at).map(|_| ()), Err(Error::NotMapped));
    Ok(())
}

/// Threads, tables and memory that remove themselves, what they run in or what they are named by.
pub(crate) fn things_remove_themselves() -> Outcome {
    let rig = Rig::new()?;
    // A thread deletes itself, its space, the memory of its own stack: by calls it makes.
    for which in 0..3 {
        let rig = Rig::new()?;
        let victim = [rig.thread.handle(), rig.space.handle(), rig.code.region().handle()][which];
        let registers = idl::abi::Registers {
            rax: 0x0204,
            rdi: idl::slots::OWN_CSPACE.0.into(),
            rbx: victim.0,
            ..Rig::registers()
        };
        // mov rsi, rbx; syscall; mov eax, 0x204; mov edi, 1; and again, for ever
        rig.load(&code![[0x48, 0x89, 0xde, 0x0f, 0x05, 0xb8, 4, 2, 0, 0, 0xbf, 1, 0, 0, 0, 0xeb, 0xef], END]);
        rig.go(&registers, &idl::abi::FxArea::default())?;
        userlib::time::sleep(core::time::Duration::from_millis(3));
        // One that took away its own table in the first step could not go on: then it is done from here.
        let rest = complete(|| own().delete(victim));
        check!(rest.is_ok() || rest == Err(Error::EmptySlot), "{which}: {rest:?}");
        check_eq!((which, own().info(victim).map(|_| ())), (which, Err(Error::EmptySlot)));
        let _ = rig.stop();
    }
    // A table that holds the only capability to itself, and to a thread that waits.
    let bell = memory::create::<Notification>(0).map_err(said("bell"))?;
    let sleeper = thread::spawn(move || bell.wait(Deadline::NEVER)).map_err(said("spawn"))?;
    crate::ipc::wait_until(sleeper.thread(), ThreadState::Waiting)?;
    let table = memory::create::<CSpace>(32).map_err(said("table"))?;
    own().move_(bell.handle(), table.handle(), SlotIndex(9)).map_err(said("move bell"))?;
    let handle = own().move_(table.handle(), table.handle(), SlotIndex(7));
    check_eq!(handle.map(|_| ()), Ok(()));
    check_eq!(table.info(Handle(7)).map(|_| ()), Err(Error::EmptySlot));
    let _ = sleeper.thread().suspend();
    // A child table that lies in a table which is deleted.
    let outer = memory::create::<CSpace>(32).map_err(said("outer"))?;
    let inner = memory::create::<CSpace>(32).map_err(said("inner"))?;
    let bell = memory::create::<Notification>(0).map_err(said("bell"))?;
    let waiter = thread::spawn(move || bell.wait(Deadline::NEVER)).map_err(said("spawn"))?;
    crate::ipc::wait_until(waiter.thread(), ThreadState::Waiting)?;
    own().move_(bell.handle(), inner.handle(), SlotIndex(4)).map_err(said("move"))?;
    own().move_(inner.handle(), outer.handle(), SlotIndex(4)).map_err(said("move"))?;
    slots::delete(outer.handle()).map_err(said("delete"))?;
    check_eq!(waiter.join(userlib::time::after(PATIENCE)), Ok(Err(Error::Cancelled)));
    let (fault, _) = rig.run(&END, &Rig::registers())?;
    check_eq!(fault.trap.vector, INVALID_OPCODE);
    Ok(())
}

/// Nobody is left who has the handle of a table, and what fell with it still goes.
pub(crate) fn nobody_asks_for_the_rest() -> Outcome {
    let outer = memory::create::<CSpace>(256).map_err(said("outer"))?;
    let mut bells = Vec::new();
    for index in 0..40 {
        let bell = memory::create::<Notification>(0).map_err(said("bell"))?;
        bells.push(bell);
        if index > 3 {
            own().move_(bell.handle(), outer.handle(), SlotIndex(index + 10)).map_err(said("move"))?;
        }
    }
    let last = memory::create::<Notification>(0).map_err(said("bell"))?;
    let waiter = thread::spawn(move || last.wait(Deadline::NEVER)).map_err(said("spawn"))?;
    crate::ipc::wait_until(waiter.thread(), ThreadState::Waiting)?;
    own().move_(last.handle(), outer.handle(), SlotIndex(200)).map_err(said("move"))?;
    // One step only, and nothing more is ever asked for.
    check_eq!(own().delete(outer.handle()), Ok(Progress::More));
    check_eq!(waiter.join(userlib::time::after(PATIENCE)), Ok(Err(Error::Cancelled)));
    check_eq!(bells[0].signal(Bits(1)), Ok(()));
    Ok(())
}

/// A removal whose thread never asks for the rest ends all the same, and what it was about can be used again: while the
/// others sleep, and while they call the kernel without a pause.
pub(crate) fn an_abandoned_removal_ends() -> Outcome {
    for (way, pauses) in [(0, true), (1, true), (2, true), (0, false), (1, false), (2, false)] {
        let budget = memory::create::<Untyped>(8).map_err(said("budget"))?;
        let below = memory::copy(budget, Rights::all()).map_err(said("copy"))?;
        let mut made: Vec<Cap<Notification>> = Vec::new();
        for _ in 0..60 {
            made.push(memory::create_from(below, 0).map_err(said("make"))?);
        }
        let one_step = move || match way {
            0 => own().revoke(below.handle()),
            1 => own().delete(below.handle()),
            _ => below.reset(),
        };
        let quitter = thread::spawn(one_step).map_err(said("spawn"))?;
        check_eq!(quitter.join(userlib::time::after(PATIENCE)), Ok(Ok(Progress::More)));
        let end = userlib::time::after(PATIENCE);
        let going = || made.iter().any(|cap| cap.signal(Bits(1)) == Err(Error::BeingRevoked));
        let busy = || way == 2 && budget.info().map_or(0, |info| info.used) > 0;
        while going() || busy() || way == 1 && below.info() != Err(Error::EmptySlot) {
            check!(userlib::time::now().0 < end.0, "way {way}: nobody does the rest");
            if pauses {
                userlib::time::sleep(core::time::Duration::from_millis(1));
            }
        }
        check!(
            made.iter().all(|cap| cap.signal(Bits(1)) == Err(Error::EmptySlot)),
            "way {way}: some are left"
        );
        let slot = free_slot()?;
        check!(budget.retype(Kind::Endpoint, 0, slot).is_ok(), "way {way}: the memory is of no use any more");
    }
    Ok(())
}

/// While something is being revoked nothing below it can be used, and it ends however large it is.
pub(crate) fn revoking_is_at_once() -> Outcome {
    let budget = memory::create::<Untyped>(8).map_err(said("budget"))?;
    let mut made: Vec<Cap<Notification>> = Vec::new();
    for _ in 0..60 {
        made.push(memory::create_from(budget, 0).map_err(said("make"))?);
    }
    check_eq!(own().revoke(budget.handle()), Ok(Progress::More));
    let slot = free_slot()?;
    let states: Vec<_> = made.iter().map(|cap| cap.signal(Bits(1))).collect();
    let gone = states.iter().filter(|state| **state == Err(Error::EmptySlot)).count();
    let going = states.iter().filter(|state| **state == Err(Error::BeingRevoked)).count();
    check!(gone > 0 && going > 0 && gone + going == 60, "{gone} are gone and {going} are going");
    check_eq!(budget.retype(Kind::Endpoint, 0, slot), Err(Error::BeingRevoked));
    complete(|| own().revoke(budget.handle())).map_err(said("revoke"))?;
    check!(made.iter().all(|cap| cap.signal(Bits(1)) == Err(Error::EmptySlot)), "some are left");
    check!(budget.retype(Kind::Endpoint, 0, slot).is_ok(), "the memory is of no use any more");
    for notification in made {
        slots::release(notification.handle().index());
    }
    Ok(())
}

/// What a thread was configured with goes, piece by piece, while it waits or runs: it stops or hears of it.
pub(crate) fn a_thread_loses_what_it_uses() -> Outcome {
    for which in 0..3 {
        let rig = Rig::new()?;
        let table = memory::create::<CSpace>(16).map_err(said("table"))?;
        let page = memory::create::<Region>(1).map_err(said("page"))?;
        let fresh = memory::create::<Thread>(0).map_err(said("thread"))?;
        fresh
            .configure(table.handle(), rig.space.handle(), page.handle(), PageIndex(0))
            .map_err(said("configure"))?;
        fresh.fault_handler(rig.faults.handle(), crate::rig::BADGE).map_err(said("handler"))?;
        fresh.schedule(idl::types::Priority::ORDINARY, Handle::NONE).map_err(said("schedule"))?;
        // A null call and another with a long message, for ever.
        rig.load(&[0x31, 0xc0, 0x0f, 0x05, 0xb8, 1, 7, 0xff, 0, 0x0f, 0x05, 0xeb, 0xf3]);
        let start = (idl::types::UserAddress(crate::rig::CODE), idl::types::UserAddress(crate::rig::STACK));
        fresh.start(start.0, start.1, 0).map_err(said("start"))?;
        userlib::time::sleep(core::time::Duration::from_millis(3));
        let victim = [table.handle(), page.handle(), rig.space.handle()][which];
        slots::delete(victim).map_err(said("delete"))?;
        userlib::time::sleep(core::time::Duration::from_millis(5));
        check!(fresh.info().is_ok(), "the thread went with it");
        slots::delete(fresh.handle()).map_err(said("delete thread"))?;
    }
    let stray: Cap<Endpoint> = cap(Handle(3));
    check_eq!(stray.send(&idl::message::Message::default(), Deadline::POLL), Err(Error::WrongKind));
    Ok(())
}
