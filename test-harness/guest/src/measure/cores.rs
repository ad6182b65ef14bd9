//! What the supervisor does with cores and subOSes: across cores, so the plugin counts.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use idl::bundle::{Bundle, EntryKind};
use idl::types::{Chunks, CoreNumber, Length, PageIndex, SubOsState, Ticks};
use userlib::cap::{Cap, SubOs, complete};
use userlib::memory::pages_for;
use userlib::testing::mark;
use userlib::{cap, environment, println, slots, time};

use crate::{Outcome, said};

/// How often each is done.
const TIMES: usize = 9;
/// The home lot of the subOSes that are made: 16 MiB.
const HOME: Chunks = Chunks(8);
/// The core that moves.
const CORE: CoreNumber = CoreNumber(1);
/// The program that the subOSes run.
const PROGRAM: &str = "spinner";

pub(super) fn figures() -> Outcome {
    create_and_destroy()?;
    moves()?;
    println!("@span name=subos_create begin=10 end=11 cores=0");
    println!("@span name=subos_destroy begin=12 end=13 cores=0,1");
    println!("@span name=core_take_by_force begin=20 end=21 cores=0,1");
    println!("@span name=core_give begin=22 end=23 cores=0,1");
    Ok(())
}

fn create_and_destroy() -> Outcome {
    for _ in 0..TIMES {
        mark::<10>();
        let subos = create()?;
        mark::<11>();
        subos.grant_core(CORE).map_err(said("grant"))?;
        until_running(subos)?;
        mark::<12>();
        complete(|| subos.destroy()).map_err(said("destroy"))?;
        mark::<13>();
        slots::release(subos.handle().index());
    }
    Ok(())
}

/// A core goes from one spinning subOS to another and back.
fn moves() -> Outcome {
    let (left, right) = (create()?, create()?);
    left.grant_core(CORE).map_err(said("grant"))?;
    for round in 0..2 * TIMES {
        let (from, to) = if round % 2 == 0 { (left, right) } else { (right, left) };
        until_running(from)?;
        mark::<20>();
        complete(|| from.reclaim_core(CORE, Ticks(0))).map_err(said("reclaim"))?;
        mark::<21>();
        mark::<22>();
        to.grant_core(CORE).map_err(said("grant"))?;
        mark::<23>();
    }
    for subos in [left, right] {
        complete(|| subos.destroy()).map_err(said("destroy"))?;
        slots::release(subos.handle().index());
    }
    Ok(())
}

/// A subOS that is loaded and started, without a core.
fn create() -> Result<Cap<SubOs>, String> {
    let environment = environment();
    let handle = slots::fill(|slot| environment.machine().create(HOME, slot)).map_err(said("create"))?;
    let subos = cap::cap::<SubOs>(handle);
    let files = environment.files().map_err(said("files"))?;
    let bundle = Bundle::parse(files).map_err(|error| format!("bundle: {error:?}"))?;
    let program = bundle.find(PROGRAM).filter(|entry| entry.kind == EntryKind::Program);
    let program = program.ok_or("the program is not in the bundle")?;
    let page = u32::try_from(program.offset / idl::bundle::PAGE).map_err(|_| "the bundle is too large")?;
    let pages = pages_for(program.data.len() as u64).map_err(said("pages"))?;
    subos.load(environment.modules().handle(), PageIndex(page), pages, Length(0)).map_err(said("load"))?;
    subos.start().map_err(said("start"))?;
    Ok(subos)
}

/// Waits until it has run a while on its core.
fn until_running(subos: Cap<SubOs>) -> Outcome {
    let state = subos.info().map_err(said("info"))?.state;
    if state != SubOsState::Running {
        return Err(format!("a subOS that was started is {state:?}"));
    }
    time::sleep(Duration::from_millis(1));
    Ok(())
}
