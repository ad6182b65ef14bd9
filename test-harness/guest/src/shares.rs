//! Windows between two subOSes: opened, used, taken, lost with a peer that dies, and everything back where it was.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use idl::event::Event;
use idl::kernel::machine::LedgerEntry;
use idl::kernel::subos::SharedLots;
use idl::types::{Bits, Chunks, CoreNumber, LedgerState, LotNumber, MachineQuestion, Progress};
use userlib::cap::Region;
use userlib::{Error, Handle, Rights, check, check_eq, environment, memory, println, slots, time};

use crate::steward::{Child, audit, compare, ledger};
use crate::suboses::Random;
use crate::tenants::{ALONE, DONE, LOST, OPEN, READABLE, order};
use crate::{Outcome, PATIENCE, plants, said, subos, walls};

/// Two subOSes with a window between them.
pub(crate) struct Neighbours {
    pub(crate) one: Child,
    pub(crate) other: Child,
    pub(crate) lots: SharedLots,
}

impl Neighbours {
    /// Two that run on cores 1 and 2, with a window of so many chunks.
    pub(crate) fn new(chunks: u32) -> Result<Self, String> {
        let (one, other) = (tenant(1)?, tenant(2)?);
        let lots = open(&one, &other, chunks)?;
        Ok(Self { one, other, lots })
    }

    /// The same the other way round.
    fn turned(self) -> Self {
        let SharedLots { lot, peer } = self.lots;
        Self { one: self.other, other: self.one, lots: SharedLots { lot: peer, peer: lot } }
    }
}

/// A subOS that obeys, on a core.
fn tenant(core: u32) -> Result<Child, String> {
    let child = Child::new("tenants/tenant", 4)?;
    child.start(&[core])?;
    Ok(child)
}

/// Opens a window, and sees both sides find it empty.
fn open(one: &Child, other: &Child, chunks: u32) -> Result<SharedLots, String> {
    let lots = one.subos.share(other.subos.handle(), Chunks(chunks)).map_err(said("share"))?;
    for (child, lot) in [(one, lots.lot), (other, lots.peer)] {
        let [_, told, pages, used, peer] = child.wait_for(OPEN)?;
        check_eq!((told, pages, used), (u64::from(lot.0), u64::from(chunks) * 512 - 1, 0));
        check!(peer != 0, "the peer is the supervisor");
    }
    Ok(lots)
}

/// Has an order carried out; what came of it.
pub(crate) fn obey(child: &Child, what: u64, a: u64, b: u64) -> Result<u64, String> {
    child.subos.send(what, a, b, 0, 0).map_err(said("send"))?;
    let [_, done, result, ..] = child.wait_for(DONE)?;
    check_eq!(done, what);
    Ok(result)
}

/// What one writes the other reads, and what one rings the other hears.
fn talk(one: &Child, other: &Child, word: u64, value: u64) -> Outcome {
    check_eq!(obey(one, order::WRITE, word, value)?, 0);
    check_eq!(obey(one, order::RING, 1, 0)?, 0);
    check_eq!(obey(other, order::HEAR, 0, 0)?, 2);
    check_eq!(obey(other, order::READ, word, 0)?, value);
    Ok(())
}

/// How many chunks differ between two views of the ledger.
fn changed(before: &[LedgerEntry]) -> Result<usize, String> {
    Ok(before.iter().zip(&ledger()?).filter(|(before, after)| before != after).count())
}

