//! Memory that comes and goes in large pieces: what that costs with nothing in it, with as much in it as can be, and when
//! all of a subOS goes.

use alloc::string::String;
use core::hint::spin_loop;
use core::time::Duration;

use idl::event::Event;
use idl::message::Message;
use idl::types::{
    Chunks, CoreNumber, Deadline, LotNumber, PageIndex, Pages, Progress, Scrubbing, Ticks, UserPage,
};
use userlib::cap::{AddressSpace, CSpace, Endpoint, Notification, Region, SubOs, Untyped, complete};
use userlib::testing::mark;
use userlib::{Cap, Error, Kind, Rights, SlotIndex, environment, memory, slots, thread, time};

use super::cores::{Until, create, declare_of, destroy};
use super::window::{Cell, pause_for};
use crate::{Outcome, said};

const GRANT: i32 = 50;
const GRANTED: i32 = 51;
const RECLAIM: i32 = 52;
const RECLAIMED: i32 = 53;
const GRANT_GIB: i32 = 54;
const GRANTED_GIB: i32 = 55;
const TAKE: i32 = 56;
const TAKEN: i32 = 57;
const STEP: i32 = 58;
const STEPPED: i32 = 59;
const END_FEW: i32 = 60;
const ENDED_FEW: i32 = 61;
const END_MANY: i32 = 62;
const ENDED_MANY: i32 = 63;
const GRANT_LATE: i32 = 64;
const GRANTED_LATE: i32 = 65;
const RECLAIM_LATE: i32 = 66;
const RECLAIMED_LATE: i32 = 67;

/// Where something begins and ends, and on which cores it counts: what works in a lot that is taken works for itself.
const SPANS: &[(&str, i32, i32, u64)] = &[
    ("grant-64m", GRANT, GRANTED, u64::MAX),
    ("reclaim-64m", RECLAIM, RECLAIMED, u64::MAX),
    ("reclaim-late", RECLAIM_LATE, RECLAIMED_LATE, u64::MAX),
    ("grant-late", GRANT_LATE, GRANTED_LATE, u64::MAX),
    ("grant-1g", GRANT_GIB, GRANTED_GIB, u64::MAX),
    ("reclaim-full", TAKE, TAKEN, 0b1),
    ("reclaim-step", STEP, STEPPED, 0b1),
    ("destroy-few", END_FEW, ENDED_FEW, u64::MAX),
    ("destroy-many", END_MANY, ENDED_MANY, u64::MAX),
];

/// 64 MiB, 1 GiB, and what makes a home lot of 8 MiB a subOS of 256 MiB.
const LOT: Chunks = Chunks(32);
const GIB: Chunks = Chunks(512);
const MORE: Chunks = Chunks(124);
/// How often each is done.
const ROUNDS: u32 = 4;
/// Rounds of a loop around one PAUSE in which others end what they do.
const SHORT: u32 = 200;
/// Objects of a subOS that has few, and of one that has many.
const FEW: u32 = 10;
const MANY: u32 = 100_000;
/// Slots of the tables that hold them.
const SLOTS: u32 = 4096;
/// Threads of a lot that is full of life.
const THREADS: u64 = 6;

/// What the subOSes do that get memory.
pub(super) const CELLS: &[Cell] = &[
    ("cell full", || settle(fill)),
    ("cell few", || settle(|lot| make(lot, FEW))),
    ("cell many", || settle(|lot| make(lot, MANY))),
];

pub(super) fn measure() -> Outcome {
    for (row, from, to, cores) in SPANS {
        let declared = declare_of(row, *from, Until::Marker(*to), *cores);
        declared.map_err(|_| String::from("the record cannot be written"))?;
    }
    (0..2).try_for_each(|_| full())?;
    end("cell few", mark::<END_FEW>, mark::<ENDED_FEW>)?;
    end("cell many", mark::<END_MANY>, mark::<ENDED_MANY>)?;
    empty()
}

/// Memory that nobody touches.
fn empty() -> Outcome {
    let subos = create("cell idle", CoreNumber(1))?;
    for _ in 0..ROUNDS {
        mark::<GRANT>();
        let lot = subos.grant_lot(LOT);
        mark::<GRANTED>();
        let lot = lot.map_err(said("grant_lot"))?;
        pause_for(SHORT);
        mark::<RECLAIM>();
        let taken = complete(|| subos.reclaim_lot(lot));
        mark::<RECLAIMED>();
        taken.map_err(said("reclaim_lot"))?;
    }
    late(subos)?;
    for _ in 0..2 {
        mark::<GRANT_GIB>();
        let lot = subos.grant_lot(GIB);
        mark::<GRANTED_GIB>();
        lot.map_err(said("grant_lot"))?;
    }
    // What it has would take long to clear: it keeps that to the end.
    complete(|| subos.reclaim_core(CoreNumber(1), Ticks(0))).map_err(said("reclaim_core"))
}

/// The same lot, cleared when it is granted and not when it is taken.
fn late(subos: Cap<SubOs>) -> Outcome {
    subos.set_scrubbing(Scrubbing::AtGrant).map_err(said("set_scrubbing"))?;
    let lot = subos.grant_lot(LOT).map_err(said("grant_lot"))?;
    complete(|| subos.reclaim_lot(lot)).map_err(said("reclaim_lot"))?;
    for _ in 0..ROUNDS {
        pause_for(SHORT);
        mark::<GRANT_LATE>();
        let lot = subos.grant_lot(LOT);
        mark::<GRANTED_LATE>();
        let lot = lot.map_err(said("grant_lot"))?;
        pause_for(SHORT);
        mark::<RECLAIM_LATE>();
        let taken = complete(|| subos.reclaim_lot(lot));
        mark::<RECLAIMED_LATE>();
        taken.map_err(said("reclaim_lot"))?;
    }
    subos.set_scrubbing(Scrubbing::AtOnce).map_err(said("set_scrubbing"))
}

