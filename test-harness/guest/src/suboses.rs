//! SubOSes: made, loaded, resized while they run, killed, and everything back where it was.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use idl::bundle::{BOOT, Bundle};
use idl::event::Event;
use idl::kernel::machine::LedgerEntry;
use idl::types::{
    Bits, Chunks, CoreNumber, Deadline, LedgerState, Length, LotNumber, MachineQuestion, PageIndex, Pages,
    Progress, ResourceKind, StatisticsQuestion, SubOsState, Ticks, UserPage,
};
use userlib::cap::{AddressSpace, CSpace, Endpoint, Notification, Region, SubOs, Untyped, complete};
use userlib::memory::{self, Mapping};
use userlib::{
    Cap, Error, Handle, Rights, SlotIndex, cap, check, check_eq, environment, page, println, slots, thread,
    time,
};

use crate::{Outcome, said};

/// How long anything here may take at most.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);
/// What a child says when it runs.
pub(crate) const HELLO: u64 = 1;
/// How far a child that counts has come.
const COUNT: u64 = 2;
/// What a child found in a lot: how many pages, how many of them not zero.
const LOT: u64 = 3;
/// A core was asked for.
const WANTED: u64 = 6;
/// The answer to words that are sent down.
pub(crate) const ECHO: u64 = 4;

/// What a subOS that a case makes runs, by the name in its arguments.
pub(crate) const CHILDREN: &[(&str, fn())] =
    &[("suboses/talk", talk), ("suboses/count", count), ("suboses/spin", spin), ("suboses/settle", settle)];

// --- what the children do -------------------------------------------------------------------------------------------

/// Says hello, answers words, looks through lots.
fn talk() {
    let uplink = environment().uplink();
    let bell: Cap<Notification> = memory::create(0).expect("a notification");
    uplink.bind(bell.handle(), Bits(1)).expect("bind");
    println!("hello from subOS {}", environment().startup().subos);
    let _ = uplink.send(HELLO, u64::from(environment().startup().subos), 0, 0, 0);
    loop {
        while let Ok(words) = uplink.receive() {
            match Event::from_words(&words) {
                Ok(Event::LotGranted { lot, .. }) => {
                    let (pages, used) = fill(lot).unwrap_or((0, u64::MAX));
                    let _ = uplink.send(LOT, u64::from(lot.0), pages, used, 0);
                }
                Ok(_) => {}
                Err(_) => {
                    let _ = uplink.send(ECHO, words[0] + 1, words[1], 0, 0);
                }
            }
        }
        let _ = bell.wait(time::after(PATIENCE));
    }
}

/// Counts the pages of a lot that are not zero, then makes all of them so.
fn fill(lot: LotNumber) -> Result<(u64, u64), Error> {
    let untyped = environment().lot(lot.0)?;
    let size = untyped.info()?.size / idl::abi::PAGE_SIZE;
    let region: Cap<Region> = memory::create_from(untyped, size)?;
    let mapping = Mapping::of(region, Rights::READ | Rights::WRITE)?;
    let mut used = 0;
    let mut page = vec![0; 4096];
    for index in 0..usize::try_from(size).unwrap_or(0) {
        mapping.read(index * 4096, &mut page);
        used += u64::from(page.iter().any(|byte| *byte != 0));
        mapping.write(index * 4096, &[0x5a; 4096]);
    }
    Ok((size, used))
}

/// Counts on as many threads as there are cores, and says how far it has come.
fn count() {
    let uplink = environment().uplink();
    let _ = uplink.send(HELLO, 0, 0, 0, 0);
    let mut total = 0_u64;
    loop {
        let threads: Vec<_> = (0..3).filter_map(|_| thread::spawn(|| spin_for(20_000)).ok()).collect();
        for thread in threads {
            total += thread.join(time::after(PATIENCE)).unwrap_or(0);
        }
        let _ = uplink.send(COUNT, total, 0, 0, 0);
    }
}

fn spin_for(turns: u64) -> u64 {
    (0..turns).fold(0, |sum, turn| core::hint::black_box(sum + turn % 2))
}

/// Never yields, while a second thread's timer expires all the time.
fn spin() {
    let _ = environment().uplink().send(HELLO, 0, 0, 0, 0);
    let _timers = thread::spawn(|| {
        loop {
            time::sleep(Duration::from_micros(20));
        }
    });
    loop {
        core::hint::spin_loop();
    }
}

