//! A core that its owner gives when it is asked: from the supervisor's request to the first instruction of who has it next.
//!
//! The owner has a program at work on the core, and a manager on another, who sleeps until it is asked, as in `init` and the
//! linux server: it wakes, moves the program to its own core, and says that the core is given. The supervisor sleeps meanwhile.

use alloc::format;
use alloc::string::String;
use core::hint::spin_loop;

use idl::dialogue::{CoreAnswer, Report, Request, Told};
use idl::event::Event;
use idl::types::{Bits, CoreNumber, Deadline, Priority, Ticks};
use userlib::cap::{Core, Notification, SubOs, Thread};
use userlib::testing::mark;
use userlib::thread::Builder;
use userlib::{Cap, Error, environment, memory, slots};

use super::cores::{SECOND_CELL, Until, create, declare, destroy, hear, pass, prepare};
use super::window::{Cell, pause_for};
use crate::{Outcome, said};

const ASK: i32 = 46;
const GIVEN: i32 = 47;

const SPANS: &[(&str, i32, i32)] = &[("core-move-asked", ASK, SECOND_CELL), ("core-move-given", ASK, GIVEN)];

/// How often the core is asked for.
const ROUNDS: u32 = 24;
/// Rounds of a loop around one PAUSE in which a core that was moved has begun to run, and who waits for work sleeps; and so
/// many more each time, so that the request comes at ever other moments.
const SHORT: u32 = 400;
const LATER: u32 = 7;
/// The core that moves, and where its owner's manager is.
const CORE: CoreNumber = CoreNumber(1);
const OTHER: CoreNumber = CoreNumber(3);
/// What the owner says when it works on the core.
const READY: u64 = 2;
const RING: Bits = Bits(1);

/// Who is asked.
pub(super) const CELLS: &[Cell] = &[("cell gives", give)];

pub(super) fn measure() -> Outcome {
    for (row, from, to) in SPANS {
        let declared = declare(row, *from, Until::Marker(*to));
        declared.map_err(|_| String::from("the record cannot be written"))?;
    }
    let bell: Cap<Notification> = memory::create(0).map_err(said("a notification"))?;
    let first = create("cell gives", CORE)?;
    first.grant_core(OTHER).map_err(said("grant"))?;
    let second = prepare("cell second")?;
    second.start().map_err(said("start"))?;
    hear(first)?;
    pass(first, second, CORE)?;
    hear(second)?;
    first.bind(bell.handle(), RING).map_err(said("bind"))?;
    for round in 0..ROUNDS {
        pass(second, first, CORE)?;
        check_said(sleep_for(first, bell)?, READY)?;
        pause_for(SHORT + LATER * round);
        // A deadline that never comes: it is the answer that counts.
        let [a, b, c, d, e] = Request::GiveCore { core: CORE, deadline: Ticks(u64::MAX) }.to_words();
        mark::<ASK>();
        first.send(a, b, c, d, e).map_err(said("send"))?;
        let said = sleep_for(first, bell)?;
        mark::<GIVEN>();
        pass(first, second, CORE)?;
        let given = Report::Core { core: CORE, deadline: Ticks(u64::MAX), answer: CoreAnswer::Given };
        if Report::from_words(&said) != Ok(given) {
            return Err(format!("it says {said:?}"));
        }
        pause_for(SHORT);
    }
    destroy(first)?;
    destroy(second)
}

fn check_said([word, ..]: [u64; 5], expected: u64) -> Outcome {
    if word == expected { Ok(()) } else { Err(format!("it says {word}, and not {expected}")) }
}

/// Sleeps until a subOS says something.
fn sleep_for(subos: Cap<SubOs>, bell: Cap<Notification>) -> Result<[u64; 5], String> {
    loop {
        match subos.receive() {
            Ok(words) => return Ok(words),
            Err(Error::Empty) => drop(bell.wait(Deadline::NEVER).map_err(said("wait"))?),
            Err(error) => return Err(format!("receive: {error}")),
        }
    }
}

/// A program that works on the core, and a manager who gives the core when it is asked.
fn give() -> Result<(), Error> {
    let other = loop {
        match environment().core(OTHER.0) {
            Ok(core) => break core,
            Err(_) => spin_loop(),
        }
    };
    // The manager is more urgent than the program.
    let spin = || -> () {
        loop {
            spin_loop();
        }
    };
    let worker = Builder::new().core(environment().core(CORE.0)?).spawn(spin)?.thread();
    environment().first_thread().schedule(Priority::HIGHEST, other.handle())?;
    let bell: Cap<Notification> = memory::create(0)?;
    let uplink = environment().uplink();
    uplink.bind(bell.handle(), RING)?;
    // What came before is announced in the ring: it says that it is ready when it reads of the core.
    loop {
        while let Ok(words) = uplink.receive() {
            match Told::from_words(&words) {
                Ok(Told::Kernel(Event::CoreGranted { core })) if core == CORE => {
                    let core: Cap<Core> = environment().core(core.0)?;
                    worker.schedule(Priority::ORDINARY, core.handle())?;
                    slots::delete(core.handle())?;
                    uplink.send(READY, 0, 0, 0, 0)?;
                }
                Ok(Told::Supervisor(Request::GiveCore { core, deadline })) => {
                    leave(worker, other, core, deadline)?;
                }
                _ => {}
            }
        }
        bell.wait(Deadline::NEVER)?;
    }
}

/// Moves the program to the other core, and says so.
fn leave(worker: Cap<Thread>, other: Cap<Core>, core: CoreNumber, deadline: Ticks) -> Result<(), Error> {
    worker.schedule(Priority::ORDINARY, other.handle())?;
    let [a, b, c, d, e] = Report::Core { core, deadline, answer: CoreAnswer::Given }.to_words();
    environment().uplink().send(a, b, c, d, e)
}
