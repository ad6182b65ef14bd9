//! The walls: a kernel that goes mad, by a hook of the test build, costs its own subOS and nobody else anything.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use idl::event::Event;
use idl::types::{
    Chunks, CoreNumber, Deadline, LedgerState, Length, MachineQuestion, Progress, ResourceKind,
    StatisticsQuestion, SubOsState, Ticks,
};
use userlib::cap::complete;
use userlib::{Error, check, check_eq, environment, page, slots, thread, time};

use crate::steward::{Child, audit, compare, ledger, state_of};
use crate::wards::{ECHO, HELLO, attend};
use crate::{Outcome, plants, said};

/// The method of DebugConsole that only the hooks build knows.
pub(crate) const HOOK: u8 = 255;
/// What a child says whose hook did it no harm.
pub(crate) const SURVIVED: u64 = 5;

pub(crate) use crate::plants::the_audit_finds_what_is_broken;

pub(crate) const CHILDREN: &[(&str, fn())] =
    &[("walls/mad", mad), ("walls/stay", stay), ("walls/pair", pair)];

/// Says hello and stays in user mode.
fn stay() {
    let _ = environment().uplink().send(HELLO, 0, 0, 0, 0);
    loop {
        core::hint::spin_loop();
    }
}

/// Does what it is told by hook, while its cores 2 and 3 are both busy.
fn pair() {
    for core in [2, 3] {
        let core = environment().core(core).expect("a core");
        let busy = thread::Builder::new().core(core).spawn(|| {
            loop {
                core::hint::spin_loop();
            }
        });
        core::mem::forget(busy.expect("a thread"));
    }
    mad();
}

/// Does what it is told by hook.
fn mad() {
    plants::map_a_page().expect("a page");
    attend(0, |uplink, words| {
        if Event::from_words(&words).is_err() {
            let words = [words[0], words[1], words[2], 0, 0];
            let console = environment().console();
            let done: Result<(), Error> = idl::client::plain(&console, HOOK, words, Deadline::NEVER);
            let _ = uplink.send(SURVIVED, u64::from(done.is_ok()), 0, 0, 0);
        }
    });
}

/// How a mad kernel is noticed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noticed {
    /// By itself: it faults or panics.
    AtOnce,
    /// By the supervisor's next visit.
    ByVisit,
}

/// A subOS whose kernel has panicked, by a hook.
pub(crate) fn condemned() -> Result<Child, String> {
    const PANIC: u64 = 12;
    let child = Child::new("walls/mad", 4)?;
    child.subos.grant_lot(Chunks(2)).map_err(said("lot"))?;
    child.start(&[2])?;
    child.subos.send(PANIC, 0, 0, 0, 0).map_err(said("send"))?;
    child.wait_for_any()?;
    Ok(child)
}

/// Lets a subOS's kernel go mad by this hook; a neighbour goes on, and all comes back.
fn goes_mad(hook: u64, argument: u64, noticed: Noticed, says: &str) -> Outcome {
    goes_mad_at(hook, |_| Ok(argument), noticed, &[says]).map(|_| ())
}