/// Answers words, and makes all of a lot its own: threads that spin, sleep, call each other, in memory of the lot.
fn settle() {
    // The heap must not grow into what will be taken.
    drop(core::hint::black_box(vec![1_u8; 1 << 20]));
    let uplink = environment().uplink();
    let bell: Cap<Notification> = memory::create(0).expect("a notification");
    uplink.bind(bell.handle(), Bits(1)).expect("bind");
    let _ = uplink.send(HELLO, 0, 0, 0, 0);
    loop {
        while let Ok(words) = uplink.receive() {
            match Event::from_words(&words) {
                Ok(Event::LotGranted { lot, .. }) => {
                    let made = populate(lot).map_or(0, |made| made);
                    let _ = uplink.send(LOT, u64::from(lot.0), made, 0, 0);
                }
                Ok(Event::CoreWanted { core, .. }) => {
                    let _ = uplink.send(WANTED, u64::from(core.0), 0, 0, 0);
                }
                Ok(_) => {}
                Err(_) => {
                    let _ = uplink.send(ECHO, words[0] + 1, 0, 0, 0);
                }
            }
        }
        let _ = bell.wait(time::after(PATIENCE));
    }
}

/// Fills a lot with what is hardest to take away; answers with how many objects it made by hand.
fn populate(lot: LotNumber) -> Result<u64, Error> {
    let untyped = environment().lot(lot.0)?;
    let home = environment().untyped();
    memory::remove_source(home);
    memory::add_source(untyped);
    let made = populate_pool(untyped);
    memory::remove_source(untyped);
    memory::add_source(home);
    made
}

fn populate_pool(untyped: Cap<Untyped>) -> Result<u64, Error> {
    let endpoint: Cap<Endpoint> = memory::create(0)?;
    for kind in 0..6 {
        // Their stacks, message pages and thread objects are in the lot.
        let thread = thread::spawn(move || {
            loop {
                match kind % 3 {
                    0 => core::hint::spin_loop(),
                    1 => drop(endpoint_call(endpoint)),
                    _ => time::sleep(Duration::from_micros(300)),
                }
            }
        })?;
        core::mem::forget(thread);
    }
    let table: Cap<CSpace> = memory::create_from(untyped, 512)?;
    let own = environment().cspace();
    let mut made = 8;
    for slot in 1..512 {
        // Capabilities to what is in the lot, to what is not, and to the table itself, stored in the lot.
        let source = match slot % 3 {
            0 => endpoint.handle(),
            1 => environment().cspace().handle(),
            _ => table.handle(),
        };
        own.copy(source, table.handle(), SlotIndex(slot), Rights::READ | Rights::DERIVE)?;
        made += 1;
    }
    let space: Cap<AddressSpace> = memory::create_from(untyped, 16)?;
    let region: Cap<Region> = memory::create_from(untyped, 64)?;
    let binding = memory::bind(region, space)?;
    let address = UserPage::new(0x4000_0000).ok_or(Error::BadRange)?;
    memory::map_pages(space, binding, PageIndex(0), address, Pages(64), Rights::READ)?;
    // A region of the home lot, bound to a space in the lot, and the other way round.
    let abroad: Cap<Region> = memory::create_from(environment().untyped(), 4)?;
    let _ = memory::bind(abroad, space)?;
    let here = memory::bind(region, environment().space())?;
    let address = UserPage::new(0x5000_0000).ok_or(Error::BadRange)?;
    memory::map_pages(environment().space(), here, PageIndex(0), address, Pages(64), Rights::READ)?;
    Ok(made)
}

/// A call that nobody ever receives.
fn endpoint_call(endpoint: Cap<Endpoint>) -> Result<(), Error> {
    let tag = idl::abi::OpWord::new(userlib::Kind::Endpoint, idl::kernel::endpoint::CALL);
    let _ =
        idl::Invoke::invoke(endpoint.via(), tag, endpoint.handle(), [0; 5], Deadline::NEVER, Handle::NONE);
    Ok(())
}

// --- how a case handles them ----------------------------------------------------------------------------------------

/// A subOS that a case made.
pub(crate) struct Child {
    /// Its capability.
    pub(crate) subos: Cap<SubOs>,
    bell: Cap<Notification>,
}

