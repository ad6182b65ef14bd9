//! A core that is taken by force, whatever it does just then.
//!
//! In each state the same is done over and over, begun a little later each time: so the core is found at ever other places
//! of what it does. What the subOS that loses it does on another core meanwhile is no part of the move.

use alloc::format;
use alloc::string::String;
use core::hint::spin_loop;
use core::time::Duration;

use idl::abi::FxArea;
use idl::types::{CoreNumber, Deadline, PageIndex, Pages, Priority, UserPage};
use userlib::cap::{CSpace, Core, Notification, Region, SubOs, Untyped, complete};
use userlib::testing::mark;
use userlib::thread::Builder;
use userlib::{Cap, Error, Handle, Kind, Rights, SlotIndex, environment, memory, slots, time};

use super::cores::{FAILED, SECOND_CELL, Until, create, declare_of, destroy, hear, pass, prepare};
use super::window::{Cell, pause_for};
use crate::guests::Den;
use crate::rig::Rig;
use crate::{Outcome, said};

/// How often a core is taken in each state.
const ROUNDS: u32 = 24;
/// When it is taken: so long after all is ready, and so much later each time.
const FIRST: Duration = Duration::from_micros(150);
const LATER: Duration = Duration::from_nanos(1_337);
/// Rounds of a loop around one PAUSE in which a core that was moved has surely begun to run.
const SHORT: u32 = 100;
/// The core that moves, and another that its owner has in some states.
const CORE: CoreNumber = CoreNumber(1);
const OTHER: CoreNumber = CoreNumber(3);
/// Ready threads of a core that has many.
const THREADS: u8 = 24;

/// What a core does when it is taken.
struct State {
    row: &'static str,
    /// The program of the subOS that has it.
    cell: &'static str,
    marker: i32,
    mark: fn(),
    /// What happens immediately before.
    before: fn(Cap<SubOs>),
    /// Whether the subOS has another core.
    other: bool,
    /// The cores that count.
    counted: u64,
}

macro_rules! state {
    ($row:literal, $cell:literal, $marker:literal) => {
        State {
            row: $row,
            cell: $cell,
            marker: $marker,
            mark: || mark::<$marker>(),
            before: |_| (),
            other: false,
            counted: u64::MAX,
        }
    };
}

const STATES: &[State] = &[
    state!("core-move-guest", "cell guest", 40),
    state!("core-move-kernel", "cell labours", 41),
    State { before: flood, ..state!("core-move-interrupts", "cell spins", 42) },
    state!("core-move-halted", "cell idle", 43),
    State { other: true, counted: 0b11, ..state!("core-move-lock", "cell contends", 44) },
    State { other: true, ..state!("core-move-crowded", "cell crowded", 45) },
];

/// What the subOSes do that lose a core.
pub(super) const CELLS: &[Cell] = &[
    ("cell guest", guest),
    ("cell labours", labour_for_ever),
    ("cell spins", spin),
    ("cell contends", contend),
    ("cell crowded", crowd),
];

pub(super) fn measure() -> Outcome {
    for state in STATES {
        let declared = declare_of(state.row, state.marker, Until::Marker(SECOND_CELL), state.counted);
        declared.map_err(|_| String::from("the record cannot be written"))?;
    }
    STATES.iter().try_for_each(State::measure)
}

impl State {
    fn measure(&self) -> Outcome {
        let first = create(self.cell, CORE)?;
        if self.other {
            first.grant_core(OTHER).map_err(said("grant"))?;
        }
        // It has said that it runs; now, that it has all it needs.
        if let [FAILED, error, ..] = hear(first)? {
            return Err(format!("{}: it cannot get into that state, for error {error}", self.row));
        }
        let second = prepare("cell second")?;
        second.start().map_err(said("start"))?;
        pass(first, second, CORE)?;
        hear(second)?;
        pass(second, first, CORE)?;
        for round in 0..ROUNDS {
            time::sleep(FIRST + LATER * round);
            (self.before)(first);
            (self.mark)();
            pass(first, second, CORE)?;
            pause_for(SHORT);
            pass(second, first, CORE)?;
        }
        while let Ok([word, error, ..]) = first.receive() {
            if word == FAILED {
                return Err(format!("{}: it is not in that state, for error {error}", self.row));
            }
        }
        destroy(first)?;
        destroy(second)
    }
}

