//! A supervisor that crashes, and what becomes of those whom it supervises: nothing. A keeper, subOS 0's first program, has
//! little to do and starts the supervisor as a process; what the supervisor must not lose lies in a table of the keeper's, the
//! *vault*. A supervisor that is started again finds there the capabilities to its subOSes, and learns from them and from the
//! ledger who has what.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use idl::bundle::{BOOT, Bundle};
use idl::interface::Generation;
use idl::message::{Message, Received};
use idl::types::{
    Badge, Chunks, CoreNumber, LedgerState, LotNumber, MachineQuestion, PageIndex, Pages, Progress,
    ResourceKind, SubOsState, Ticks,
};
use userlib::cap::{CSpace, Endpoint, Machine, Region, Reply, SubOs, complete};
use userlib::process::Builder;
use userlib::{
    Cap, Error, Handle, Rights, SlotIndex, cap, check, check_eq, environment, memory, slots, time,
};

use crate::injections::LOOKED;
use crate::library::next_fault;
use crate::steward::{audit, compare, ledger};
use crate::wards::{ECHO, HELLO};
use crate::{Outcome, PATIENCE, said};

pub(crate) const CHILDREN: &[(&str, fn())] = &[("keepers/supervise", supervise)];

/// Places of the vault; a supervisor uses them from 1 on.
const PLACES: u32 = 8;
/// What the supervisor says to its keeper: it has done what it wanted to do in this life; or something went wrong.
const DONE: u32 = 1;
const WRONG: u32 = 2;
/// The number of this life of the supervisor's, from 1: in the first two it crashes.
const LIVES: u64 = 3;

/// The supervisor crashes in the middle of its work, by a panic, and again by a fault: its subOSes run on, it is started again,
/// learns what there is, takes all of it back, and the ledger is whole.
pub(crate) fn a_supervisor_crashes_and_goes_on() -> Outcome {
    let before = ledger()?;
    let vault: Cap<CSpace> = memory::create(u64::from(PLACES)).map_err(said("vault"))?;
    let line: Cap<Endpoint> = memory::create(0).map_err(said("line"))?;
    let faults: Cap<Endpoint> = memory::create(0).map_err(said("faults"))?;
    let reply: Cap<Reply> = memory::create(0).map_err(said("reply"))?;
    for life in 1..=LIVES {
        let supervisor = start(vault, line, faults, life)?;
        if life < LIVES {
            let (_, fault) = next_fault(faults, reply)?;
            // An assertion is an invalid instruction; a stray write a page fault.
            check_eq!(fault.trap.vector, if life == 1 { 6 } else { 14 });
        } else {
            let received = line.receive(&reply, time::after(PATIENCE)).map_err(said("line"))?;
            let Received::Message { message, .. } = received else { return Err("a signal".into()) };
            check!(message.label == DONE, "the supervisor gave up at {}", message.words[0]);
        }
        // Whatever it had for itself goes with it.
        let budget = supervisor.end().map_err(said("end"))?;
        slots::delete(budget.handle()).map_err(said("delete"))?;
        audit()?;
        check!((ledger()? == before) == (life == LIVES), "after life {life}");
    }
    slots::delete(vault.handle()).map_err(said("delete"))?;
    compare(&before)
}

fn start(
    vault: Cap<CSpace>,
    line: Cap<Endpoint>,
    faults: Cap<Endpoint>,
    life: u64,
) -> Result<userlib::process::Process, String> {
    let own = environment();
    let files = own.files().map_err(said("files"))?;
    let bundle = Bundle::parse(files).map_err(|error| format!("bundle: {error:?}"))?;
    let image = bundle.find(BOOT).ok_or("no boot program in the bundle")?;
    let (first, pages) = crate::abroad::program_pages(BOOT)?;
    let arguments = format!("keepers/supervise life={life} first={} pages={}", first.0, pages.0);
    let (generation, all) = (Generation(u16::try_from(life).unwrap_or(0)), Rights::all());
    let supervisor = Builder::new(image.data)
        .arguments(&arguments)
        .memory(Pages(400))
        .generation(generation)
        .faults(faults.handle(), Badge(5))
        .grant(own.machine().handle(), all)
        .grant(vault.handle(), all)
        .grant(own.modules().handle(), Rights::READ | Rights::DERIVE)
        .grant(line.handle(), Rights::CALL);
    supervisor.start().map_err(|error| format!("start: {error}"))
}

