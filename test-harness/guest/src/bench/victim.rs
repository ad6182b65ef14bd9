//! A subOS that works steadily, first alone, then while others are made, resized, flooded and ended beside it: whether it
//! notices anything. Nothing is timed here; the plugin counts what each of its rounds takes.

use core::hint::{black_box, spin_loop};

use idl::message::{Message, Received};
use idl::types::{Chunks, CoreNumber, Deadline, Progress, Ticks};
use userlib::cap::{Endpoint, Reply, SubOs};
use userlib::testing::mark;
use userlib::{Cap, Error, memory, thread};

use super::cores::{create, destroy};
use super::window::{Cell, pause_for};
use crate::{Outcome, said};

/// A round of the victim's begins, and the one before has ended.
const ROUND: i32 = 70;
/// It is alone from here to there.
const ALONE: i32 = 71;
const ALONE_NO_MORE: i32 = 72;
/// Others come and go beside it from here to there.
const BESIDE: i32 = 73;
const BESIDE_NO_MORE: i32 = 74;

/// Where the victim works, and where the others do.
const OWN: CoreNumber = CoreNumber(1);
const OTHERS: [CoreNumber; 2] = [CoreNumber(2), CoreNumber(3)];
/// What they do, one after the other.
const NEIGHBOURS: [&str; 4] = ["cell spins", "cell labours", "cell guest", "cell idle"];
/// Memory that comes and goes.
const LOT: Chunks = Chunks(4);
/// Turns that the victim gets before it is looked at, while it is alone, and between two things that are done to others.
const LONG: u32 = 3000;
const SHORT: u32 = 20;

pub(super) const CELLS: &[Cell] = &[("cell victim", work)];

pub(super) fn measure() -> Outcome {
    let victim = create("cell victim", OWN)?;
    pause_for(LONG);
    mark::<ALONE>();
    pause_for(LONG);
    mark::<ALONE_NO_MORE>();
    mark::<BESIDE>();
    for cell in NEIGHBOURS.iter().chain(&NEIGHBOURS) {
        live_beside(cell)?;
    }
    mark::<BESIDE_NO_MORE>();
    destroy(victim)
}

/// A neighbour is made, gets and loses cores and memory, is told more than it takes in, and ends while it works.
fn live_beside(cell: &str) -> Outcome {
    let [first, second] = OTHERS;
    let subos = create(cell, first)?;
    pause_for(SHORT);
    subos.grant_core(second).map_err(said("grant_core"))?;
    pause_for(SHORT);
    for word in 0..64 {
        // What finds no room is as good.
        let _ = subos.send(word, 0, 0, 0, 0);
    }
    let lot = subos.grant_lot(LOT).map_err(said("grant_lot"))?;
    pause_for(SHORT);
    step_by_step("reclaim_lot", || subos.reclaim_lot(lot))?;
    take(subos, second)?;
    take(subos, first)?;
    pause_for(SHORT);
    subos.grant_core(second).map_err(said("grant_core"))?;
    pause_for(SHORT);
    destroy(subos)
}

fn take(subos: Cap<SubOs>, core: CoreNumber) -> Outcome {
    step_by_step("reclaim_core", || subos.reclaim_core(core, Ticks(0)))
}

/// The others get their turn after each step.
fn step_by_step(what: &str, mut step: impl FnMut() -> Result<Progress, Error>) -> Outcome {
    while step().map_err(said(what))? == Progress::More {
        spin_loop();
    }
    Ok(())
}

/// Asks a server, computes a little, and again.
fn work() -> Result<(), Error> {
    let endpoint: Cap<Endpoint> = memory::create(0)?;
    let reply: Cap<Reply> = memory::create(0)?;
    let server = thread::spawn(move || {
        let mut received = endpoint.receive(&reply, Deadline::NEVER);
        while let Ok(Received::Message { message, .. }) = received {
            let answer = Message::short(0, &[message.words[0] + 1]);
            received = endpoint.reply_receive(&reply, &answer, Deadline::NEVER);
        }
    })?;
    core::mem::forget(server);
    let mut round = 0;
    loop {
        mark::<ROUND>();
        let answer = endpoint.call(&Message::short(0, &[round]), Deadline::NEVER)?;
        if answer.words[0] != round + 1 {
            return Err(Error::InvalidArgument);
        }
        for number in 0..100_u64 {
            let _ = black_box(number);
        }
        round += 1;
        // Ends its turn: see `hostiles`.
        spin_loop();
    }
}