/// Its doorbell rings, and what it says of that waits in its ring.
fn flood(subos: Cap<SubOs>) {
    for word in 0..8 {
        // A ring that is full is as good.
        let _ = subos.send(word, 0, 0, 0, 0);
    }
}

/// Says that all is ready.
fn ready() -> Result<(), Error> {
    environment().uplink().send(1, 0, 0, 0, 0)
}

fn spin() -> Result<(), Error> {
    ready()?;
    loop {
        spin_loop();
    }
}

/// Sits in a guest, which spins.
fn guest() -> Result<(), Error> {
    const PAUSE_AND_JUMP: [u8; 4] = [0xf3, 0x90, 0xeb, 0xfc];
    let den = Den::new().map_err(|_| Error::OutOfMemory)?;
    den.load(&PAUSE_AND_JUMP);
    ready()?;
    loop {
        den.enter(&Rig::registers(), &FxArea::default(), Deadline::NEVER)?;
    }
}

/// What the kernel does at length, over and over: removing capabilities, mapping and unmapping, clearing memory.
struct Labour {
    bell: Cap<Notification>,
    table: Cap<CSpace>,
    binding: Handle,
    untyped: Cap<Untyped>,
    slot: SlotIndex,
}

impl Labour {
    const COPIES: u32 = 32;
    const PAGES: Pages = Pages(64);
    /// Where nothing else ever is.
    const BASE: u64 = 0x6100_0000_0000;

    fn new() -> Result<Self, Error> {
        let region: Cap<Region> = memory::create(u64::from(Self::PAGES.0))?;
        Ok(Self {
            bell: memory::create(0)?,
            table: memory::create(u64::from(2 * Self::COPIES))?,
            binding: memory::bind(region, environment().space())?.handle(),
            untyped: memory::create(u64::from(Self::PAGES.0))?,
            slot: slots::allocate()?,
        })
    }

    /// Each once. After each the others get their turn: else they would wait until a timer expires.
    fn once(&self) -> Result<(), Error> {
        let own = environment();
        for slot in 1..=Self::COPIES {
            own.cspace().copy(self.bell.handle(), self.table.handle(), SlotIndex(slot), Rights::CALL)?;
            spin_loop();
        }
        complete(|| own.cspace().revoke(self.bell.handle()))?;
        spin_loop();
        let base = UserPage::new(Self::BASE).ok_or(Error::BadRange)?;
        own.space().map(self.binding, PageIndex(0), base, Self::PAGES, Rights::READ)?;
        spin_loop();
        own.space().unmap(base, Self::PAGES)?;
        spin_loop();
        self.untyped.retype(Kind::Region, u64::from(Self::PAGES.0), self.slot)?;
        complete(|| self.untyped.reset())?;
        spin_loop();
        Ok(())
    }
}

fn labour_for_ever() -> Result<(), Error> {
    let labour = Labour::new()?;
    ready()?;
    loop {
        labour.once()?;
    }
}

/// The other core, once it is there.
fn other() -> Cap<Core> {
    loop {
        match environment().core(OTHER.0) {
            Ok(core) => return core,
            Err(_) => spin_loop(),
        }
    }
}

/// One core wants the kernel all the time, and another has it for long.
fn contend() -> Result<(), Error> {
    let labour = Labour::new()?;
    let work = move || while labour.once().is_ok() {};
    core::mem::forget(Builder::new().core(other()).spawn(work)?);
    ready()?;
    loop {
        for _ in 0..4 {
            userlib::cap::null_call();
        }
        spin_loop();
    }
}

/// A core with many ready threads of all priorities, which another takes over.
fn crowd() -> Result<(), Error> {
    let core = environment().core(CORE.0)?;
    other();
    // All others are ready, and wait for this one.
    environment().first_thread().schedule(Priority::HIGHEST, core.handle())?;
    for number in 0..THREADS {
        let priority = Priority::new(number % Priority::HIGHEST.number()).unwrap_or(Priority::ORDINARY);
        let spin = || -> () {
            loop {
                spin_loop();
            }
        };
        core::mem::forget(Builder::new().core(core).priority(priority).spawn(spin)?);
    }
    spin()
}