impl Child {
    /// Makes one with a home lot of so many chunks and loads it with what `CHILDREN` calls by this name.
    pub(crate) fn new(name: &str, home: u32) -> Result<Self, String> {
        let made = slots::fill(|slot| environment().machine().create(Chunks(home), slot));
        let subos: Cap<SubOs> = cap(made.map_err(said("create"))?);
        let bell: Cap<Notification> = memory::create(0).map_err(said("a notification"))?;
        subos.bind(bell.handle(), Bits(1)).map_err(said("bind"))?;
        let child = Self { subos, bell };
        child.load(name)?;
        Ok(child)
    }

    fn load(&self, name: &str) -> Outcome {
        let files = environment().files().map_err(said("files"))?;
        let bundle = Bundle::parse(files).map_err(|error| format!("{error}"))?;
        let program = bundle.find(BOOT).ok_or("no program")?;
        let first = PageIndex(u32::try_from(program.offset / 4096).unwrap_or(0));
        let pages = Pages(u32::try_from(program.data.len().div_ceil(4096)).unwrap_or(0));
        let length = page::put_bytes(name.as_bytes()).map_err(said("arguments"))?;
        self.subos.load(environment().modules().handle(), first, pages, length).map_err(said("load"))
    }

    /// Gives it cores and starts it.
    pub(crate) fn start(&self, cores: &[u32]) -> Outcome {
        for core in cores {
            self.subos.grant_core(CoreNumber(*core)).map_err(said("grant_core"))?;
        }
        self.subos.start().map_err(said("start"))?;
        self.wait_for(HELLO).map(|_| ())
    }

    /// The next record with this first word; others are passed over.
    pub(crate) fn wait_for(&self, code: u64) -> Result<[u64; 5], String> {
        let end = time::after(PATIENCE);
        loop {
            match self.subos.receive() {
                Ok(words) if words[0] == code => return Ok(words),
                Ok(words) => {
                    if let Ok(event) = Event::from_words(&words) {
                        // Threads whose stack goes with a lot may fault before they go too.
                        let expected = matches!(event, Event::Console {} | Event::Unhandled { kind: 14, .. });
                        check!(expected, "an event: {event:?}");
                    }
                }
                Err(Error::Empty) => {
                    self.bell
                        .wait(end)
                        .map(|_| ())
                        .map_err(|error| format!("waiting for {code}: {error}"))?;
                }
                Err(error) => return Err(format!("receive: {error}")),
            }
        }
    }

    /// The next record, whatever it is.
    pub(crate) fn wait_for_any(&self) -> Result<[u64; 5], String> {
        let end = time::after(PATIENCE);
        loop {
            match self.subos.receive() {
                Ok(words) => return Ok(words),
                Err(_) => {
                    self.bell.wait(end).map_err(|error| format!("waiting for a record: {error}"))?;
                }
            }
        }
    }

    /// Takes a core by force.
    fn take_core(&self, core: u32) -> Outcome {
        let take = || self.subos.reclaim_core(CoreNumber(core), Ticks(0));
        complete(take).map_err(said("reclaim_core"))
    }

    /// Takes a lot by force.
    fn take_lot(&self, lot: LotNumber) -> Outcome {
        complete(|| self.subos.reclaim_lot(lot)).map_err(said("reclaim_lot"))
    }

    /// Ends it.
    pub(crate) fn destroy(self) -> Outcome {
        complete(|| self.subos.destroy()).map_err(said("destroy"))?;
        slots::release(self.subos.handle().index());
        check_eq!(self.subos.info(), Err(Error::EmptySlot));
        slots::delete(self.bell.handle()).map_err(said("delete"))
    }
}

/// Every entry of the ledger.
pub(crate) fn ledger() -> Result<Vec<LedgerEntry>, String> {
    let machine = environment().machine();
    let [cores, chunks, ..] = machine.info(MachineQuestion::Totals).map_err(said("info"))?;
    let mut entries = Vec::new();
    for (kind, count) in [(ResourceKind::Core, cores), (ResourceKind::Chunk, chunks)] {
        for index in 0..count {
            entries.push(machine.ledger(kind, index).map_err(said("ledger"))?);
        }
    }
    Ok(entries)
}

pub(crate) fn compare(before: &[LedgerEntry]) -> Outcome {
    let after = ledger()?;
    let differs = before.iter().zip(&after).position(|(before, after)| before != after);
    if let Some(index) = differs {
        return Err(format!("entry {index} was {:?} and is {:?}", before[index], after[index]));
    }
    Ok(())
}

pub(crate) fn audit() -> Outcome {
    let report = environment().machine().audit().map_err(said("audit"))?;
    check!(report.violations == 0, "the audit found {report:?}");
    check!(report.entries > 100, "the audit looked at {} entries", report.entries);
    Ok(())
}

