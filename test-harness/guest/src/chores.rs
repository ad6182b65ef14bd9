//! What a subOS does while its kernel is let fail at a marked place: system calls of all sorts, faults, interrupts, what one
//! core does for another. Each chore prepares what it needs, has its marks watched from then on, and does its work.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use idl::abi::{FxArea, Registers};
use idl::message::{Message, Received};
use idl::types::{Badge, Bits, Deadline, PageIndex, Pages, UserPage};
use userlib::cap::{AddressSpace, CSpace, Endpoint, Notification, Region, Reply, Uplink};
use userlib::cap::{Untyped, complete};
use userlib::memory::{self, Mapping};
use userlib::thread::Builder;
use userlib::{Cap, Error, Rights, SlotIndex, environment, print, slots, thread, time};

use crate::guests::Den;
use crate::rig::{CODE, END, Rig, code};
use crate::walls::HOOK;
use crate::wards::attend;
use crate::wild::{MADE, once_each};
use crate::{Outcome, PATIENCE, said};

/// The first word of an order; the next ones are the chore, what is to happen at its marks, and at which.
pub(crate) const WORK: u64 = 100;
/// A place that was listed: at which passage it was come past first, and its number.
pub(crate) const PLACE: u64 = 101;
/// The chore is done: how many marks it came past.
pub(crate) const DONE: u64 = 102;

/// Numbers of hooks.
const ARRANGE: u64 = 40;
const LISTED: u64 = 41;
/// This very core, for a hook that may be about another.
const HERE: u64 = 255;

/// What is to happen at marks.
pub(crate) const NOTHING: u64 = 0;
pub(crate) const LIST: u64 = 1;
pub(crate) const FAIL: u64 = 2;

/// A piece of work.
type Chore = fn(&Marks) -> Outcome;

/// All chores by name.
pub(crate) const CHORES: &[(&str, Chore)] = &[
    ("small calls", small_calls),
    ("objects", objects),
    ("capabilities", capabilities),
    ("mappings", mappings),
    ("threads", threads),
    ("messages", messages),
    ("notifications", notifications),
    ("guests", guests),
    ("uplink", uplink),
    ("removal", removal),
    ("preemption", preemption),
    ("sleep", sleep),
    ("every method", |marks| once_each(|| marks.begin())),
    ("flush elsewhere", flush_elsewhere),
    ("wake elsewhere", wake_elsewhere),
];

/// Arranges what is to happen at marks: of this core, or another of the same subOS; of its own work, or while it visits (1
/// and the number of the subOS). Says how many were passed before.
pub(crate) fn arrange(core: u64, what: u64, scope: u64, nth: u64) -> Result<u64, Error> {
    idl::client::plain(&environment().console(), HOOK, [ARRANGE, what, scope, nth, core], Deadline::NEVER)
}

/// The places that were listed: at which passage each was come past first, and its number.
pub(crate) fn listed(core: u64) -> Result<Vec<(u64, u64)>, Error> {
    let mut places: Vec<(u64, u64)> = Vec::new();
    loop {
        let (console, words) = (environment().console(), [LISTED, places.len() as u64, core, 0, 0]);
        match idl::client::plain(&console, HOOK, words, Deadline::NEVER) {
            Ok(0) | Err(Error::OutOfRange) => return Ok(places),
            Ok(entry) => {
                let entry: u64 = entry;
                places.push((entry & 0xffff_ffff, entry >> 32));
            }
            Err(error) => return Err(error),
        }
    }
}

/// The marks of a chore.
pub(crate) struct Marks {
    what: u64,
    nth: u64,
    core: core::cell::Cell<u64>,
}

impl Marks {
    /// From now on.
    fn begin(&self) {
        self.begin_on(HERE);
    }

    /// The same, of another core.
    fn begin_on(&self, core: u64) {
        self.core.set(core);
        let _ = arrange(core, self.what, 0, self.nth);
    }
}

