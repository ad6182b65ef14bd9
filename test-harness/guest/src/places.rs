//! A kernel fails at any of its marked places, in each manner: what it works for is condemned with an epitaph that says how
//! and where, everything comes back, and the neighbour beside it goes on. The hooks build marks the places.
//!
//! First the marks that a piece of work comes past are listed; then it is done again, in a subOS made for it, and fails at one
//! of them, until each was the one. `cargo test` has each place fail once, whatever work comes past it; the soak has every
//! piece of work fail at every passage.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use idl::event::Event;
use idl::kernel::machine::LedgerEntry;
use idl::types::{Chunks, CoreNumber, LedgerState, Length, StatisticsQuestion, SubOsState, Ticks};
use userlib::cap::complete;
use userlib::{Error, check, check_eq, environment, page, println};

use crate::chores::{CHORES, DONE, FAIL, LIST, NOTHING, PLACE, WORK, arrange, listed, worker};
use crate::steward::{Child, audit, compare, ledger};
use crate::wards::ECHO;
use crate::{Outcome, said};

pub(crate) const CHILDREN: &[(&str, fn())] = &[("places/worker", worker)];

/// Fewer places are none of "any of a hundred".
const ENOUGH: usize = 100;
/// Passages of one piece of work that fail at most: of more, so many evenly spread.
const MOST: usize = 300;
/// Where a stray access goes of a kernel that fails at line 0; each line has its own.
const NOWHERE: u64 = 0xffff_f000_0000_0000;
/// The number that the subOS has which is to fail: the supervisor has 0, the neighbour 1.
const NUMBER: u64 = 2;

/// How a kernel fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Panic = 0,
    Stray = 1,
    DoubleFault = 2,
    Hold = 3,
}

/// How much is tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Each place once.
    EachPlace,
    /// Each passage of each piece of work.
    EachPassage,
}

/// What was tried so far.
struct Sweep {
    extent: Extent,
    /// What a whole machine looks like.
    before: Vec<LedgerEntry>,
    neighbour: Child,
    /// Places by the numbers that the kernel has for them.
    seen: BTreeSet<u64>,
    /// Places as the epitaphs tell them.
    told: BTreeSet<String>,
    failures: u32,
    /// Whether the neighbour may be left with its side of a window.
    windows: bool,
}

/// In the middle of its own work.
pub(crate) fn a_kernel_fails_at_any_of_them() -> Outcome {
    own_work(Extent::EachPlace)
}

/// In the middle of its own work, wherever that comes past.
pub(crate) fn a_kernel_fails_at_every_passage() -> Outcome {
    own_work(Extent::EachPassage)
}

/// While the supervisor visits.
pub(crate) fn a_visit_fails_at_any_of_them() -> Outcome {
    visits(Extent::EachPlace)
}

/// While the supervisor visits, wherever that comes past.
pub(crate) fn a_visit_fails_at_every_passage() -> Outcome {
    visits(Extent::EachPassage)
}

impl Sweep {
    fn new(extent: Extent) -> Result<Self, String> {
        let neighbour = Child::new("suboses/talk", 4)?;
        neighbour.start(&[1])?;
        let (seen, told) = (BTreeSet::new(), BTreeSet::new());
        Ok(Self { extent, before: ledger()?, neighbour, seen, told, failures: 0, windows: false })
    }

    /// Which passages of what was listed are to fail.
    fn chosen(&mut self, count: u64, places: &[(u64, u64)]) -> Vec<u64> {
        let new: Vec<u64> =
            places.iter().filter(|(_, place)| self.seen.insert(*place)).map(|(at, _)| *at).collect();
        let step = usize::try_from(count).unwrap_or(usize::MAX) / MOST + 1;
        if self.extent == Extent::EachPlace { new } else { (1..=count).step_by(step).collect() }
    }

    /// How the next one fails. To hold a lock takes the supervisor's patience, which is long.
    fn manner(&self) -> Manner {
        let rare = if self.extent == Extent::EachPlace { 100 } else { 30 };
        match self.failures {
            turn if turn % rare == rare - 1 => Manner::Hold,
            turn if turn % 3 == 0 => Manner::Panic,
            turn if turn % 3 == 1 => Manner::Stray,
            _ => Manner::DoubleFault,
        }
    }