fn state_of(core: u32) -> Result<LedgerState, String> {
    let entry = environment().machine().ledger(ResourceKind::Core, u64::from(core));
    entry.map(|entry| entry.state).map_err(said("ledger"))
}

// --- the cases ------------------------------------------------------------------------------------------------------

/// A subOS is made, loaded, started, talks, and is gone without a trace.
pub(crate) fn one_is_made_and_ends() -> Outcome {
    let before = ledger()?;
    audit()?;
    let child = Child::new("suboses/talk", 8)?;
    let info = child.subos.info().map_err(said("info"))?;
    check_eq!(info.state, SubOsState::Loaded);
    check_eq!(info.chunks, Chunks(8));
    child.start(&[1])?;
    audit()?;
    child.subos.send(40, 7, 0, 0, 0).map_err(said("send"))?;
    check_eq!(child.wait_for(ECHO)?, [ECHO, 41, 7, 0, 0]);
    let length = child.subos.read_console(Length(2048)).map_err(said("read_console"))?;
    let mut text = vec![0; length.0 as usize];
    page::get_bytes(&mut text).map_err(said("get_bytes"))?;
    check_eq!(core::str::from_utf8(&text), Ok("hello from subOS 1\n"));
    let info = child.subos.info().map_err(said("info"))?;
    check_eq!((info.state, info.cores), (SubOsState::Running, 0b10));
    let calls =
        child.subos.statistics(CoreNumber(1), StatisticsQuestion::Calls).map_err(said("statistics"))?;
    check!(calls[0] > 3, "it made {} calls", calls[0]);
    child.destroy()?;
    audit()?;
    compare(&before)
}

/// A core is taken from a subOS that spins on it, and given back; meanwhile it runs on the other.
pub(crate) fn a_core_moves() -> Outcome {
    let before = ledger()?;
    let child = Child::new("suboses/count", 8)?;
    child.start(&[1, 2])?;
    for _ in 0..4 {
        let first = child.wait_for(COUNT)?[1];
        child.take_core(2)?;
        check_eq!(state_of(2)?, LedgerState::Free);
        audit()?;
        check!(child.wait_for(COUNT)?[1] > first, "it no longer counts on one core");
        child.subos.grant_core(CoreNumber(2)).map_err(said("grant_core"))?;
        audit()?;
        child.wait_for(COUNT)?;
        child.take_core(1)?;
        check!(child.wait_for(COUNT)?[1] > first, "it no longer counts on the other core");
        child.subos.grant_core(CoreNumber(1)).map_err(said("grant_core"))?;
    }
    let moves = child.subos.statistics(CoreNumber(2), StatisticsQuestion::Interrupts);
    check!(moves.map_err(said("statistics"))?[0] > 0, "nothing ran on core 2");
    child.destroy()?;
    compare(&before)
}

/// A subOS without cores stands still and loses nothing.
pub(crate) fn one_is_suspended_and_resumed() -> Outcome {
    let child = Child::new("suboses/count", 8)?;
    child.start(&[1])?;
    child.wait_for(COUNT)?;
    child.take_core(1)?;
    while child.subos.receive().is_ok() {}
    time::sleep(Duration::from_millis(50));
    check_eq!(child.subos.receive().err(), Some(Error::Empty));
    child.subos.grant_core(CoreNumber(2)).map_err(said("grant_core"))?;
    child.wait_for(COUNT)?;
    audit()?;
    child.destroy()
}

/// A lot with data in it moves from one subOS to another, which finds zeros.
pub(crate) fn a_lot_moves() -> Outcome {
    let before = ledger()?;
    let (one, other) = (Child::new("suboses/talk", 8)?, Child::new("suboses/talk", 8)?);
    one.start(&[1])?;
    other.start(&[2])?;
    for round in 0..3 {
        for child in [&one, &other] {
            let lot = child.subos.grant_lot(Chunks(4)).map_err(said("grant_lot"))?;
            check_eq!(lot, LotNumber(1));
            let found = child.wait_for(LOT)?;
            check_eq!(found, [LOT, 1, 2048, 0, 0]);
            audit()?;
            child.take_lot(lot)?;
            audit()?;
            child.subos.send(50 + round, 0, 0, 0, 0).map_err(said("send"))?;
            check_eq!(child.wait_for(ECHO)?[1], 51 + round);
        }
    }
    check_eq!(one.subos.reclaim_lot(LotNumber(0)), Err(Error::HomeLot));
    check_eq!(one.subos.reclaim_lot(LotNumber(1)), Err(Error::NotOwner));
    one.destroy()?;
    other.destroy()?;
    compare(&before)
}

