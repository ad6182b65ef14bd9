//! Memory is cleared before anybody else can read it, whether that is done when it is taken or when it is given again.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use idl::event::Event;
use idl::types::{Bits, Chunks, LedgerState, LotNumber, Priority, Scrubbing, SubOsNumber};
use userlib::cap::{Notification, Region, Untyped};
use userlib::memory::{self, Mapping};
use userlib::thread::Builder;
use userlib::{Cap, Error, Rights, check, check_eq, environment, time};

use crate::steward::{Child, audit, compare, ledger};
use crate::wards::{HELLO, LOT};
use crate::{Outcome, said};

pub(crate) const CHILDREN: &[(&str, fn())] = &[("scrubs/look", look)];

/// What a child found in a window.
const WINDOW: u64 = 7;
/// It is to write all over its window, and has.
const SCRIBBLE: u64 = 8;
/// What it leaves everywhere.
const MARK: u8 = 0xc3;
/// Pages of its home lot that it leaves to itself.
const OWN: u64 = 512;
const PAGE: usize = 4096;

/// Says hello. Looks through the rest of its home lot, every lot and every window, says how many pages are not zero, and
/// leaves its mark on all of them; on a window when it is told to.
fn look() {
    // Whatever it needs later it has before it uses up its memory.
    drop(core::hint::black_box(vec![1_u8; 1 << 18]));
    let uplink = environment().uplink();
    let bell: Cap<Notification> = memory::create(0).expect("a notification");
    uplink.bind(bell.handle(), Bits(1)).expect("bind");
    let _ = uplink.send(HELLO, 0, 0, 0, 0);
    let report = |lot: u64, found: Result<(u64, u64), Error>| {
        let (pages, used) = found.unwrap_or((0, u64::MAX));
        let _ = uplink.send(LOT, lot, pages, used, 0);
    };
    report(0, scan_untyped(environment().untyped(), OWN));
    let mut window = None;
    loop {
        while let Ok(words) = uplink.receive() {
            match Event::from_words(&words) {
                Ok(Event::LotGranted { lot, .. }) if lot.0 != 0 => {
                    report(u64::from(lot.0), environment().lot(lot.0).and_then(|lot| scan_untyped(lot, 0)));
                }
                Ok(Event::WindowOpened { lot, .. }) => {
                    window = environment().window(lot.0).and_then(map).ok();
                    let used = window.as_ref().map_or(u64::MAX, |window| count(window).1);
                    let _ = uplink.send(WINDOW, u64::from(lot.0), used, 0, 0);
                }
                Err(_) if words[0] == SCRIBBLE => {
                    window.iter().for_each(scribble);
                    let _ = uplink.send(SCRIBBLE, 0, 0, 0, 0);
                }
                _ => {}
            }
        }
        let _ = bell.wait(time::after(crate::PATIENCE));
    }
}

fn map(region: Cap<Region>) -> Result<Mapping, Error> {
    Mapping::of(region, Rights::READ | Rights::WRITE)
}

/// Looks through what is left of some memory but for so many pages, and leaves its mark there.
fn scan_untyped(untyped: Cap<Untyped>, but: u64) -> Result<(u64, u64), Error> {
    let info = untyped.info()?;
    let pages = ((info.size - info.used) / PAGE as u64).saturating_sub(but);
    let mapping = map(memory::create_from(untyped, pages)?)?;
    let found = count(&mapping);
    scribble(&mapping);
    Ok(found)
}

/// How many pages there are, and how many are not zero.
fn count(mapping: &Mapping) -> (u64, u64) {
    let mut page = vec![0; PAGE];
    let mut used = 0;
    for index in 0..mapping.pages().0 as usize {
        mapping.read(index * PAGE, &mut page);
        used += u64::from(page.iter().any(|byte| *byte != 0));
    }
    (u64::from(mapping.pages().0), used)
}

fn scribble(mapping: &Mapping) {
    for index in 0..mapping.pages().0 as usize {
        mapping.write(index * PAGE, &[MARK; PAGE]);
    }
}

impl Child {
    /// A child that looks, with a home lot of so many chunks, whose memory is cleared so.
    fn looks(home: u32, when: Scrubbing, core: u32) -> Result<Self, alloc::string::String> {
        let child = Self::new("scrubs/look", home)?;
        child.subos.set_scrubbing(when).map_err(said("set_scrubbing"))?;
        child.start(&[core])?;
        child.finds_zeros(LotNumber(0))?;
        Ok(child)
    }

    /// What it says next of this lot is that it holds nothing.
    fn finds_zeros(&self, lot: LotNumber) -> Outcome {
        let [_, number, pages, used, _] = self.wait_for(LOT)?;
        check_eq!(number, u64::from(lot.0));
        check!(pages > 0 && used == 0, "lot {}: of {pages} pages, {used} hold what somebody left", lot.0);
        Ok(())
    }