/// Carries out orders for ever.
pub(crate) fn worker() {
    // The heap must not grow into what will be taken.
    drop(core::hint::black_box(vec![1_u8; 1 << 20]));
    attend(0, |uplink, [first, chore, what, nth, _]| {
        let chore = usize::try_from(chore).ok().and_then(|chore| CHORES.get(chore));
        if let (WORK, Some((_, chore))) = (first, chore) {
            let marks = Marks { what, nth, core: core::cell::Cell::new(HERE) };
            let done = chore(&marks);
            let count = arrange(marks.core.get(), NOTHING, 0, 0).unwrap_or(0);
            let places = if what == LIST { listed(marks.core.get()) } else { Ok(Vec::new()) };
            for (at, place) in places.unwrap_or_default() {
                tell(uplink, [PLACE, at, place, 0]);
            }
            tell(uplink, [DONE, count, u64::from(done.is_ok()), 0]);
            if let Err(error) = done {
                print!("chore: {error}\n");
            }
        }
    });
}

fn tell(uplink: Cap<Uplink>, [a, b, c, d]: [u64; 4]) {
    while uplink.send(a, b, c, d, 0) == Err(Error::Full) {
        time::sleep(Duration::from_micros(200));
    }
}

fn small_calls(marks: &Marks) -> Outcome {
    let own = environment();
    marks.begin();
    userlib::cap::null_call();
    let _ = own.cspace().info(userlib::Handle(77));
    let _ = own.untyped().info();
    let _ = thread::current().info();
    thread::yield_now();
    Ok(())
}

fn objects(marks: &Marks) -> Outcome {
    marks.begin();
    for (kind, size) in MADE {
        let made = slots::fill(|slot| environment().untyped().retype(kind, size, slot));
        slots::delete(made.map_err(said("retype"))?).map_err(said("delete"))?;
    }
    Ok(())
}

fn capabilities(marks: &Marks) -> Outcome {
    let own = environment().cspace();
    let table = memory::create::<CSpace>(16).map_err(said("table"))?;
    let endpoint = memory::create::<Endpoint>(0).map_err(said("endpoint"))?;
    marks.begin();
    let rights = Rights::CALL | Rights::DERIVE;
    let copy = own.copy(endpoint.handle(), table.handle(), SlotIndex(1), rights).map_err(said("copy"))?;
    let _ = table.info(copy);
    let minted = memory::mint(endpoint, rights, Badge(5)).map_err(said("mint"))?;
    own.move_(minted.handle(), table.handle(), SlotIndex(2)).map_err(said("move"))?;
    complete(|| own.revoke(endpoint.handle())).map_err(said("revoke"))?;
    own.copy(table.handle(), table.handle(), SlotIndex(3), rights).map_err(said("copy itself"))?;
    slots::delete(table.handle()).map_err(said("delete"))
}

fn mappings(marks: &Marks) -> Outcome {
    let (region, space) = a_space().map_err(said("space"))?;
    let at = UserPage::new(0x4000_0000).ok_or("no page")?;
    marks.begin();
    let binding = memory::bind(region, space).map_err(said("bind"))?;
    let rights = Rights::READ | Rights::WRITE;
    memory::map_pages(space, binding, PageIndex(0), at, Pages(4), rights).map_err(said("map"))?;
    space.protect(at, Pages(2), Rights::READ).map_err(said("protect"))?;
    let _ = space.query(at);
    memory::unmap_pages(space, at, Pages(1)).map_err(said("unmap"))?;
    slots::delete(binding.handle()).map_err(said("delete a binding"))?;
    slots::delete(space.handle()).map_err(said("delete"))
}

fn a_space() -> Result<(Cap<Region>, Cap<AddressSpace>), Error> {
    Ok((memory::create::<Region>(4)?, memory::create::<AddressSpace>(16)?))
}

fn threads(marks: &Marks) -> Outcome {
    let rig = Rig::new()?;
    rig.load(&code![[0x0f, 0x05], END]);
    marks.begin();
    rig.go(&Rig::registers(), &FxArea::default())?;
    rig.fault()?;
    rig.look()?;
    rig.answer()?;
    rig.fault()?;
    rig.stop()?;
    slots::delete(rig.thread.handle()).map_err(said("delete"))
}