/// One that spins while its timer expires all the time is killed, and what it had is used again.
pub(crate) fn one_is_killed_by_force() -> Outcome {
    let before = ledger()?;
    for round in 0..5 {
        let child = Child::new("suboses/spin", 4 + round)?;
        child.start(&[1, 2])?;
        time::sleep(Duration::from_millis(5));
        child.destroy()?;
    }
    audit()?;
    compare(&before)
}

/// What the supervisor asks for wrongly is refused, each with its own error, and changes nothing.
pub(crate) fn wrong_requests_are_refused() -> Outcome {
    let before = ledger()?;
    let machine = environment().machine();
    let slot = slots::allocate().map_err(said("a slot"))?;
    check_eq!(machine.create(Chunks(0), slot).err(), Some(Error::BadSize));
    check_eq!(machine.create(Chunks(100_000), slot).err(), Some(Error::NoResource));
    check_eq!(machine.create(Chunks(4), idl::slots::OWN_SPACE).err(), Some(Error::SlotOccupied));
    check_eq!(machine.ledger(ResourceKind::Core, 99).err(), Some(Error::NoResource));
    compare(&before)?;

    let child = Child::new("suboses/talk", 4)?;
    let subos = child.subos;
    let modules = environment().modules().handle();
    check_eq!(subos.load(modules, PageIndex(0), Pages(1), Length(0)).err(), Some(Error::WrongState));
    check_eq!(subos.attach(modules, PageIndex(0), Pages(1)).err(), Some(Error::WrongState));
    check_eq!(subos.attach(modules, PageIndex(0), Pages(u32::MAX)).err(), Some(Error::BadRange));
    check_eq!(subos.load(modules, PageIndex(0), Pages(1), Length(2049)).err(), Some(Error::TooLong));
    check_eq!(subos.grant_core(CoreNumber(0)).err(), Some(Error::NoResource));
    check_eq!(subos.grant_core(CoreNumber(99)).err(), Some(Error::NoResource));
    check_eq!(subos.reclaim_core(CoreNumber(1), Ticks(0)).err(), Some(Error::NotOwner));
    check_eq!(subos.grant_lot(Chunks(0)).err(), Some(Error::BadSize));
    check_eq!(subos.grant_lot(Chunks(100_000)).err(), Some(Error::NoResource));
    check_eq!(subos.send(1 << 63, 0, 0, 0, 0).err(), Some(Error::InvalidArgument));
    check_eq!(subos.receive().err(), Some(Error::Empty));
    check_eq!(subos.bind(child.bell.handle(), Bits(1)).err(), Some(Error::AlreadyBound));
    check_eq!(subos.read_console(Length(4096)).err(), Some(Error::TooLong));
    check_eq!(subos.epitaph().err(), Some(Error::Empty));
    let asked = subos.statistics(CoreNumber(99), StatisticsQuestion::Calls);
    check_eq!(asked.err(), Some(Error::NoResource));
    let sent = (0..100).find_map(|_| subos.send(1, 0, 0, 0, 0).err());
    check_eq!(sent, Some(Error::Full));
    child.start(&[1])?;
    check_eq!(subos.start().err(), Some(Error::WrongState));
    child.destroy()?;

    let empty = slots::fill(|slot| machine.create(Chunks(2), slot)).map_err(said("create"))?;
    let empty: Cap<SubOs> = cap(empty);
    check_eq!(empty.start().err(), Some(Error::WrongState));
    check_eq!(empty.load(modules, PageIndex(0), Pages(1), Length(0)).err(), Some(Error::BadImage));
    check_eq!(empty.attach(modules, PageIndex(0), Pages(0)).err(), Some(Error::BadRange));
    check_eq!(empty.attach(modules, PageIndex(0), Pages(1)), Ok(Progress::Done));
    complete(|| empty.destroy()).map_err(said("destroy"))?;
    compare(&before)
}