    /// What must be after each failure.
    fn account(&mut self, child: Child, manner: Manner, printed: &str) -> Outcome {
        check_eq!(child.subos.info().map_err(said("info"))?.state, SubOsState::Condemned);
        let (text, console) = (epitaph(&child)?, format!("{printed}{}", console(&child)?));
        let place = matches(&console, manner, &text).map_err(|what| format!("{what}: {text} / {console}"))?;
        self.told.insert(place);
        self.end(child)?;
        self.failures += 1;
        Ok(())
    }

    /// It is destroyed, everything is back, and the neighbour has noticed nothing.
    fn end(&self, child: Child) -> Outcome {
        child.destroy()?;
        if self.windows {
            self.close_window()?;
        }
        compare(&self.before)?;
        let word = 30 + u64::from(self.failures % 7);
        self.neighbour.subos.send(word, 0, 0, 0, 0).map_err(said("send"))?;
        check_eq!(self.neighbour.wait_for(ECHO)?[1], word + 1);
        if self.failures.is_multiple_of(16) { audit() } else { Ok(()) }
    }

    /// A kernel that fails when the neighbour has its side of a window already leaves it to the neighbour.
    fn close_window(&self) -> Outcome {
        let is_side =
            |entry: &LedgerEntry| (entry.owner.0, entry.state) == (1, LedgerState::Owned) && entry.lot.0 > 0;
        match ledger()?.iter().find(|entry| is_side(entry)) {
            // That it can be taken says that it was given whole.
            Some(side) => self.neighbour.take_lot(side.lot),
            None => Ok(()),
        }
    }

    fn finish(self, what: &str) -> Outcome {
        audit()?;
        println!("{what}: {} failures at {} places", self.failures, self.told.len());
        self.neighbour.destroy()
    }
}

fn own_work(extent: Extent) -> Outcome {
    let mut sweep = Sweep::new(extent)?;
    for (chore, (name, _)) in (0..).zip(CHORES) {
        own_chore(&mut sweep, chore, name).map_err(|error| format!("{name}: {error}"))?;
    }
    check!(sweep.told.len() >= ENOUGH, "only {} places", sweep.told.len());
    sweep.finish("own work")
}

fn own_chore(sweep: &mut Sweep, chore: u64, name: &str) -> Outcome {
    let child = hand()?;
    child.subos.send(WORK, chore, LIST, 0, 0).map_err(said("send"))?;
    let (mut places, elsewhere) = (Vec::new(), name.ends_with("elsewhere"));
    let count = loop {
        match child.wait_for_any()? {
            // A place where a core works for another is one of its own.
            [PLACE, at, place, ..] => places.push((at, place | u64::from(elsewhere) << 32)),
            [DONE, count, well, ..] => {
                check!(well == 1, "it does not work: {}", console(&child)?);
                break count;
            }
            _ => {}
        }
    };
    check!(count > 0, "it comes past no mark");
    sweep.end(child)?;
    let chosen = sweep.chosen(count, &places);
    println!("{name}: {count} passages, {} places, {} to fail", places.len(), chosen.len());
    for nth in chosen {
        let (child, manner) = (hand()?, sweep.manner());
        let what = FAIL | (manner as u64) << 8;
        child.subos.send(WORK, chore, what, nth, 0).map_err(said("send"))?;
        let failed = if manner == Manner::Hold { await_silence(&child)? } else { await_failure(&child)? };
        if let Some(printed) = failed {
            sweep
                .account(child, manner, &printed)
                .map_err(|error| format!("passage {nth} {manner:?}: {error}"))?;
        } else {
            // What interrupts come when is not the same each time: it did not come so far.
            sweep.end(child)?;
        }
    }
    Ok(())
}

/// A subOS that works on cores 2 and 3.
fn hand() -> Result<Child, String> {
    let child = Child::new("places/worker", 4)?;
    child.start(&[2, 3])?;
    Ok(child)
}