/// What a supervisor works with.
struct Tools {
    machine: Cap<Machine>,
    vault: Cap<CSpace>,
    modules: Cap<Region>,
}

/// One life of the supervisor.
fn supervise() {
    let own = environment();
    let number = |key| own.argument(key).and_then(|value| value.parse::<u32>().ok()).unwrap_or(0);
    let tools =
        Tools { machine: cap(own.granted(0)), vault: cap(own.granted(1)), modules: cap(own.granted(2)) };
    let program = (PageIndex(number("first")), Pages(number("pages")));
    let done = match number("life") {
        1 => begin(&tools, program),
        2 => go_on(&tools),
        _ => finish(&tools),
    };
    let line: Cap<Endpoint> = cap(own.granted(3));
    let label = if done.is_ok() { DONE } else { WRONG };
    if let Err(error) = done {
        userlib::println!("the supervisor: {error}");
    }
    let _ = line.send(&Message::short(label, &[number("life").into()]), time::after(PATIENCE));
}

/// The first life: it makes two, and crashes between two steps of taking a lot away.
fn begin(tools: &Tools, program: (PageIndex, Pages)) -> Outcome {
    for (place, name, core) in [(1, "suboses/talk", 1), (2, "injections/witness", 2)] {
        let subos = make(tools, place).map_err(said("make"))?;
        let length = userlib::page::put_bytes(name.as_bytes()).map_err(said("arguments"))?;
        let (first, pages) = program;
        subos.load(tools.modules.handle(), first, pages, length).map_err(said("load"))?;
        subos.grant_core(CoreNumber(core)).map_err(said("grant_core"))?;
        subos.grant_lot(Chunks(2)).map_err(said("grant_lot"))?;
        subos.start().map_err(said("start"))?;
        hear(subos, HELLO)?;
    }
    let mut taken = Progress::Done;
    if let Some((subos, _)) = known(tools)?.first() {
        taken = subos.reclaim_core(CoreNumber(1), Ticks(time::after(PATIENCE).0)).map_err(said("ask"))?;
    }
    check_eq!(taken, Progress::More);
    panic!("as the case wants it: the first life ends in the middle of its work");
}

/// The second: it finds both at work, moves a core, and makes a stray write before anybody knows of a third subOS.
fn go_on(tools: &Tools) -> Outcome {
    let found = known(tools)?;
    check_eq!(found.iter().map(|(_, has)| has.cores.clone()).collect::<Vec<_>>(), [[1], [2]]);
    // Both run on, and what was begun in the life before can be gone on with or left.
    talks(found[0].0)?;
    looks(found[1].0)?;
    complete(|| found[1].0.reclaim_core(CoreNumber(2), Ticks(0))).map_err(said("reclaim_core"))?;
    found[0].0.grant_core(CoreNumber(2)).map_err(said("grant_core"))?;
    // One that is in nobody's vault goes with whoever made it.
    let slot = slots::allocate().map_err(said("slot"))?;
    tools.machine.create(Chunks(3), slot).map_err(said("create"))?;
    userlib::testing::stray_write(0x1_2340);
    Ok(())
}

/// The last: it finds what the one before left, and takes everything back.
fn finish(tools: &Tools) -> Outcome {
    let found = known(tools)?;
    let cores: Vec<_> = found.iter().map(|(_, has)| has.cores.clone()).collect();
    check_eq!(cores, [alloc::vec![1, 2], Vec::new()]);
    let [(talker, has), (watcher, has_not)] = &found[..] else { return Err("not two".into()) };
    talks(*talker)?;
    check_eq!((has.lots.as_slice(), has_not.lots.as_slice()), (&[1][..], &[1][..]));
    // Resized by what the ledger says alone.
    complete(|| talker.reclaim_core(CoreNumber(2), Ticks(0))).map_err(said("reclaim_core"))?;
    complete(|| talker.reclaim_lot(LotNumber(has.lots[0]))).map_err(said("reclaim_lot"))?;
    watcher.grant_core(CoreNumber(2)).map_err(said("grant_core"))?;
    looks(*watcher)?;
    for subos in [talker, watcher] {
        complete(|| subos.destroy()).map_err(said("destroy"))?;
    }
    Ok(())
}