/// A window is opened, used both ways, taken from one side and then from the other, and its memory comes back clean.
pub(crate) fn a_window_opens_and_closes() -> Outcome {
    let before = ledger()?;
    let Neighbours { one, other, lots } = Neighbours::new(2)?;
    audit()?;
    let last = 2 * 512 * 512 - 513;
    for (word, value) in [(0, 5), (1, u64::MAX), (last, 7)] {
        talk(&one, &other, word, value)?;
        talk(&other, &one, word, value ^ 0xff)?;
    }
    audit()?;
    one.take_lot(lots.lot)?;
    check_eq!(one.wait_for(LOST)?[1], u64::from(lots.lot.0));
    check_eq!(other.wait_for(ALONE)?[1], u64::from(lots.peer.0));
    audit()?;
    // What is there stays there, and ringing harms nobody.
    check_eq!(obey(&other, order::READ, last, 0)?, 7 ^ 0xff);
    check_eq!(obey(&other, order::WRITE, last, 8)?, 0);
    check_eq!(obey(&other, order::READ, last, 0)?, 8);
    check_eq!(obey(&other, order::RING, 100, 0)?, 0);
    check_eq!(one.subos.reclaim_lot(lots.lot), Err(Error::NotOwner));
    let with_window = ledger()?;
    other.take_lot(lots.peer)?;
    check_eq!(other.wait_for(LOST)?[1], u64::from(lots.peer.0));
    check_eq!(changed(&with_window)?, 2);
    audit()?;
    // The next window finds nothing of it.
    let lots = open(&other, &one, 2)?;
    talk(&other, &one, last, 1)?;
    other.take_lot(lots.lot)?;
    one.take_lot(lots.peer)?;
    one.destroy()?;
    other.destroy()?;
    audit()?;
    compare(&before)
}

/// A peer that dies while both ring and write leaves the other with its memory, and with nothing to wait for.
pub(crate) fn a_peer_dies_in_the_middle() -> Outcome {
    let before = ledger()?;
    for round in 0..4 {
        let neighbours = Neighbours::new(1)?;
        let Neighbours { one, other, lots } = if round % 2 == 0 { neighbours } else { neighbours.turned() };
        talk(&one, &other, 3, 99)?;
        for child in [&one, &other] {
            check_eq!(obey(child, if round < 2 { order::FLOOD } else { order::CLING }, 0, 0)?, 0);
        }
        let (_, survivors) = (lots.lot, lots.peer);
        one.destroy()?;
        check_eq!(other.wait_for(ALONE)?[1], u64::from(survivors.0));
        audit()?;
        check_eq!(obey(&other, order::READ, 3, 0)?, 99);
        check_eq!(obey(&other, order::WRITE, 3, 100)?, 0);
        if round % 2 == 0 {
            other.take_lot(survivors)?;
            audit()?;
        }
        other.destroy()?;
        compare(&before)?;
    }
    audit()
}

/// Both end, one right after the other, or at a time, with the window half taken from one of them.
pub(crate) fn both_die() -> Outcome {
    let before = ledger()?;
    for round in 0..3 {
        let Neighbours { one, other, lots } = Neighbours::new(3)?;
        check_eq!(obey(&one, order::CLING, 0, 0)?, 0);
        check_eq!(obey(&other, order::CLING, 0, 0)?, 0);
        if round > 0 {
            // One step of taking it, and no more.
            let _ = one.subos.reclaim_lot(lots.lot).map_err(said("reclaim_lot"))?;
        }
        if round > 1 {
            let _ = other.subos.reclaim_lot(lots.peer).map_err(said("reclaim_lot"))?;
            let (mut one_goes, mut other_goes) = (true, true);
            while one_goes || other_goes {
                one_goes = one_goes && one.subos.destroy().map_err(said("destroy"))? == Progress::More;
                other_goes = other_goes && other.subos.destroy().map_err(said("destroy"))? == Progress::More;
            }
            for child in [one, other] {
                slots::release(child.subos.handle().index());
                slots::delete(child.bell.handle()).map_err(said("delete"))?;
            }
        } else {
            one.destroy()?;
            audit()?;
            other.destroy()?;
        }
        compare(&before)?;
        audit()?;
    }
    Ok(())
}

/// Whoever made copies, bindings and mappings of a window, and has threads that use it, loses all of that with it.
pub(crate) fn what_is_taken_is_gone() -> Outcome {
    let before = ledger()?;
    let Neighbours { one, other, lots } = Neighbours::new(1)?;
    check_eq!(obey(&one, order::CLING, 0, 0)?, 0);
    let end = time::after(PATIENCE).0;
    for word in 8..12 {
        while obey(&other, order::READ, word, 0)? == 0 {
            check!(time::now().0 < end, "thread {word} does not write");
        }
    }
    check_eq!(obey(&other, order::WRITE, 0, 4711)?, 0);
    one.take_lot(lots.lot)?;
    one.wait_for(LOST)?;
    one.subos.send(order::HAUNT, 0, 0, 0, 0).map_err(said("send"))?;
    // The thread that reads the first word now faults; those that wrote all the time did so elsewhere in the page.
    let (mut answered, mut faulted) = (false, false);
    while !(answered && faulted) {
        let words = one.wait_for_any()?;
        check!(words[0] != READABLE, "a window that was taken can still be read: {:#x}", words[1]);
        if words[0] == DONE {
            check_eq!(words[..3], [DONE, order::HAUNT, 0]);
            answered = true;
        }
        let event = Event::from_words(&words);
        faulted |= matches!(event, Ok(Event::Unhandled { kind: 14, address, .. }) if address % 4096 == 0);
    }
    // What it wrote last stays; nobody writes any more.
    let [first, second] = [obey(&other, order::READ, 8, 0)?, obey(&other, order::READ, 8, 0)?];
    check!(first > 0 && first == second, "the window changed from {first} to {second}");
    check_eq!(obey(&other, order::READ, 0, 0)?, 4711);
    audit()?;
    one.destroy()?;
    other.destroy()?;
    compare(&before)
}