/// The same; what the hook is told depends on the neighbour. Gives the epitaph.
pub(crate) fn goes_mad_at(
    hook: u64,
    argument: impl FnOnce(&Child) -> Result<u64, String>,
    noticed: Noticed,
    says: &[&str],
) -> Result<String, String> {
    let before = ledger()?;
    let neighbour = Child::new("suboses/talk", 4)?;
    neighbour.start(&[1])?;
    let argument = argument(&neighbour)?;
    let child = Child::new("walls/mad", 4)?;
    child.start(&[2, 3])?;
    let number = owner(ResourceKind::Core, 2)?;
    child.subos.send(hook, argument, 0, 0, 0).map_err(said("send"))?;
    let mut failed = None;
    match noticed {
        Noticed::AtOnce => {
            let words = child.wait_for_any()?;
            let event = Event::from_words(&words).map_err(|_| format!("it says {words:?}"))?;
            let Event::Condemned { core } = event else { return Err(format!("an event: {event:?}")) };
            failed = Some(core);
        }
        Noticed::ByVisit => {
            time::sleep(core::time::Duration::from_millis(20));
            check_eq!(environment().machine().audit().err().unwrap_or(Error::Condemned), Error::Condemned);
            let asked = child.subos.statistics(CoreNumber(2), StatisticsQuestion::Calls);
            check_eq!(asked.err(), Some(Error::Condemned));
        }
    }
    let info = child.subos.info().map_err(said("info"))?;
    check_eq!(info.state, SubOsState::Condemned);
    let text = epitaph(&child)?;
    for says in says {
        check!(text.contains(says), "the epitaph does not say {says:?}: {text}");
    }
    check!(
        is_at_the_wall(hook, argument, &text)?,
        "the epitaph of hook {hook} names another address: {text}"
    );
    if let Some(core) = failed {
        names_the_culprit(&text, core, number)?;
    }
    check_eq!(child.subos.send(1, 0, 0, 0, 0).err(), Some(Error::Condemned));
    neighbour.subos.send(30, 0, 0, 0, 0).map_err(said("send"))?;
    check_eq!(neighbour.wait_for(ECHO)?[1], 31);
    child.destroy()?;
    // What it had works for the next owner.
    let next = Child::new("suboses/talk", 4)?;
    next.start(&[2, 3])?;
    next.destroy()?;
    neighbour.destroy()?;
    audit()?;
    compare(&before)?;
    Ok(text)
}

/// Checks what an epitaph says besides the cause: the core that failed, its subOS, and a thread of that subOS; where it
/// was; and what came last.
fn names_the_culprit(text: &str, core: CoreNumber, subos: u32) -> Outcome {
    check!(core.0 == 2 || core.0 == 3, "{core:?} failed, which it does not have");
    let head = format!("PANIC core {} subos {subos} thread 0x", core.0);
    let Some(rest) = text.strip_prefix(head.as_str()) else {
        return Err(format!("the epitaph does not begin with {head:?}: {text}"));
    };
    let thread = rest.split(':').next().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let thread = thread.ok_or_else(|| format!("no thread: {text}"))?;
    let address = thread.checked_sub(PHYSICAL_MAP).unwrap_or(thread);
    check_eq!(owner(ResourceKind::Chunk, address / idl::abi::CHUNK_SIZE)?, subos, "whose thread: {text}");
    check!(text.contains("hooks.rs:") || text.contains(", rip 0x"), "no place: {text}");
    check!(text.contains("PANIC   ") && text.contains(" Syscall 0x"), "no trace: {text}");
    Ok(())
}

/// The number of the subOS that has this core or chunk.
fn owner(kind: ResourceKind, index: u64) -> Result<u32, String> {
    let entry = environment().machine().ledger(kind, index).map_err(said("ledger"))?;
    check_eq!(entry.state, LedgerState::Owned, "{kind:?} {index}");
    Ok(entry.owner.0)
}

fn epitaph(child: &Child) -> Result<String, String> {
    let Length(length) = child.subos.epitaph().map_err(said("epitaph"))?;
    let mut text = vec![0; length as usize];
    page::get_bytes(&mut text).map_err(said("get_bytes"))?;
    String::from_utf8(text).map_err(|error| format!("the epitaph: {error}"))
}

/// Whether an epitaph names the address that this hook touches, and not one of an accident on the way there. The child
/// runs on cores 2 and 3.
fn is_at_the_wall(hook: u64, argument: u64, text: &str) -> Result<bool, String> {
    const PAGE: u64 = idl::abi::PAGE_SIZE;
    const AREAS: u64 = 0xffff_c000_0000_0000;
    const STRIDE: u64 = 128 << 10;
    const SHARES: u64 = 0xffff_e000_0000_0000;
    const IMAGE: u64 = 0xffff_ffff_8000_0000;
    let area = |core: u64| AREAS + core * STRIDE;
    if !matches!(hook, 1..=10 | 16) {
        return Ok(true);
    }
    let (_, rest) = text.split_once("address 0x").ok_or_else(|| format!("no address: {text}"))?;
    let digits = rest.split(|letter: char| !letter.is_ascii_hexdigit()).next().unwrap_or("");
    let address = u64::from_str_radix(digits, 16).map_err(|_| format!("no address: {text}"))?;
    Ok(match hook {
        1 | 2 => address == PHYSICAL_MAP + argument,
        3 | 4 => {
            let chunk = address.wrapping_sub(PHYSICAL_MAP) / idl::abi::CHUNK_SIZE;
            let entry = environment().machine().ledger(ResourceKind::Chunk, chunk).map_err(said("ledger"))?;
            entry.state == LedgerState::Reserved
        }
        5 | 6 => address == area(argument) + 18 * PAGE,
        7 | 8 => address == SHARES + (argument << 20),
        9 => address >= IMAGE,
        // The page below the stack is a guard.
        10 => [2, 3].into_iter().any(|core| (area(core)..area(core) + PAGE).contains(&address)),
        _ => [2, 3].into_iter().any(|core| address == area(core) + 20 * PAGE + 128),
    })
}