/// Makes a subOS whose capability lies in the vault from the first moment on at which anybody relies on it.
fn make(tools: &Tools, place: u32) -> Result<Cap<SubOs>, Error> {
    let own = environment().cspace();
    let made = slots::fill(|slot| tools.machine.create(Chunks(4), slot))?;
    // The capability itself and no copy: it ends what it names when it goes.
    own.move_(made, tools.vault.handle(), SlotIndex(place))?;
    slots::release(made.index());
    at(tools, place)
}

/// A copy of what lies in a place of the vault.
fn at(tools: &Tools, place: u32) -> Result<Cap<SubOs>, Error> {
    let kept = tools.vault.at(SlotIndex(place))?;
    let rights = tools.vault.info(kept)?.rights;
    let copy = slots::fill(|slot| tools.vault.copy(kept, Handle::NONE, slot, rights))?;
    Ok(cap(copy))
}

/// What the ledger says that a subOS has besides its home lot.
#[derive(Clone, Debug)]
struct Has {
    cores: Vec<u32>,
    lots: Vec<u32>,
}

/// The subOSes of the vault, each with what it has. A subOS knows its cores, the ledger whose they are, and which lots those
/// have. One without cores has what is left.
fn known(tools: &Tools) -> Result<Vec<(Cap<SubOs>, Has)>, String> {
    let [cores, chunks, ..] = tools.machine.info(MachineQuestion::Totals).map_err(said("info"))?;
    let entry = |kind, index| tools.machine.ledger(kind, index).map_err(said("ledger"));
    let mut lots: Vec<(u32, u32)> = Vec::new();
    for chunk in 0..chunks {
        let found = entry(ResourceKind::Chunk, chunk)?;
        let lot = (found.owner.0, found.lot.0);
        if found.state == LedgerState::Owned && lot.0 != 0 && lot.1 != 0 && !lots.contains(&lot) {
            lots.push(lot);
        }
    }
    let mut subos = Vec::new();
    for place in 1..PLACES {
        let Ok(found) = at(tools, place) else { continue };
        let info = found.info().map_err(said("info"))?;
        check_eq!(info.state, SubOsState::Running);
        let cores: Vec<u32> =
            (0..u32::try_from(cores).unwrap_or(0)).filter(|core| info.cores >> core & 1 != 0).collect();
        let owner = match cores.first() {
            Some(core) => Some(entry(ResourceKind::Core, u64::from(*core))?.owner.0),
            None => None,
        };
        subos.push((found, cores, owner));
    }
    let owners: Vec<u32> = subos.iter().filter_map(|(_, _, owner)| *owner).collect();
    let of = |owner: Option<u32>| {
        let is = move |lot: &u32, known: &[u32]| owner.map_or(!known.contains(lot), |owner| owner == *lot);
        lots.iter().filter(|(lot, _)| is(lot, &owners)).map(|(_, lot)| *lot).collect()
    };
    Ok(subos.into_iter().map(|(found, cores, owner)| (found, Has { cores, lots: of(owner) })).collect())
}

/// It answers.
fn talks(subos: Cap<SubOs>) -> Outcome {
    subos.send(40, 0, 0, 0, 0).map_err(said("send"))?;
    check_eq!(hear(subos, ECHO)?[1], 41);
    Ok(())
}

/// It goes on, and finds nothing of its own changed.
fn looks(subos: Cap<SubOs>) -> Outcome {
    let (mut first, mut last) = (None, 0);
    while first.is_none_or(|first| last <= first) {
        subos.send(LOOKED, 0, 0, 0, 0).map_err(said("send"))?;
        let [_, looked, changed, ..] = hear(subos, LOOKED)?;
        check_eq!(changed, 0, "words of its memory changed");
        (first, last) = (first.or(Some(looked)), looked);
    }
    Ok(())
}

/// The next record with this first word.
fn hear(subos: Cap<SubOs>, code: u64) -> Result<[u64; 5], String> {
    let end = time::after(PATIENCE);
    loop {
        match subos.receive() {
            Ok(words) if words[0] == code => return Ok(words),
            Ok(_) => {}
            Err(Error::Empty) => {
                check!(time::now().0 < end.0, "{code} does not come");
                userlib::thread::yield_now();
            }
            Err(error) => return Err(format!("receive: {error}")),
        }
    }
}