/// No object is made of a window, no message page, nothing executable, and its root is not its holder's to delete.
pub(crate) fn nothing_is_made_of_a_window() -> Outcome {
    let before = ledger()?;
    let Neighbours { one, other, .. } = Neighbours::new(1)?;
    check_eq!(obey(&one, order::ABUSE, 0, 0)?, 0);
    check_eq!(obey(&other, order::ABUSE, 0, 0)?, 0);
    // What it was refused with goes on to the harness, which knows what each method declares.
    let mut printed = String::new();
    loop {
        match subos::console(one.subos)? {
            more if more.is_empty() => break,
            more => printed.push_str(&more),
        }
    }
    check!(printed.contains("method=Region.listen error=AlreadyBound"), "it printed {printed:?}");
    printed.lines().filter(|line| line.starts_with("@pair ")).for_each(|line| println!("{line}"));
    talk(&one, &other, 9, 9)?;
    audit()?;
    one.destroy()?;
    other.destroy()?;
    compare(&before)
}

/// What cannot be shared is refused, and changes nothing.
pub(crate) fn wrong_windows_are_refused() -> Outcome {
    let before = ledger()?;
    let (one, other, third) = (tenant(1)?, tenant(2)?, Child::new("suboses/talk", 4)?);
    let after = ledger()?;
    let (subos, peer) = (one.subos, other.subos.handle());
    check_eq!(subos.share(peer, Chunks(0)).err(), Some(Error::BadSize));
    check_eq!(subos.share(peer, Chunks(1 << 20)).err(), Some(Error::NoResource));
    check_eq!(subos.share(subos.handle(), Chunks(1)).err(), Some(Error::InvalidArgument));
    check_eq!(subos.share(one.bell.handle(), Chunks(1)).err(), Some(Error::WrongKind));
    let weak = memory::copy(other.subos, Rights::all() & !Rights::MANAGE).map_err(said("copy"))?;
    check_eq!(subos.share(weak.handle(), Chunks(1)).err(), Some(Error::MissingRight));
    slots::delete(weak.handle()).map_err(said("delete"))?;
    check_eq!(compare(&after), Ok(()));
    // A full table of roots, at either side.
    let mut lots = 0;
    while third.subos.grant_lot(Chunks(1)).is_ok() {
        lots += 1;
    }
    check_eq!(lots, 31);
    let full = ledger()?;
    check_eq!(subos.share(third.subos.handle(), Chunks(1)).err(), Some(Error::NoResource));
    check_eq!(third.subos.share(peer, Chunks(1)).err(), Some(Error::NoResource));
    check_eq!(compare(&full), Ok(()));
    audit()?;
    third.take_lot(LotNumber(5))?;
    let lots = subos.share(third.subos.handle(), Chunks(1)).map_err(said("share"))?;
    check_eq!(lots, SharedLots { lot: LotNumber(1), peer: LotNumber(5) });
    audit()?;
    // A region that is no window.
    let region = memory::create::<Region>(1).map_err(said("region"))?;
    check_eq!(region.ring().err(), Some(Error::WrongState));
    check_eq!(region.listen(Handle::NONE, Bits(0)).err(), Some(Error::WrongState));
    slots::delete(region.handle()).map_err(said("delete"))?;
    for child in [one, other, third] {
        child.destroy()?;
    }
    compare(&before)
}