fn messages(marks: &Marks) -> Outcome {
    let endpoint = memory::create::<Endpoint>(0).map_err(said("endpoint"))?;
    let reply = memory::create::<Reply>(0).map_err(said("reply"))?;
    let server = thread::spawn(move || {
        let mut received = endpoint.receive(&reply, Deadline::NEVER)?;
        while let Received::Message { message, .. } = received {
            received = endpoint.reply_receive(&reply, &message, Deadline::NEVER)?;
        }
        Ok::<(), Error>(())
    });
    let _server = server.map_err(said("server"))?;
    thread::yield_now();
    marks.begin();
    for words in [&[1, 2][..], &[7; 5], &[9; 40]] {
        let message = Message::short(3, words);
        endpoint.call(&message, time::after(PATIENCE)).map_err(said("call"))?;
    }
    let silent = memory::create::<Endpoint>(0).map_err(said("endpoint"))?;
    let _ = silent.call(&Message::short(0, &[1]), time::after(Duration::from_micros(300)));
    let _ = silent.receive(&memory::create(0).map_err(said("reply"))?, Deadline::POLL);
    slots::delete(endpoint.handle()).map_err(said("delete"))
}

fn notifications(marks: &Marks) -> Outcome {
    let [bell, other] = [memory::create::<Notification>(0), memory::create(0)];
    let (bell, other) = (bell.map_err(said("bell"))?, other.map_err(said("other"))?);
    let waiter = thread::spawn(move || other.wait(time::after(PATIENCE)));
    let waiter = waiter.map_err(said("waiter"))?;
    thread::yield_now();
    marks.begin();
    bell.signal(Bits(5)).map_err(said("signal"))?;
    bell.wait(Deadline::POLL).map_err(said("wait"))?;
    other.signal(Bits(1)).map_err(said("signal"))?;
    let _ = waiter.join(time::after(PATIENCE));
    let _ = bell.wait(time::after(Duration::from_micros(300)));
    thread::current().bind(bell.handle()).map_err(said("bind"))?;
    slots::delete(bell.handle()).map_err(said("delete"))
}

fn guests(marks: &Marks) -> Outcome {
    let den = Den::new()?;
    // syscall; then a fault at address 0; then it spins.
    den.load(&code![[0x0f, 0x05], [0x48, 0x8b, 0x03], [0xeb, 0xfe]]);
    marks.begin();
    for rip in [CODE, CODE + 2, CODE + 5] {
        let registers = Registers { rip, rbx: 0, ..Rig::registers() };
        let end = time::after(Duration::from_micros(300));
        den.enter(&registers, &FxArea::default(), end).map_err(said("enter"))?;
    }
    slots::delete(den.guest.handle()).map_err(said("delete"))
}

fn uplink(marks: &Marks) -> Outcome {
    let uplink = environment().uplink();
    marks.begin();
    // An order that nobody obeys.
    uplink.send(1, 0, 0, 0, 0).map_err(said("send"))?;
    let _ = uplink.receive();
    print!("words for people\n");
    Ok(())
}

fn removal(marks: &Marks) -> Outcome {
    let pool = memory::create::<Untyped>(256).map_err(said("pool"))?;
    memory::remove_source(environment().untyped());
    memory::add_source(pool);
    let made = furnish();
    memory::remove_source(pool);
    memory::add_source(environment().untyped());
    made.map_err(said("furnish"))?;
    marks.begin();
    complete(|| environment().cspace().revoke(pool.handle())).map_err(said("revoke"))?;
    complete(|| pool.reset()).map_err(said("reset"))?;
    slots::delete(pool.handle()).map_err(said("delete"))
}