/// The address of the first chunk that the ledger says this of.
pub(crate) fn chunk(state: LedgerState) -> Result<u64, String> {
    let machine = environment().machine();
    let [_, chunks, ..] = machine.info(MachineQuestion::Totals).map_err(said("info"))?;
    for index in 1..chunks {
        let entry = machine.ledger(ResourceKind::Chunk, index).map_err(said("ledger"))?;
        if entry.state == state {
            return Ok(index * idl::abi::CHUNK_SIZE);
        }
    }
    Err(format!("no chunk is {state:?}"))
}

const STRAY: &str = "page fault";
/// Where kernels see physical memory.
pub(crate) const PHYSICAL_MAP: u64 = 0xffff_8000_0000_0000;

pub(crate) fn another_kernel_is_out_of_reach() -> Outcome {
    // The first chunk that has an owner is that of the supervisor's home lot.
    let kernel = chunk(LedgerState::Owned)?;
    goes_mad(1, kernel, Noticed::AtOnce, STRAY)?;
    goes_mad(2, kernel, Noticed::AtOnce, STRAY)
}

pub(crate) fn a_neighbours_kernel_is_out_of_reach() -> Outcome {
    // A home lot begins with its kernel; the neighbour is the first subOS after the supervisor's.
    goes_mad_at(1, |_| home_of(1), Noticed::AtOnce, &[STRAY])?;
    goes_mad_at(2, |_| home_of(1), Noticed::AtOnce, &[STRAY]).map(|_| ())
}

/// Where the home lot of a subOS begins.
pub(crate) fn home_of(number: u32) -> Result<u64, String> {
    let machine = environment().machine();
    let [_, chunks, ..] = machine.info(MachineQuestion::Totals).map_err(said("info"))?;
    for index in 1..chunks {
        let entry = machine.ledger(ResourceKind::Chunk, index).map_err(said("ledger"))?;
        if entry.state == LedgerState::Owned && (entry.owner.0, entry.lot.0) == (number, 0) {
            return Ok(index * idl::abi::CHUNK_SIZE);
        }
    }
    Err(format!("subOS {number} has no home lot"))
}

pub(crate) fn a_core_cannot_answer_for_itself() -> Outcome {
    goes_mad(16, 0, Noticed::AtOnce, STRAY)
}

/// Whatever the supervisor wants of a kernel gone mad, the visit costs that kernel and nobody else.
pub(crate) fn every_visit_to_a_lying_kernel_condemns_it() -> Outcome {
    let before = ledger()?;
    let kernel = chunk(LedgerState::Owned)?;
    for visit in 0..4 {
        let child = Child::new("walls/mad", 4)?;
        child.start(&[1, 2])?;
        let subos = child.subos;
        let lot = subos.grant_lot(Chunks(1)).map_err(said("grant_lot"))?;
        subos.send(18, kernel, 0, 0, 0).map_err(said("send"))?;
        child.wait_for(SURVIVED)?;
        let asked = match visit {
            0 => subos.grant_core(CoreNumber(3)),
            1 => complete(|| subos.reclaim_core(CoreNumber(2), Ticks(0))),
            2 => subos.grant_lot(Chunks(1)).map(|_| ()),
            _ => complete(|| subos.reclaim_lot(lot)),
        };
        check!(asked == Err(Error::Condemned), "visit {visit}: {asked:?}");
        check_eq!(subos.info().map_err(said("info"))?.state, SubOsState::Condemned);
        let text = epitaph(&child)?;
        check!(text.contains("leads out of the visited subOS"), "visit {visit}: {text}");
        child.destroy()?;
        audit()?;
        compare(&before)?;
    }
    Ok(())
}