/// Waits until its kernel fails; what it has printed until then. Nothing, if the work came to its end.
fn await_failure(child: &Child) -> Result<Option<String>, String> {
    loop {
        let words = child.wait_for_any()?;
        match Event::from_words(&words) {
            Ok(Event::Condemned { core }) => {
                check!(core.0 == 2 || core.0 == 3, "{core:?} failed, which it does not have");
                return Ok(Some(String::new()));
            }
            Err(_) if words[0] == DONE => return Ok(None),
            _ => {}
        }
    }
}

/// The same of a kernel that stays where it is: only who wants something of it notices.
fn await_silence(child: &Child) -> Result<Option<String>, String> {
    let mut printed = String::new();
    while !printed.contains("@place") {
        if let Ok([DONE, ..]) = child.subos.receive() {
            return Ok(None);
        }
        printed.push_str(&console(child)?);
    }
    let asked = child.subos.statistics(CoreNumber(2), StatisticsQuestion::Calls).map(|_| ());
    for core in [2, 3] {
        if child.subos.info().map_err(said("info"))?.state != SubOsState::Condemned {
            let _ = complete(|| child.subos.reclaim_core(CoreNumber(core), Ticks(0)));
        }
    }
    check!(asked == Ok(()) || asked == Err(Error::Condemned), "statistics: {asked:?}");
    Ok(Some(printed))
}

/// A piece of the supervisor's work on a subOS. What it needs is done before `begin`.
type Job = fn(&Child, &Child, &mut dyn FnMut()) -> Result<(), Error>;

/// All of them, on a subOS that runs on core 2 and may have core 3.
const JOBS: &[(&str, Job)] = &[
    ("grant a core", |child, _, begin| {
        begin();
        child.subos.grant_core(CoreNumber(3))
    }),
    ("take a core", |child, _, begin| {
        child.subos.grant_core(CoreNumber(3))?;
        begin();
        complete(|| child.subos.reclaim_core(CoreNumber(3), Ticks(0)))
    }),
    ("grant a lot", |child, _, begin| {
        begin();
        child.subos.grant_lot(Chunks(1)).map(|_| ())
    }),
    ("take a lot", |child, _, begin| {
        let lot = child.subos.grant_lot(Chunks(1))?;
        let _ = child.wait_for(crate::wards::LOT);
        begin();
        complete(|| child.subos.reclaim_lot(lot))
    }),
    ("grant several", |child, _, begin| {
        begin();
        child.subos.grant(1 << 3, Chunks(1), Chunks(2), Chunks(0)).map(|_| ())
    }),
    ("audit", |child, _, begin| {
        begin();
        child.subos.statistics(CoreNumber(2), StatisticsQuestion::Calls)?;
        environment().machine().audit().map(|_| ())
    }),
    ("open a window", |child, neighbour, begin| {
        begin();
        let lots = child.subos.share(neighbour.subos.handle(), Chunks(1))?;
        complete(|| child.subos.reclaim_lot(lots.lot))?;
        complete(|| neighbour.subos.reclaim_lot(lots.peer))
    }),
    ("open a window from there", |child, neighbour, begin| {
        begin();
        let lots = neighbour.subos.share(child.subos.handle(), Chunks(1))?;
        complete(|| neighbour.subos.reclaim_lot(lots.lot))?;
        complete(|| child.subos.reclaim_lot(lots.peer))
    }),
];

fn visits(extent: Extent) -> Outcome {
    let mut sweep = Sweep::new(extent)?;
    for (name, job) in JOBS {
        let make = || {
            let child = Child::new("suboses/settle", 4)?;
            child.start(&[2])?;
            Ok(child)
        };
        visit(&mut sweep, name, make, *job).map_err(|error| format!("{name}: {error}"))?;
    }
    let attach: Job = |child, _, begin| {
        begin();
        let modules = environment().modules().handle();
        complete(|| child.subos.attach(modules, idl::types::PageIndex(0), idl::types::Pages(2)))?;
        child.load("suboses/talk").map_err(|_| Error::Condemned)?;
        child.subos.start()
    };
    visit(&mut sweep, "load", || Child::empty(4), attach).map_err(|error| format!("load: {error}"))?;
    let start: Job = |child, _, begin| {
        begin();
        child.subos.grant_core(CoreNumber(2))?;
        child.subos.start()
    };
    let loaded = || Child::new("suboses/talk", 4);
    visit(&mut sweep, "start", loaded, start).map_err(|error| format!("start: {error}"))?;
    check!(sweep.told.len() >= 40, "only {} places", sweep.told.len());
    sweep.finish("visits")
}

