//! Who is asked to let go of what is taken away, and who is waited for.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

use idl::bundle::BOOT;
use idl::event::Event;
use idl::types::{Chunks, CoreNumber, Deadline, PageIndex, Pages, Priority, UserPage};
use userlib::cap::{Core, Region};
use userlib::memory::{self, Mapping};
use userlib::thread::Builder;
use userlib::{Cap, Error, Rights, check, check_eq, environment, slots, time};

use crate::abroad::{Colony, patiently};
use crate::cores::{cores, counter, counts_on};
use crate::steward::{Child, audit, compare, ledger};
use crate::walls::{HOOK, SURVIVED};
use crate::wards::{HELLO, attend};
use crate::{Outcome, PATIENCE, said};

pub(crate) const CHILDREN: &[(&str, fn())] = &[("quiet/tidy", tidy)];

/// The hook that tells a core to park.
const PARK: u64 = 20;

/// For each word it gets, maps memory, takes it away again, and says so when nobody can reach it any more.
fn tidy() {
    attend(0, |uplink, words| {
        if Event::from_words(&words).is_err() {
            let done = map_and_take_away();
            let _ = uplink.send(SURVIVED, u64::from(done.is_ok()), 0, 0, 0);
        }
    });
}

fn map_and_take_away() -> Result<(), Error> {
    let region: Cap<Region> = memory::create(4)?;
    Mapping::of(region, Rights::READ | Rights::WRITE)?.unmap()?;
    slots::delete(region.handle())
}

/// A core that parks has let go of everything by itself: nobody waits for it, though the supervisor never comes back.
pub(crate) fn a_core_that_parks_is_not_waited_for() -> Outcome {
    let before = ledger()?;
    let child = Child::new("quiet/tidy", 4)?;
    child.start(&[1, 2, 3])?;
    let goes_on = || -> Outcome {
        child.subos.send(1, 0, 0, 0, 0).map_err(said("send"))?;
        check_eq!(child.wait_for(SURVIVED)?[1], 1);
        Ok(())
    };
    let park = || -> Outcome {
        let console = environment().console();
        let done: Result<(), Error> = idl::client::plain(&console, HOOK, [PARK, 3, 0, 0, 0], Deadline::NEVER);
        done.map_err(said("hook"))
    };
    park()?;
    for _ in 0..3 {
        goes_on()?;
    }
    child.take_core(3)?;
    // Nor for one that is told to park while it is on its way: here, before it can have looked.
    for _ in 0..10 {
        child.subos.grant_core(CoreNumber(3)).map_err(said("grant_core"))?;
        park()?;
        goes_on()?;
        child.take_core(3)?;
    }
    child.subos.grant_core(CoreNumber(3)).map_err(said("grant_core"))?;
    goes_on()?;
    child.destroy()?;
    audit()?;
    compare(&before)
}

/// Whoever takes a mapping away interrupts the cores that run on that space, and no others; nobody at all when a page only
/// gets more rights.
pub(crate) fn only_who_runs_there_is_asked() -> Outcome {
    const ROUNDS: u64 = 40;
    let mut others = Vec::new();
    for core in cores()? {
        if core.info().map_err(said("core"))?.core.0 != environment().startup().core {
            others.push(core);
        }
    }
    let (there, elsewhere) = (others[0], others[1]);
    let (rig, bystander) = (counter(there)?, counter(elsewhere)?);
    let page = memory::create::<Region>(1).map_err(said("region"))?;
    let binding = memory::bind(page, rig.space).map_err(said("bind"))?;
    let at = UserPage::new(0x70_0000).ok_or("address")?;
    let map = || memory::map_pages(rig.space, binding, PageIndex(0), at, Pages(1), Rights::READ);
    let asked = |core: Cap<Core>| core.info().map(|info| info.interrupts).map_err(said("core"));
    counts_on(&rig)?;
    counts_on(&bystander)?;
    let (before, before_elsewhere) = (asked(there)?, asked(elsewhere)?);
    for _ in 0..ROUNDS {
        map().map_err(said("map"))?;
        rig.space.unmap(at, Pages(1)).map_err(said("unmap"))?;
    }
    check_eq!(asked(elsewhere)?, before_elsewhere);
    check!(asked(there)? >= before + ROUNDS, "it was asked {} times", asked(there)? - before);
    map().map_err(said("map"))?;
    let before = asked(there)?;
    rig.space.protect(at, Pages(1), Rights::READ | Rights::WRITE).map_err(said("protect"))?;
    check_eq!(asked(there)?, before);
    rig.space.protect(at, Pages(1), Rights::READ).map_err(said("protect"))?;
    check_eq!(asked(there)?, before + 1);
    counts_on(&rig)?;
    counts_on(&bystander)?;
    rig.stop()?;
    bystander.stop()
}

/// What the supervisor does at length lets interrupts in on the way: a more urgent thread runs again and again before one
/// call has come back.
pub(crate) fn long_operations_are_interrupted() -> Outcome {
    let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (turns, until) = (Arc::clone(&count), Arc::clone(&stop));
    let urgent = Builder::new().priority(Priority::HIGHEST).spawn(move || {
        while !until.load(Ordering::Relaxed) {
            time::sleep(Duration::from_micros(50));
            turns.fetch_add(1, Ordering::Relaxed);
        }
    });
    let urgent = urgent.map_err(said("spawn"))?;
    let seen = || count.load(Ordering::Relaxed);
    // One turn comes at the end of a call in any case. A host that is late with the timer shows fewer than there could be,
    // so all is done again; not with the same memory, since only what nobody had before is cleared when it is given.
    let (mut turns, mut colonies, mut lots) = ([0; 3], Vec::new(), Vec::new());
    while turns.iter().any(|turns| *turns < 2) {
        check!(
            colonies.len() < 8,
            "it had {turns:?} turns at most while a subOS was made, loaded, given memory"
        );
        let begin = seen();
        let colony = Colony::create(16)?;
        let made = seen();
        colony.load(BOOT, "quiet/tidy")?;
        let loaded = seen();
        lots.push(colony.subos.grant_lot(Chunks(32)).map_err(said("grant_lot"))?);
        colonies.push(colony);
        for (most, now) in turns.iter_mut().zip([made - begin, loaded - made, seen() - loaded]) {
            *most = now.max(*most);
        }
    }
    stop.store(true, Ordering::Relaxed);
    urgent.join(time::after(PATIENCE)).map_err(said("join"))?;
    let (colony, lot) = (colonies.pop().ok_or("no subOS")?, lots.pop().ok_or("no lot")?);
    colony.subos.grant_core(CoreNumber(1)).map_err(said("grant_core"))?;
    colony.subos.start().map_err(said("start"))?;
    check_eq!(colony.event(time::after(PATIENCE))?[0], HELLO);
    patiently("reclaim_lot", || colony.subos.reclaim_lot(lot))?;
    colony.destroy()?;
    colonies.into_iter().try_for_each(Colony::destroy)?;
    audit()
}