pub(crate) fn free_memory_is_out_of_reach() -> Outcome {
    let free = chunk(LedgerState::Free)? + 64 * idl::abi::CHUNK_SIZE;
    goes_mad(1, free, Noticed::AtOnce, STRAY)?;
    goes_mad(2, free, Noticed::AtOnce, STRAY)
}

pub(crate) fn the_ledger_is_out_of_reach() -> Outcome {
    goes_mad(3, 0, Noticed::AtOnce, STRAY)?;
    goes_mad(4, 0, Noticed::AtOnce, STRAY)
}

pub(crate) fn other_cores_areas_are_out_of_reach() -> Outcome {
    goes_mad(5, 1, Noticed::AtOnce, STRAY)?;
    goes_mad(6, 0, Noticed::AtOnce, STRAY)
}

pub(crate) fn others_shares_are_out_of_reach() -> Outcome {
    goes_mad(7, 1, Noticed::AtOnce, STRAY)?;
    goes_mad(8, 1, Noticed::AtOnce, STRAY)
}

pub(crate) fn the_image_cannot_be_written() -> Outcome {
    goes_mad(9, 0, Noticed::AtOnce, STRAY)
}

pub(crate) fn a_stack_overflow_is_contained() -> Outcome {
    goes_mad(10, 0, Noticed::AtOnce, STRAY)
}

pub(crate) fn a_double_fault_is_contained() -> Outcome {
    goes_mad(11, 0, Noticed::AtOnce, "double fault")
}

pub(crate) fn a_panic_is_contained() -> Outcome {
    goes_mad(12, 0, Noticed::AtOnce, "a test asked for it")
}

/// Two cores that fail at the same time leave one epitaph, of the one that was first.
pub(crate) fn two_cores_that_die_at_once_leave_one_epitaph() -> Outcome {
    const DIE_TOGETHER: u64 = 23;
    for _ in 0..20 {
        let child = Child::new("walls/pair", 4)?;
        child.start(&[2, 3])?;
        child.subos.send(DIE_TOGETHER, 2 + 3, 0, 0, 0).map_err(said("send"))?;
        let words = child.wait_for_any()?;
        let Ok(Event::Condemned { core }) = Event::from_words(&words) else {
            return Err(format!("it says {words:?}"));
        };
        let text = epitaph(&child)?;
        let mut lines = text.lines();
        let first = lines.next().unwrap_or("");
        check!(
            first.starts_with(&format!("PANIC core {} subos 1 thread 0x", core.0)),
            "not of {core:?}: {text}"
        );
        let reasons = ["a test asked for two at once", "page fault (vector 14) in kernel mode, error"];
        check_eq!(reasons.iter().filter(|reason| first.contains(**reason)).count(), 1, "{text}");
        check_eq!(text.matches("PANIC core").count(), 1, "{text}");
        check!(lines.clone().count() > 0 && lines.all(is_event), "not whole: {text}");
        child.destroy()?;
    }
    audit()
}

/// Whether a line of an epitaph is one of the last events: when, what, and two words about it.
fn is_event(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("PANIC   ") else { return false };
    let mut words = rest.split(' ');
    let mut is = |check: fn(&str) -> bool| words.next().is_some_and(check);
    let hex =
        |word: &str| word.strip_prefix("0x").is_some_and(|digits| u64::from_str_radix(digits, 16).is_ok());
    is(|when| when.parse::<u64>().is_ok())
        && is(|what| what.chars().all(char::is_alphabetic))
        && is(hex)
        && is(hex)
        && words.next().is_none()
}

pub(crate) fn a_lock_that_is_held_for_ever_costs_its_holder() -> Outcome {
    goes_mad(13, 0, Noticed::ByVisit, "lock")
}

pub(crate) fn a_lying_kernel_is_found_out_by_a_visit() -> Outcome {
    let kernel = chunk(LedgerState::Owned)?;
    goes_mad(14, kernel, Noticed::ByVisit, "leads out of the visited subOS")
}