/// What is hard to take away: a thread that waits in a queue, one that runs, a table in a table, a mapping.
fn furnish() -> Result<(), Error> {
    let endpoint = memory::create::<Endpoint>(0)?;
    let bell = memory::create::<Notification>(0)?;
    let table = memory::create::<CSpace>(16)?;
    for slot in 1..4 {
        let own = environment().cspace();
        own.copy(endpoint.handle(), table.handle(), SlotIndex(slot), Rights::CALL | Rights::DERIVE)?;
    }
    let (region, space) = a_space()?;
    let binding = memory::bind(region, space)?;
    let at = UserPage::new(0x4000_0000).ok_or(Error::BadRange)?;
    memory::map_pages(space, binding, PageIndex(0), at, Pages(4), Rights::READ)?;
    for caller in [true, false] {
        let waiter = thread::spawn(move || {
            if caller {
                let _ = endpoint.call(&Message::short(0, &[1]), Deadline::NEVER);
            } else {
                let _ = bell.wait(Deadline::NEVER);
            }
        })?;
        core::mem::forget(waiter);
    }
    thread::yield_now();
    Ok(())
}

fn preemption(marks: &Marks) -> Outcome {
    static STOP: AtomicBool = AtomicBool::new(false);
    STOP.store(false, Ordering::Relaxed);
    let spinner = thread::spawn(|| {
        while !STOP.load(Ordering::Relaxed) {
            core::hint::spin_loop();
        }
    });
    let spinner = spinner.map_err(said("spinner"))?;
    marks.begin();
    let end = time::after(Duration::from_millis(8));
    while time::now().0 < end.0 {
        core::hint::spin_loop();
    }
    STOP.store(true, Ordering::Relaxed);
    spinner.join(time::after(PATIENCE)).map_err(said("join"))
}

fn sleep(marks: &Marks) -> Outcome {
    marks.begin();
    time::sleep(Duration::from_micros(500));
    Ok(())
}

/// The other core of this subOS.
fn elsewhere() -> Result<(u64, Cap<userlib::cap::Core>), String> {
    let own = environment();
    let found = (0..64).filter(|core| *core != own.startup().core);
    let mut found = found.filter_map(|core| own.core(core).ok().map(|cap| (u64::from(core), cap)));
    let (number, core) = found.next().ok_or("there is one core only")?;
    core.info().map_err(said("core"))?;
    Ok((number, core))
}

fn flush_elsewhere(marks: &Marks) -> Outcome {
    static STOP: AtomicBool = AtomicBool::new(false);
    static RUNS: AtomicBool = AtomicBool::new(false);
    STOP.store(false, Ordering::Relaxed);
    let (number, core) = elsewhere()?;
    let spinner = Builder::new().core(core).spawn(|| {
        while !STOP.load(Ordering::Relaxed) {
            RUNS.store(true, Ordering::Relaxed);
            core::hint::spin_loop();
        }
    });
    let spinner = spinner.map_err(said("spinner"))?;
    while !RUNS.load(Ordering::Relaxed) {
        thread::yield_now();
    }
    let mapping = Mapping::new(Pages(1)).map_err(said("mapping"))?;
    marks.begin_on(number);
    mapping.unmap().map_err(said("unmap"))?;
    STOP.store(true, Ordering::Relaxed);
    spinner.join(time::after(PATIENCE)).map_err(said("join"))
}

fn wake_elsewhere(marks: &Marks) -> Outcome {
    let (number, core) = elsewhere()?;
    let [bell, done] = [memory::create::<Notification>(0), memory::create(0)];
    let (bell, done) = (bell.map_err(said("bell"))?, done.map_err(said("done"))?);
    let waiter = Builder::new().core(core).spawn(move || {
        let _ = bell.wait(time::after(PATIENCE));
        let _ = done.signal(Bits(1));
    });
    core::mem::forget(waiter.map_err(said("waiter"))?);
    time::sleep(Duration::from_millis(1));
    marks.begin_on(number);
    bell.signal(Bits(1)).map_err(said("signal"))?;
    done.wait(time::after(PATIENCE)).map(|_| ()).map_err(said("wait"))
}
