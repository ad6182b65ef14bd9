//! What concerns several cores: a core that moves between subOSes, a subOS that is made, started and ended.
//!
//! Nothing is timed here. Markers say where something begins and ends, records `@span` say which markers belong to
//! which row, and the plugin counts what each core executes in between.

use core::hint::{black_box, spin_loop};

use alloc::format;
use alloc::string::String;

use idl::abi::PAGE_SIZE;
use idl::bundle::{BOOT, Bundle};
use idl::record::RecordWriter;
use idl::types::{Chunks, CoreNumber, PageIndex, Pages, Progress, Ticks};
use userlib::cap::SubOs;
use userlib::testing::mark;
use userlib::{Cap, Error, cap, console, environment, memory, page, slots};

use super::{asked, extents, footprint, states, victim, window};
use crate::{Outcome, said};

pub(super) const CREATE: i32 = 1;
pub(super) const CREATED: i32 = 2;
pub(super) const LOADED: i32 = 3;
pub(super) const DESTROY: i32 = 4;
pub(super) const DESTROYED: i32 = 5;
const MOVE: i32 = 6;
pub(super) const GRANT: i32 = 7;
pub(super) const GRANTED: i32 = 8;
/// What the two cells execute over and over. From 0x8000 on, the plugin notes the first of many only.
const FIRST_CELL: i32 = 0x8001;
pub(super) const SECOND_CELL: i32 = 0x8002;

/// Where something begins and ends, and of which row it is a part. Several spans of one row add up.
const SPANS: &[(&str, i32, Until)] = &[
    ("subos-create", CREATE, Until::Marker(CREATED)),
    ("subos-create", LOADED, Until::ProgramStarts),
    ("subos-load", CREATED, Until::Marker(LOADED)),
    ("subos-destroy", DESTROY, Until::Marker(DESTROYED)),
    ("grant-lot", GRANT, Until::Marker(GRANTED)),
    ("core-move", MOVE, Until::Marker(SECOND_CELL)),
];

/// The end of a span.
#[derive(Clone, Copy)]
pub(super) enum Until {
    Marker(i32),
    /// The first instruction of the subOS's first program.
    ProgramStarts,
}

/// Chunks of a subOS's home lot.
pub(super) const HOME: Chunks = Chunks(4);
/// Chunks of a lot that makes it 256 MiB.
const MORE: Chunks = Chunks(124);
/// How often a subOS is made and ended.
const LIVES: u32 = 3;
/// How often a core moves there and back.
const MOVES: u32 = 12;
/// Rounds of a loop in which a core that was moved surely runs: the cores take turns.
const TURN: u32 = 20_000;
/// How often to look whether a subOS has said something.
const PATIENCE: u32 = 20_000_000;

pub(super) fn measure() -> Outcome {
    for (row, from, until) in SPANS {
        declare(row, *from, *until).map_err(|_| String::from("the record cannot be written"))?;
    }
    footprint::measure()?;
    for _ in 0..LIVES {
        live_and_die()?;
    }
    window::measure()?;
    move_about()?;
    states::measure()?;
    asked::measure()?;
    extents::measure()
}

pub(super) fn declare(row: &str, from: i32, until: Until) -> core::fmt::Result {
    declare_of(row, from, until, u64::MAX)
}

/// Says which markers belong to a row, of which only what these cores did counts.
pub(super) fn declare_of(row: &str, from: i32, until: Until, cores: u64) -> core::fmt::Result {
    let mut writer = console::Writer::new();
    let record = RecordWriter::begin(&mut writer, "span")?.field("row", row)?.field("from", from)?;
    let record = record.field("cores", cores)?;
    match until {
        Until::Marker(to) => record.field("to", to)?.end(),
        Until::ProgramStarts => record.field("to", "entry")?.end(),
    }
}

/// A subOS with two cores and 256 MiB, from nothing to nothing.
fn live_and_die() -> Outcome {
    let first = create("cell first", CoreNumber(1))?;
    first.grant_core(CoreNumber(2)).map_err(said("second core"))?;
    mark::<GRANT>();
    let lot = first.grant_lot(MORE);
    mark::<GRANTED>();
    lot.map_err(said("lot"))?;
    wait_a_turn();
    mark::<DESTROY>();
    let done = destroy(first);
    mark::<DESTROYED>();
    done
}

/// Makes a subOS of this program, gives it a core, and waits until it says that it runs.
pub(super) fn create(arguments: &str, core: CoreNumber) -> Result<Cap<SubOs>, String> {
    let subos = make::<CREATE, CREATED, LOADED>(arguments)?;
    subos.grant_core(core).map_err(said("grant"))?;
    subos.start().map_err(said("start"))?;
    hear(subos)?;
    Ok(subos)
}