/// A doorbell follows its receiver from core to core, and what was rung while it had none is heard when it has one.
pub(crate) fn doorbells_follow_their_cores() -> Outcome {
    let before = ledger()?;
    let Neighbours { one, other, .. } = Neighbours::new(1)?;
    for round in 0..6 {
        let (from, to) = if round % 2 == 0 { (2, 3) } else { (3, 2) };
        talk(&one, &other, 0, round)?;
        other.take_core(from)?;
        if round % 3 == 0 {
            check_eq!(obey(&one, order::RING, 50, 0)?, 0);
        }
        other.subos.grant_core(CoreNumber(to)).map_err(said("grant_core"))?;
        if round % 3 != 0 {
            check_eq!(obey(&one, order::RING, 50, 0)?, 0);
        }
        check_eq!(obey(&other, order::HEAR, 0, 0)?, 2);
        audit()?;
    }
    // One that floods its neighbour does not keep it from working, nor from being moved.
    check_eq!(obey(&one, order::FLOOD, 0, 0)?, 0);
    for round in 0..4 {
        let (from, to) = if round % 2 == 0 { (2, 3) } else { (3, 2) };
        check_eq!(obey(&other, order::HEAR, 0, 0)?, 2);
        check_eq!(obey(&other, order::WRITE, 5, round)?, 0);
        check_eq!(obey(&one, order::READ, 5, 0)?, round);
        other.take_core(from)?;
        other.subos.grant_core(CoreNumber(to)).map_err(said("grant_core"))?;
    }
    one.destroy()?;
    other.destroy()?;
    audit()?;
    compare(&before)
}

/// The address of a window's memory, by the ledger's word.
pub(crate) fn address(lots: SharedLots) -> Result<u64, String> {
    let inside = |entry: &LedgerEntry| entry.state == LedgerState::Owned && entry.lot == lots.lot;
    let entries = ledger()?;
    let cores = environment().machine().info(MachineQuestion::Totals).map_err(said("info"))?[0];
    let chunks = entries.get(usize::try_from(cores).unwrap_or(0)..).unwrap_or_default();
    let found = chunks.iter().position(|entry| inside(entry) && entry.owner.0 != 0);
    let index = found.ok_or_else(|| format!("no chunk of {lots:?} in the ledger"))?;
    Ok(index as u64 * idl::abi::CHUNK_SIZE)
}

/// The kernel of a third subOS that reads or writes a window dies of it, and the audit finds a page of a window that
/// somebody else has mapped; the two go on.
pub(crate) fn a_window_is_out_of_reach_of_others() -> Outcome {
    const READ_MEMORY: u64 = 1;
    const WRITE_MEMORY: u64 = 2;
    let before = ledger()?;
    let Neighbours { one, other, lots } = Neighbours::new(1)?;
    let window = address(lots)?;
    for (hook, argument) in [(READ_MEMORY, window), (WRITE_MEMORY, window), (READ_MEMORY, window + 8192)] {
        let third = tenant(3)?;
        third.subos.send(order::HOOK, hook, argument, 0, 0).map_err(said("send"))?;
        let event = Event::from_words(&third.wait_for_any()?);
        check!(matches!(event, Ok(Event::Condemned { .. })), "a third reached the window: {event:?}");
        third.destroy()?;
        talk(&one, &other, 4, argument)?;
    }
    let third = tenant(3)?;
    let flip = |bits: u64| {
        let words = [order::HOOK, plants::FLIP_OWN, plants::READ_ONLY | 1, bits, 0];
        third.subos.send(words[0], words[1], words[2], words[3], words[4]).map_err(said("send"))?;
        third.wait_for(DONE).map(|words| words[2])
    };
    let elsewhere = (flip(0)? ^ (window + 4096)) & 0x000f_ffff_ffff_f000;
    flip(elsewhere)?;
    let report = environment().machine().audit().map_err(said("audit"))?;
    let found = (report.violations, report.first, report.place);
    check_eq!(found, (1, plants::violation::USER_PAGE, plants::READ_ONLY));
    flip(elsewhere)?;
    for child in [third, one, other] {
        audit()?;
        child.destroy()?;
    }
    compare(&before)
}