/// A core that answers nothing is given up for good, and so is the memory that it may still write; the machine goes on. Until
/// then no other core of its subOS is free: their areas are mapped in the kernel half on which it may still run.
pub(crate) fn a_core_that_never_answers_is_quarantined() -> Outcome {
    let machine = environment().machine();
    let neighbour = Child::new("suboses/talk", 4)?;
    neighbour.start(&[1])?;
    let child = Child::new("suboses/count", 4)?;
    child.start(&[2, 3])?;
    let [_, chunks, ..] = machine.info(MachineQuestion::Totals).map_err(said("info"))?;
    deafen(3)?;
    while child.subos.destroy().map_err(said("destroy"))? == Progress::More {
        let [answers, never] = [state_of(2)?, state_of(3)?];
        check!(
            answers != LedgerState::Free || never == LedgerState::Quarantined,
            "core 2 is free, and core 3 {never:?}"
        );
    }
    slots::release(child.subos.handle().index());
    slots::delete(child.bell.handle()).map_err(said("delete"))?;
    let state = |kind, index| machine.ledger(kind, index).map(|entry| entry.state).map_err(said("ledger"));
    check_eq!(state(ResourceKind::Core, 2)?, LedgerState::Free);
    check_eq!(state(ResourceKind::Core, 3)?, LedgerState::Quarantined);
    let mut quarantined = 0;
    for chunk in 0..chunks {
        quarantined += u32::from(state(ResourceKind::Chunk, chunk)? == LedgerState::Quarantined);
    }
    check_eq!(quarantined, 4);
    check_eq!(neighbour.subos.grant_core(CoreNumber(3)).err(), Some(Error::NoResource));
    neighbour.subos.send(30, 0, 0, 0, 0).map_err(said("send"))?;
    check_eq!(neighbour.wait_for(ECHO)?[1], 31);
    neighbour.destroy()?;
    let next = Child::new("suboses/talk", 4)?;
    next.start(&[2])?;
    next.destroy()?;
    audit()
}

/// What a subOS had may still be reached by a core that was told to leave it and has not done so: it is not used again.
pub(crate) fn a_lot_waits_for_a_core_on_its_way_out() -> Outcome {
    let child = Child::new("walls/stay", 4)?;
    child.start(&[3])?;
    let lot = child.subos.grant_lot(Chunks(2)).map_err(said("grant_lot"))?;
    deafen(3)?;
    check_eq!(child.subos.reclaim_core(CoreNumber(3), Ticks(0)), Ok(Progress::More));
    for _ in 0..100 {
        check_eq!(child.subos.reclaim_lot(lot), Ok(Progress::More));
    }
    check_eq!(state_of(3)?, LedgerState::Revoking);
    // That they are on their way is nothing wrong.
    audit()?;
    child.destroy()?;
    check_eq!(state_of(3)?, LedgerState::Quarantined);
    audit()
}

/// A core that lets go of nothing, though another is all that is wanted: its subOS is condemned before long, rather than keep
/// for ever what the supervisor takes.
pub(crate) fn a_core_that_lets_go_of_nothing_costs_its_subos() -> Outcome {
    let child = Child::new("walls/pair", 4)?;
    child.start(&[2, 3])?;
    let lot = child.subos.grant_lot(Chunks(2)).map_err(said("grant_lot"))?;
    deafen(3)?;
    check_eq!(complete(|| child.subos.reclaim_lot(lot)), Err(Error::Condemned));
    let text = epitaph(&child)?;
    check!(text.contains("did not let go of what was taken away"), "{text}");
    child.destroy()?;
    check_eq!(state_of(2)?, LedgerState::Free);
    check_eq!(state_of(3)?, LedgerState::Quarantined);
    audit()
}

/// From now on nothing that the supervisor's kernel sends reaches this core.
pub(crate) fn deafen(core: u64) -> Outcome {
    let console = environment().console();
    let done: Result<(), Error> = idl::client::plain(&console, HOOK, [15, core, 0, 0, 0], Deadline::NEVER);
    done.map_err(said("hook"))
}

/// In the supervisor's own kernel a panic ends the machine.
pub(crate) fn a_panic_of_the_supervisors_kernel_ends_the_machine() -> Outcome {
    let console = environment().console();
    let done: Result<(), Error> = idl::client::plain(&console, HOOK, [12, 0, 0, 0, 0], Deadline::NEVER);
    Err(format!("it goes on: {done:?}"))
}
