//! What operations cost while there are few other subOSes, and while there are as many as there can be.
//!
//! The others sleep. So whatever is executed between two markers is executed for the operation, and if that grows with
//! their number, the operation depends on them.

use alloc::string::String;
use alloc::vec::Vec;

use idl::record::RecordWriter;
use idl::types::{Bits, Chunks, CoreNumber, Deadline, ResourceKind, Ticks};
use userlib::cap::{Notification, complete};
use userlib::testing::mark;
use userlib::{console, environment, memory};

use super::cores::{CREATE, CREATED, DESTROY, DESTROYED, GRANT, GRANTED, LOADED, Until};
use super::cores::{create, declare, destroy, wait_a_turn};
use crate::{Outcome, said};

/// How many subOSes there are in all, the supervisor's and the one that things are done to among them.
const CROWDS: [u32; 3] = [2, 8, 32];
/// How often everything is done in each crowd.
const ROUNDS: u32 = 5;
/// The core of the subOS that things are done to, and the one that it gets and loses. The others' follow.
const OWN: CoreNumber = CoreNumber(1);
const MOVING: CoreNumber = CoreNumber(2);
const FIRST_NEIGHBOUR: u32 = 3;
/// Chunks of the lot that comes and goes.
const LOT: Chunks = Chunks(4);

const BEGIN: i32 = 20;
const END: i32 = 21;
const NULL: i32 = 22;
const NULL_DONE: i32 = 23;
const GIVE: i32 = 24;
const GIVEN: i32 = 25;
const TAKE: i32 = 26;
const TAKEN: i32 = 27;
const RECLAIM: i32 = 28;
const RECLAIMED: i32 = 29;
const SAY: i32 = 30;
const ANSWERED: i32 = 31;
const ASK: i32 = 32;
const TOLD: i32 = 33;

/// Where something begins and ends.
const SPANS: &[(&str, i32, Until)] = &[
    ("scale-null", NULL, Until::Marker(NULL_DONE)),
    ("scale-say", SAY, Until::Marker(ANSWERED)),
    ("scale-ledger", ASK, Until::Marker(TOLD)),
    ("scale-give-core", GIVE, Until::Marker(GIVEN)),
    ("scale-take-core", TAKE, Until::Marker(TAKEN)),
    ("scale-grant-lot", GRANT, Until::Marker(GRANTED)),
    ("scale-take-lot", RECLAIM, Until::Marker(RECLAIMED)),
    ("scale-create", CREATE, Until::Marker(CREATED)),
    ("scale-create", LOADED, Until::ProgramStarts),
    ("scale-load", CREATED, Until::Marker(LOADED)),
    ("scale-destroy", DESTROY, Until::Marker(DESTROYED)),
];

pub(super) fn measure() -> Outcome {
    for (row, from, until) in SPANS {
        declare(row, *from, *until).map_err(|_| String::from("the record cannot be written"))?;
    }
    let mut neighbours = Vec::new();
    for crowd in CROWDS {
        for number in FIRST_NEIGHBOUR.. {
            let index = number - FIRST_NEIGHBOUR;
            if index + 2 >= crowd {
                break;
            }
            if index as usize >= neighbours.len() {
                neighbours.push(create("cell idle", CoreNumber(number))?);
            }
        }
        wait_a_turn();
        say(crowd).map_err(|_| String::from("the record cannot be written"))?;
        mark::<BEGIN>();
        (0..ROUNDS).try_for_each(|_| round())?;
        mark::<END>();
    }
    neighbours.into_iter().try_for_each(destroy)
}

fn say(crowd: u32) -> core::fmt::Result {
    RecordWriter::begin(&mut console::Writer::new(), "crowd")?.field("suboses", crowd)?.end()
}

/// Everything once. After what goes on for a while on another core, its share of it is waited for.
fn round() -> Outcome {
    let subos = create("cell idle", OWN)?;
    wait_a_turn();

    mark::<NULL>();
    userlib::cap::null_call();
    mark::<NULL_DONE>();

    mark::<SAY>();
    let sent = subos.send(1, 2, 3, 4, 5);
    wait_a_turn();
    let answer = subos.receive();
    mark::<ANSWERED>();
    sent.map_err(said("send"))?;
    answer.map_err(said("receive"))?;

    mark::<ASK>();
    let told = environment().machine().ledger(ResourceKind::Chunk, 1);
    mark::<TOLD>();
    told.map_err(said("ledger"))?;

    mark::<GIVE>();
    let given = subos.grant_core(MOVING);
    wait_a_turn();
    mark::<GIVEN>();
    given.map_err(said("grant_core"))?;

    mark::<TAKE>();
    let taken = complete(|| subos.reclaim_core(MOVING, Ticks(0)));
    wait_a_turn();
    mark::<TAKEN>();
    taken.map_err(said("reclaim_core"))?;

    mark::<GRANT>();
    let lot = subos.grant_lot(LOT);
    wait_a_turn();
    mark::<GRANTED>();
    let lot = lot.map_err(said("grant_lot"))?;

    mark::<RECLAIM>();
    let taken = complete(|| subos.reclaim_lot(lot));
    wait_a_turn();
    mark::<RECLAIMED>();
    taken.map_err(said("reclaim_lot"))?;

    mark::<DESTROY>();
    let done = destroy(subos);
    wait_a_turn();
    mark::<DESTROYED>();
    done
}

/// What the subOSes run: says that it runs, and answers words; else it sleeps.
pub(super) fn idle() -> ! {
    let uplink = environment().uplink();
    let bell = memory::create::<Notification>(0).and_then(|bell| {
        uplink.bind(bell.handle(), Bits(1))?;
        uplink.send(1, 0, 0, 0, 0)?;
        Ok(bell)
    });
    loop {
        while let Ok([word, ..]) = uplink.receive() {
            // Events are not answered.
            if word == 1 {
                let _ = uplink.send(word, 0, 0, 0, 0);
            }
        }
        if let Ok(bell) = bell {
            let _ = bell.wait(Deadline::NEVER);
        }
    }
}