/// A lot full of threads at work, page tables in use, tables that hold capabilities to anywhere, mappings both ways:
/// it goes all the same, and what is in the home lot stays.
pub(crate) fn a_lot_full_of_life_is_taken() -> Outcome {
    let before = ledger()?;
    let child = Child::new("suboses/settle", 8)?;
    child.start(&[1, 2])?;
    for round in 0..4 {
        let lot = child.subos.grant_lot(Chunks(2)).map_err(said("grant_lot"))?;
        let made = child.wait_for(LOT)?[2];
        check!(made > 500, "it made {made} objects only");
        audit()?;
        child.take_lot(lot)?;
        audit()?;
        child.subos.send(60 + round, 0, 0, 0, 0).map_err(said("send"))?;
        check_eq!(child.wait_for(ECHO)?[1], 61 + round);
    }
    child.destroy()?;
    compare(&before)
}

/// A core is asked for first, and taken when the time has come.
pub(crate) fn a_core_is_asked_for_first() -> Outcome {
    let child = Child::new("suboses/settle", 8)?;
    child.start(&[1, 2])?;
    let deadline = Ticks(time::after(Duration::from_millis(300)).0);
    let ask = || child.subos.reclaim_core(CoreNumber(2), deadline);
    check_eq!(ask(), Ok(Progress::More));
    check_eq!(child.wait_for(WANTED)?[1], 2);
    check_eq!(state_of(2)?, LedgerState::Owned);
    check_eq!(ask(), Ok(Progress::More));
    check!(time::now() < deadline, "the time is up too early");
    complete(ask).map_err(said("reclaim_core"))?;
    check!(time::now() >= deadline, "it was taken before its time");
    check_eq!(state_of(2)?, LedgerState::Free);
    child.destroy()
}

/// Anything in any order, from a seed: the ledger adds up at every step, the audit finds nothing, all comes back.
pub(crate) fn anything_in_any_order() -> Outcome {
    let before = ledger()?;
    let seed = time::now().0 | 1;
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut children: Vec<(Child, Vec<LotNumber>)> = Vec::new();
    for step in 0..150 {
        random_step(&mut random, &mut children).map_err(|error| format!("step {step}: {error}"))?;
        if step % 10 == 9 {
            audit().map_err(|error| format!("step {step}: {error}"))?;
        }
    }
    for (child, _) in children {
        child.destroy()?;
    }
    audit()?;
    compare(&before)
}

fn random_step(random: &mut Random, children: &mut Vec<(Child, Vec<LotNumber>)>) -> Outcome {
    let index = random.below(children.len().max(1) as u64) as usize;
    let core = 1 + random.below(3) as u32;
    let room = children.len() < 4;
    match (random.below(10), children.get_mut(index)) {
        (0 | 1, _) | (_, None) if room => {
            let (name, _) = CHILDREN[random.below(CHILDREN.len() as u64) as usize];
            let child = Child::new(name, 3 + random.below(4) as u32)?;
            child.subos.start().map_err(said("start"))?;
            children.push((child, Vec::new()));
        }
        (2, Some(_)) => children.swap_remove(index).0.destroy()?,
        (3..=5, Some((child, _))) => match child.subos.grant_core(CoreNumber(core)) {
            Ok(()) | Err(Error::NoResource) => {}
            Err(error) => return Err(format!("grant_core: {error}")),
        },
        (6, Some((child, _))) => match complete(|| child.subos.reclaim_core(CoreNumber(core), Ticks(0))) {
            Ok(()) | Err(Error::NotOwner) => {}
            Err(error) => return Err(format!("reclaim_core: {error}")),
        },
        (7, Some((child, lots))) => match child.subos.grant_lot(Chunks(1 + random.below(3) as u32)) {
            Ok(lot) => lots.push(lot),
            Err(Error::NoResource) => {}
            Err(error) => return Err(format!("grant_lot: {error}")),
        },
        (8, Some((child, lots))) => {
            if let Some(lot) = lots.pop() {
                child.take_lot(lot)?;
            }
        }
        (_, Some((child, _))) => {
            let _ = child.subos.send(random.below(100), 0, 0, 0, 0);
            while child.subos.receive().is_ok() {}
            time::sleep(Duration::from_millis(random.below(3)));
        }
        _ => {}
    }
    Ok(())
}

/// Marsaglia's xorshift: the same from the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// Deleting the capability of a subOS ends it, as it would any object.
pub(crate) fn one_without_a_master_ends() -> Outcome {
    let before = ledger()?;
    let child = Child::new("suboses/spin", 4)?;
    child.start(&[1])?;
    slots::delete(child.subos.handle()).map_err(said("delete"))?;
    // It goes in passing, with the operations that follow.
    let end = time::now().0 + time::ticks(PATIENCE).0;
    while time::now().0 < end && compare(&before).is_err() {}
    compare(&before)
}