/// Has a job fail on visits of subOSes that are made so.
fn visit(sweep: &mut Sweep, name: &str, make: impl Fn() -> Result<Child, String>, job: Job) -> Outcome {
    const HERE: u64 = 255;
    let scope = NUMBER + 1;
    let child = make()?;
    let listing = &mut || _ = arrange(HERE, LIST, scope, 0);
    job(&child, &sweep.neighbour, listing).map_err(said("unhindered"))?;
    let count = arrange(HERE, NOTHING, 0, 0).map_err(said("hook"))?;
    let places = listed(HERE).map_err(said("hook"))?;
    check!(count > 0, "it comes past no mark");
    sweep.end(child)?;
    // What is half done by the supervisor differs from job to job.
    sweep.seen.clear();
    let chosen = sweep.chosen(count, &places);
    println!("{name}: {count} passages, {} places, {} to fail", places.len(), chosen.len());
    sweep.windows = name.contains("window");
    for nth in chosen {
        let (child, manner) = (make()?, sweep.manner());
        let failing = &mut || _ = arrange(HERE, FAIL | (manner as u64) << 8, scope, nth);
        let result = job(&child, &sweep.neighbour, failing);
        let passed = arrange(HERE, NOTHING, 0, 0).map_err(said("hook"))?;
        let at = |error| format!("passage {nth} {manner:?}, which came to {result:?}: {error}");
        if manner == Manner::Hold {
            // The visitor goes on, and nobody is harmed.
            check_eq!(result, Ok(()), "{}", at("it held the lock"));
            sweep.failures += 1;
            sweep.end(child).map_err(at_owned(nth))?;
        } else if passed >= nth {
            check_eq!(result, Err(Error::Condemned), "{}", at(""));
            sweep.account(child, manner, "").map_err(at_owned(nth))?;
        } else {
            sweep.end(child).map_err(at_owned(nth))?;
        }
    }
    Ok(())
}

fn at_owned(nth: u64) -> impl Fn(String) -> String {
    move |error| format!("passage {nth}: {error}")
}

/// What the console says of the place, if the epitaph says the same: how it failed, and on which line.
fn matches(console: &str, manner: Manner, epitaph: &str) -> Result<String, String> {
    let (_, rest) = console.split_once("@place ").ok_or("no place was told")?;
    let (how, place) = rest.lines().next().and_then(|line| line.split_once(' ')).ok_or("half a place")?;
    check_eq!(how, format!("{manner:?}"));
    let line: u64 = place.rsplit(':').next().and_then(|line| line.parse().ok()).ok_or("no line")?;
    let address = format!("address {:#x}", NOWHERE + 8 * line);
    let says = match manner {
        Manner::Panic => vec![format!("a marked place was passed: {place}")],
        Manner::Stray => vec!["page fault (vector 14) in kernel mode".to_string(), address],
        Manner::DoubleFault => vec!["double fault (vector 8) in kernel mode".to_string(), address],
        Manner::Hold => Vec::new(),
    };
    for says in says {
        check!(epitaph.contains(&says), "the epitaph does not say {says:?}");
    }
    if manner == Manner::Hold {
        let reasons = ["its lock was not to be had in time", "a core did not answer the interrupt"];
        check!(reasons.iter().any(|reason| epitaph.contains(reason)), "the epitaph names no reason");
    }
    Ok(place.to_string())
}

/// What its kernel said when it died.
fn epitaph(child: &Child) -> Result<String, String> {
    let Length(length) = child.subos.epitaph().map_err(said("epitaph"))?;
    let mut text = vec![0; length as usize];
    page::get_bytes(&mut text).map_err(said("get_bytes"))?;
    String::from_utf8(text).map_err(|error| format!("the epitaph: {error}"))
}

/// What it has printed since the last time, until nothing more comes.
fn console(child: &Child) -> Result<String, String> {
    crate::subos::console(child.subos)
}