/// Makes a subOS that begins only when it gets its first core, some time later, and loads this program into it.
pub(super) fn prepare(arguments: &str) -> Result<Cap<SubOs>, String> {
    make::<14, 15, 16>(arguments)
}

/// The same, with markers before and after, and when it is loaded.
fn make<const BEGIN: i32, const MADE: i32, const FULL: i32>(arguments: &str) -> Result<Cap<SubOs>, String> {
    let environment = environment();
    let (first, pages) = own_pages()?;
    let slot = slots::allocate().map_err(said("slot"))?;
    mark::<BEGIN>();
    let made = environment.machine().create(HOME, slot);
    mark::<MADE>();
    let subos: Cap<SubOs> = cap(made.map_err(said("create"))?);
    let length = page::put_bytes(arguments.as_bytes()).map_err(said("arguments"))?;
    let loaded = subos.load(environment.modules().handle(), first, pages, length);
    mark::<FULL>();
    loaded.map_err(said("load"))?;
    Ok(subos)
}

/// Where this program lies among the boot modules.
fn own_pages() -> Result<(PageIndex, Pages), String> {
    let files = environment().files().map_err(said("files"))?;
    let bundle = Bundle::parse(files).map_err(|error| format!("bundle: {error:?}"))?;
    let entry = bundle.find(BOOT).ok_or("no boot program in the bundle")?;
    let first = u32::try_from(entry.offset as u64 / PAGE_SIZE).map_err(|_| "a large bundle")?;
    let pages = memory::pages_for(entry.data.len() as u64).map_err(said("pages"))?;
    Ok((PageIndex(first), pages))
}

/// Waits until a subOS says something: that it runs, first of all.
pub(super) fn hear(subos: Cap<SubOs>) -> Result<[u64; 5], String> {
    for _ in 0..PATIENCE {
        match subos.receive() {
            Err(Error::Empty) => spin_loop(),
            Err(error) => return Err(format!("receive: {error}")),
            Ok(words) => return Ok(words),
        }
    }
    Err(String::from("a subOS that was started does not run"))
}

pub(super) fn wait_a_turn() {
    // One PAUSE, and not several in a row: then its rounds count as waiting.
    let mut left = TURN;
    while black_box(left) > 0 {
        spin_loop();
        left -= 1;
    }
}

pub(super) fn destroy(subos: Cap<SubOs>) -> Outcome {
    while subos.destroy().map_err(said("destroy"))? == Progress::More {}
    slots::release(subos.handle().index());
    Ok(())
}

/// A core goes from a subOS that spins to another, and back, over and over; by force, since neither would give it.
fn move_about() -> Outcome {
    let core = CoreNumber(1);
    let first = create("cell first", core)?;
    let second = prepare("cell second")?;
    second.start().map_err(said("start"))?;
    pass(first, second, core)?;
    hear(second)?;
    pass(second, first, core)?;
    for _ in 0..MOVES {
        wait_a_turn();
        mark::<MOVE>();
        pass(first, second, core)?;
        wait_a_turn();
        pass(second, first, core)?;
    }
    wait_a_turn();
    destroy(first)?;
    destroy(second)
}

pub(super) fn pass(from: Cap<SubOs>, to: Cap<SubOs>, core: CoreNumber) -> Outcome {
    while from.reclaim_core(core, Ticks(0)).map_err(said("reclaim"))? == Progress::More {
        spin_loop();
    }
    to.grant_core(core).map_err(said("grant"))
}

/// The word of a cell that could not do what it is for.
pub(super) const FAILED: u64 = 3;

/// A cell has come to its end: if it has failed, it says so. It does nothing more.
fn settle(result: Result<(), Error>) -> ! {
    if let Err(error) = result {
        // Whoever made it waits for this in vain if it cannot be said.
        let _ = environment().uplink().send(FAILED, u64::from(error.number()), 0, 0, 0);
    }
    loop {
        spin_loop();
    }
}

/// What the subOSes run: says that it runs, then spins.
pub(super) fn cell() {
    let arguments = environment().arguments();
    // Whoever made it waits for this in vain if it cannot be said.
    let _ = environment().uplink().send(1, footprint::home(), 0, 0, 0);
    let cells = [window::CELLS, states::CELLS, asked::CELLS, extents::CELLS, victim::CELLS];
    if let Some((_, cell)) = cells.into_iter().flatten().find(|(name, _)| *name == arguments) {
        settle(cell());
    }
    if arguments == "cell idle" {
        super::scale::idle();
    }
    if arguments == "cell first" {
        loop {
            mark::<FIRST_CELL>();
            spin_loop();
        }
    }
    loop {
        mark::<SECOND_CELL>();
        spin_loop();
    }
}