/// A core that never answers may write into a window for ever: the other side keeps it as long as it likes, and then nobody
/// gets its memory again.
pub(crate) fn a_window_of_a_silent_core_is_given_up() -> Outcome {
    let quarantined = || -> Result<usize, String> {
        let entries = ledger()?;
        Ok(entries.iter().filter(|entry| entry.state == LedgerState::Quarantined).count())
    };
    let Neighbours { one, other, lots } = Neighbours::new(2)?;
    talk(&one, &other, 1, 1)?;
    walls::deafen(1)?;
    one.destroy()?;
    check_eq!(other.wait_for(ALONE)?[1], u64::from(lots.peer.0));
    // The core and the home lot; of the window the other side is still there.
    check_eq!(quarantined()?, 1 + 4);
    check_eq!(obey(&other, order::WRITE, 1, 2)?, 0);
    check_eq!(obey(&other, order::READ, 1, 0)?, 2);
    audit()?;
    other.take_lot(lots.peer)?;
    other.wait_for(LOST)?;
    check_eq!(quarantined()?, 1 + 4 + 2);
    audit()?;
    // The next window is elsewhere, and as good as any.
    let third = tenant(3)?;
    open(&other, &third, 2)?;
    talk(&other, &third, 1, 3)?;
    other.destroy()?;
    third.destroy()?;
    check_eq!(quarantined()?, 1 + 4 + 2);
    audit()
}

/// SubOSes and the sides of windows that they have.
#[derive(Default)]
struct Estate {
    children: Vec<(Child, Vec<LotNumber>)>,
}

impl Estate {
    fn step(&mut self, random: &mut Random) -> Outcome {
        let count = self.children.len();
        let (which, peer) = (random.index(count), random.index(count));
        match random.below(12) {
            0 | 1 if count < 4 => {
                let child = Child::new("tenants/tenant", 4)?;
                child.subos.start().map_err(said("start"))?;
                self.children.push((child, Vec::new()));
            }
            _ if count == 0 => {}
            2 => self.children.swap_remove(which).0.destroy()?,
            3..=5 => self.open(which, peer, 1 + random.below(3))?,
            6 | 7 => {
                let (child, lots) = &mut self.children[which];
                if !lots.is_empty() {
                    child.take_lot(lots.swap_remove(random.index(lots.len())))?;
                }
            }
            8 => {
                let core = CoreNumber(1 + random.below(3));
                match self.children[which].0.subos.grant_core(core) {
                    Ok(()) | Err(Error::NoResource) => {}
                    Err(error) => return Err(format!("grant_core: {error}")),
                }
            }
            9 => match self.children[which].0.take_core(1 + random.below(3)) {
                Err(error) if error != "reclaim_core: NotOwner" => return Err(error),
                _ => {}
            },
            _ => {
                let what = [order::CLING, order::FLOOD, order::WRITE, order::RING, order::HAUNT];
                let what = what[random.index(what.len())];
                // A ring that nobody empties, because it has no core, fills.
                let _ = self.children[which].0.subos.send(what, 1, 1, 0, 0);
                time::sleep(Duration::from_millis(u64::from(random.below(3))));
            }
        }
        for (child, _) in &self.children {
            while child.subos.receive().is_ok() {}
        }
        Ok(())
    }

    fn open(&mut self, which: usize, peer: usize, chunks: u32) -> Outcome {
        let other = self.children[peer].0.subos.handle();
        match self.children[which].0.subos.share(other, Chunks(chunks)) {
            Ok(SharedLots { lot, peer: theirs }) => {
                self.children[which].1.push(lot);
                self.children[peer].1.push(theirs);
                check!(which != peer, "a window onto itself");
            }
            Err(Error::InvalidArgument) => check!(which == peer, "two are taken for one"),
            Err(Error::NoResource) => {}
            Err(error) => return Err(format!("share: {error}")),
        }
        Ok(())
    }
}

/// Windows opened, used, taken and lost with one or both sides, in any order, from a seed: the ledger adds up, the audit
/// finds nothing, and all comes back.
pub(crate) fn anything_in_any_order() -> Outcome {
    let before = ledger()?;
    let seed = crate::seed();
    let (mut random, mut estate) = (Random(seed), Estate::default());
    for step in 0..200 {
        let done = estate.step(&mut random).and_then(|()| if step % 10 == 9 { audit() } else { Ok(()) });
        done.map_err(|error| format!("step {step}: {error}"))?;
    }
    for (child, _) in estate.children {
        child.destroy()?;
    }
    audit()?;
    compare(&before)
}