/// A lot in which there is as much as can be is taken, call by call.
fn full() -> Outcome {
    let subos = create("cell full", CoreNumber(1))?;
    subos.grant_core(CoreNumber(2)).map_err(said("grant_core"))?;
    let lot = subos.grant_lot(LOT).map_err(said("grant_lot"))?;
    settled(subos)?;
    mark::<TAKE>();
    let taken = loop {
        mark::<STEP>();
        let progress = subos.reclaim_lot(lot);
        mark::<STEPPED>();
        match progress {
            Ok(Progress::More) => spin_loop(),
            other => break other,
        }
    };
    mark::<TAKEN>();
    taken.map_err(said("reclaim_lot"))?;
    destroy(subos)
}

/// A subOS with two cores and 256 MiB ends, however many objects it has made.
fn end(cell: &str, begin: fn(), ended: fn()) -> Outcome {
    let subos = create(cell, CoreNumber(1))?;
    subos.grant_core(CoreNumber(2)).map_err(said("grant_core"))?;
    subos.grant_lot(MORE).map_err(said("grant_lot"))?;
    settled(subos)?;
    pause_for(SHORT);
    begin();
    let done = destroy(subos);
    ended();
    done
}

/// Waits until a subOS says that it has done with its lot what it was to do.
fn settled(subos: Cap<SubOs>) -> Outcome {
    super::window::hear(subos).map(|_| ())
}

/// Does something with the lot that comes, and says so.
fn settle(work: fn(LotNumber) -> Result<u64, Error>) -> Result<(), Error> {
    let uplink = environment().uplink();
    // The heap must not grow into what will be taken.
    drop(core::hint::black_box(alloc::vec![1_u8; 1 << 20]));
    loop {
        match uplink.receive() {
            Ok(words) => {
                if let Ok(Event::LotGranted { lot, .. }) = Event::from_words(&words) {
                    uplink.send(2, work(lot)?, 0, 0, 0)?;
                }
            }
            Err(Error::Empty) => spin_loop(),
            Err(error) => return Err(error),
        }
    }
}

/// So many notifications, in tables, all in the lot.
fn make(lot: LotNumber, objects: u32) -> Result<u64, Error> {
    let untyped = environment().lot(lot.0)?;
    let (own, slot) = (environment().cspace(), slots::allocate()?);
    let mut table: Cap<CSpace> = memory::create_from(untyped, u64::from(SLOTS))?;
    for number in 0..objects {
        let place = number % (SLOTS - 1) + 1;
        if place == 1 && number > 0 {
            table = memory::create_from(untyped, u64::from(SLOTS))?;
        }
        let object = untyped.retype(Kind::Notification, 0, slot)?;
        own.move_(object, table.handle(), SlotIndex(place))?;
    }
    Ok(u64::from(objects))
}

/// What is hardest to take: threads at work and in queues, thousands of capabilities to what is in the lot and to what is
/// not, spaces with many tables.
fn fill(lot: LotNumber) -> Result<u64, Error> {
    const TABLES: u32 = 6;
    const SPACES: u32 = 6;
    const MAPPED: u32 = 64;
    let mut made = live_in(environment().lot(lot.0)?)?;
    let untyped: Cap<Untyped> = environment().lot(lot.0)?;
    let own = environment().cspace();
    let outside: Cap<Notification> = memory::create(0)?;
    let inside: Cap<Notification> = memory::create_from(untyped, 0)?;
    for _ in 0..TABLES {
        let table: Cap<CSpace> = memory::create_from(untyped, 1024)?;
        for slot in 1..1024 {
            let source = if slot % 2 == 0 { outside } else { inside };
            own.copy(source.handle(), table.handle(), SlotIndex(slot), Rights::CALL)?;
            made += 1;
        }
    }
    let region: Cap<Region> = memory::create_from(untyped, 1)?;
    for _ in 0..SPACES {
        let space: Cap<AddressSpace> = memory::create_from(untyped, u64::from(MAPPED) + 16)?;
        let binding = memory::bind(region, space)?;
        for table in 0..MAPPED {
            let at = UserPage::new(u64::from(table) * idl::abi::CHUNK_SIZE).ok_or(Error::BadRange)?;
            memory::map_pages(space, binding, PageIndex(0), at, Pages(1), Rights::READ)?;
            made += 1;
        }
    }
    Ok(made)
}

/// Threads whose stacks, message pages and objects are in a lot: some spin, some sleep, some wait in a queue for ever.
fn live_in(untyped: Cap<Untyped>) -> Result<u64, Error> {
    let home = environment().untyped();
    memory::remove_source(home);
    memory::add_source(untyped);
    let made = memory::create::<Endpoint>(0).and_then(|endpoint| {
        (0..THREADS).try_for_each(|kind| {
            let live = move || {
                loop {
                    match kind % 3 {
                        0 => spin_loop(),
                        1 => drop(endpoint.call(&Message::default(), Deadline::NEVER)),
                        _ => time::sleep(Duration::from_micros(300)),
                    }
                }
            };
            thread::spawn(live).map(core::mem::forget)
        })
    });
    memory::remove_source(untyped);
    memory::add_source(home);
    made.map(|()| THREADS)
}