    /// It gets a lot, in which there is nothing.
    fn gets_zeros(&self, chunks: u32) -> Result<LotNumber, alloc::string::String> {
        let lot = self.subos.grant_lot(Chunks(chunks)).map_err(said("grant_lot"))?;
        self.finds_zeros(lot)?;
        Ok(lot)
    }

    /// Which entries of the ledger are its memory.
    fn chunks(&self) -> Result<BTreeSet<usize>, alloc::string::String> {
        let number: SubOsNumber = self.subos.info().map_err(said("info"))?.number;
        let cores =
            environment().machine().info(idl::types::MachineQuestion::Totals).map_err(said("info"))?[0];
        let all = ledger()?.into_iter().enumerate().skip(usize::try_from(cores).unwrap_or(0));
        let its = all.filter(|(_, entry)| entry.state == LedgerState::Owned && entry.owner == number);
        Ok(its.map(|(index, _)| index).collect())
    }
}

/// Each kind of memory, of one whose memory is cleared early or late, goes to each kind of use: nobody finds anything in it.
pub(crate) fn nobody_reads_anothers_bytes() -> Outcome {
    let before = ledger()?;
    for when in Scrubbing::ALL {
        goes_round(*when).map_err(|error| format!("{}: {error}", when.name()))?;
        compare(&before)?;
    }
    // Of one that changes its mind in between, too.
    let child = Child::looks(6, Scrubbing::AtGrant, 1)?;
    for when in [Scrubbing::AtOnce, Scrubbing::AtGrant, Scrubbing::AtOnce] {
        let lot = child.gets_zeros(4)?;
        check_eq!(child.subos.reclaim_lot(lot).is_ok(), true);
        child.subos.set_scrubbing(when).map_err(said("set_scrubbing"))?;
        // It may be gone already.
        if child.take_lot(lot).is_err() {
            check_eq!(child.subos.reclaim_lot(lot), Err(Error::NotOwner));
        }
    }
    child.destroy()?;
    audit()?;
    compare(&before)
}

fn goes_round(when: Scrubbing) -> Outcome {
    let one = Child::looks(6, when, 1)?;
    let lot = one.gets_zeros(5)?;
    let had = one.chunks()?;
    one.take_lot(lot)?;
    // A lot becomes a home lot.
    let other = Child::looks(5, when, 2)?;
    check!(other.chunks()?.is_subset(&had), "the home lot lies elsewhere");
    // The same chunks again and again: what was cleared once is not clear for ever.
    for chunks in [3, 1, 1] {
        for child in [&one, &other] {
            let lot = child.gets_zeros(chunks)?;
            child.take_lot(lot)?;
        }
    }
    audit()?;
    // A lot becomes a window, and a window a lot.
    for sides in [[&one, &other], [&other, &one]] {
        let window = sides[0].subos.share(sides[1].subos.handle(), Chunks(3)).map_err(said("share"))?;
        for (side, lot) in sides.into_iter().zip([window.lot, window.peer]) {
            check_eq!(side.wait_for(WINDOW)?, [WINDOW, u64::from(lot.0), 0, 0, 0]);
        }
        sides[0].subos.send(SCRIBBLE, 0, 0, 0, 0).map_err(said("send"))?;
        sides[0].wait_for(SCRIBBLE)?;
        sides[0].take_lot(window.lot)?;
        sides[1].take_lot(window.peer)?;
        let lot = sides[1].gets_zeros(3)?;
        sides[1].take_lot(lot)?;
    }
    // All that both had becomes a home lot.
    let all: BTreeSet<usize> = one.chunks()?.union(&other.chunks()?).copied().collect();
    one.destroy()?;
    other.destroy()?;
    let heir = Child::looks(14, when, 1)?;
    check!(heir.chunks()?.is_superset(&all), "the heir's home lot lies elsewhere");
    heir.destroy()
}

/// Clearing at a grant is interrupted all the time, and comes to its end.
pub(crate) fn clearing_at_a_grant_is_interrupted() -> Outcome {
    static TICKS: AtomicU64 = AtomicU64::new(0);
    let before = ledger()?;
    let child = Child::looks(6, Scrubbing::AtGrant, 1)?;
    let lot = child.gets_zeros(8)?;
    let never: Cap<Notification> = memory::create(0).map_err(said("a notification"))?;
    let tick = move || {
        while TICKS.fetch_add(1, Ordering::Relaxed) < 1 << 40 {
            let _ = never.wait(time::after(Duration::from_micros(150)));
        }
    };
    Builder::new().priority(Priority::HIGHEST).spawn(tick).map_err(said("a thread"))?;
    child.take_lot(lot)?;
    let start = TICKS.load(Ordering::Relaxed);
    for _ in 0..2 {
        let lot = child.gets_zeros(8)?;
        child.take_lot(lot)?;
    }
    child.destroy()?;
    let heir = Child::looks(16, Scrubbing::AtGrant, 1)?;
    check!(TICKS.load(Ordering::Relaxed) > start, "nothing interrupts");
    heir.destroy()?;
    TICKS.store(1 << 40, Ordering::Relaxed);
    audit()?;
    compare(&before)
}
