//! Cores and lots come and go while a subOS works with all it has: nothing that it does is lost.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

use idl::abi::{FxArea, GuestFrame, Registers, TrapKind};
use idl::message::{Message, Received};
use idl::types::{Chunks, CoreNumber, Deadline, LotNumber, Priority, SubOsState};
use userlib::cap::{Core, Endpoint, Reply, Untyped, complete};
use userlib::thread::{Builder, Join};
use userlib::{Cap, Error, Handle, Kind, check, check_eq, environment, memory, page, slots, thread, time};

use crate::abroad::{Colony, audit, clean, free_chunks, patiently};
use crate::guests::Den;
use crate::rig::{CODE, DATA, Rig};
use crate::{Outcome, PATIENCE, said};

/// What the supervisor asks: how far, to end, and to have interrupts between the cores disturbed, which is answered with how
/// many were.
pub(crate) const HOW_FAR: u64 = 1;
pub(crate) const END: u64 = 2;
pub(crate) const DISTURB: u64 = 3;

pub(crate) const CHILDREN: &[(&str, fn())] = &[("moves/work", work), ("moves/reset", reset)];

/// Works on all cores in every way there is, until it is told to end; then nobody may be missing.
fn work() {
    crate::abroad::report(&work_until_told());
}

/// What all workers look at and count in.
#[derive(Clone)]
struct Shared {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
}

impl Shared {
    fn goes_on(&self) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed);
        !self.stop.load(Ordering::Relaxed)
    }
}

type Worker = Join<Result<(), Error>>;

fn work_until_told() -> Outcome {
    let shared = Shared { stop: Arc::new(AtomicBool::new(false)), count: Arc::new(AtomicU64::new(0)) };
    let cores: Vec<Cap<Core>> = (0..64).filter_map(|core| environment().core(core).ok()).collect();
    // Whoever is asked must come to answer, whatever the workers do.
    thread::current().schedule(Priority::HIGHEST, Handle::NONE).map_err(said("schedule"))?;
    let mut workers = Vec::new();
    for (number, core) in (0..).zip(&cores) {
        let there = cores[(number + 1) % cores.len()];
        workers.extend(pair(&shared, *core, *core).map_err(said("pair"))?);
        workers.extend(pair(&shared, *core, there).map_err(said("pair"))?);
        workers.push(sleeper(&shared, *core).map_err(said("sleeper"))?);
        workers.push(host(&shared, *core)?);
        workers.push(stepper(&shared, *core).map_err(said("stepper"))?);
    }
    let rig = Rig::new()?;
    rig.load(&[0x48, 0xff, 0x03, 0xeb, 0xfb]);
    rig.go(&Registers { rbx: DATA, ..Rig::registers() }, &FxArea::default())?;
    loop {
        match environment().uplink().receive() {
            Ok([HOW_FAR, ..]) => {
                let spun = rig.data.word(0).map_or(0, |word| word.load(Ordering::Relaxed));
                let count = shared.count.load(Ordering::Relaxed);
                environment().uplink().send(HOW_FAR, count, spun, 0, 0).map_err(said("send"))?;
            }
            Ok([END, ..]) => break,
            Ok([DISTURB, losing, doubling, seed, _]) => {
                let disturbed = crate::injections::disturb_cores(losing, doubling, seed);
                environment().uplink().send(DISTURB, disturbed, 0, 0, 0).map_err(said("send"))?;
            }
            Ok(_) => {}
            Err(_) => time::sleep(Duration::from_millis(1)),
        }
    }
    shared.stop.store(true, Ordering::Relaxed);
    rig.stop()?;
    for (number, worker) in workers.into_iter().enumerate() {
        let came = worker.join(time::after(PATIENCE));
        check!(came == Ok(Ok(())), "worker {number} is missing: {came:?}");
    }
    Ok(())
}

/// A server on one core and its client on another.
fn pair(shared: &Shared, here: Cap<Core>, there: Cap<Core>) -> Result<[Worker; 2], Error> {
    let endpoint = memory::create::<Endpoint>(0)?;
    let reply = memory::create::<Reply>(0)?;
    let server = Builder::new().core(here).spawn(move || {
        let mut received = endpoint.receive(&reply, Deadline::NEVER)?;
        loop {
            let Received::Message { message, .. } = received else { return Err(Error::InvalidArgument) };
            let answer = Message::short(0, &[message.words[0] + 1]);
            if message.label == 9 {
                return reply.reply(&answer);
            }
            received = endpoint.reply_receive(&reply, &answer, Deadline::NEVER)?;
        }
    })?;
    let shared = shared.clone();
    let client = Builder::new().core(there).spawn(move || {
        let mut round = 0;
        loop {
            let label = if shared.goes_on() { 0 } else { 9 };
            let answer = endpoint.call(&Message::short(label, &[round]), Deadline::NEVER)?;
            if answer.words[0] != round + 1 {
                return Err(Error::InvalidArgument);
            }
            if label == 9 {
                return Ok(());
            }
            round += 1;
            if round % 8 == 0 {
                thread::yield_now();
            }
        }
    })?;
    Ok([server, client])
}

/// Sleeps most of the time: its timer expires all the time.
fn sleeper(shared: &Shared, core: Cap<Core>) -> Result<Worker, Error> {
    let shared = shared.clone();
    Builder::new().core(core).spawn(move || {
        while shared.goes_on() {
            time::sleep(Duration::from_micros(120));
        }
        Ok(())
    })
}

/// Runs a guest that spins, makes calls and faults.
fn host(shared: &Shared, core: Cap<Core>) -> Result<Worker, String> {
    let (shared, den) = (shared.clone(), Den::new()?);
    // inc rax; syscall; inc rax; spin
    den.load(&[0x48, 0xff, 0xc0, 0x0f, 0x05, 0x48, 0xff, 0xc0, 0xeb, 0xfe]);
    let guest = den.guest;
    let worker = Builder::new().core(core).spawn(move || {
        while shared.goes_on() {
            let mut registers = Registers { rip: CODE, rax: 40, ..Rig::registers() };
            for expected in [TrapKind::SystemCall, TrapKind::Interrupted] {
                page::set_frame(&GuestFrame { registers, ..GuestFrame::default() })?;
                page::set_fx(&FxArea::default())?;
                let kind = guest.enter(time::after(Duration::from_micros(300)))?;
                registers = page::frame()?.registers;
                if kind == TrapKind::Interrupted {
                    break;
                }
                if kind != expected || registers.rax != 41 {
                    return Err(Error::InvalidArgument);
                }
            }
        }
        Ok(())
    });
    worker.map_err(said("host"))
}

/// Lets a thread count and trap in turn: a trap whose instruction is behind does not come again if it goes lost.
fn stepper(shared: &Shared, core: Cap<Core>) -> Result<Worker, Error> {
    let shared = shared.clone();
    Builder::new().core(core).spawn(move || {
        let wrong = |_| Error::InvalidArgument;
        let rig = Rig::new().map_err(wrong)?;
        // inc qword [rbx]; int3; jmp
        rig.load(&[0x48, 0xff, 0x03, 0xcc, 0xeb, 0xfa]);
        rig.go(&Registers { rbx: DATA, ..Rig::registers() }, &FxArea::default()).map_err(wrong)?;
        let mut traps = 0;
        while shared.goes_on() {
            rig.fault().map_err(wrong)?;
            traps += 1;
            let counted = rig.data.word(0).map_or(0, |word| word.load(Ordering::Relaxed));
            if counted != traps {
                userlib::println!("{traps} traps came, and {counted} were made");
                return Err(Error::InvalidArgument);
            }
            rig.answer().map_err(wrong)?;
        }
        rig.stop().map_err(wrong)
    })
}

pub(crate) fn how_far(colony: &Colony) -> Result<[u64; 2], String> {
    colony.subos.send(HOW_FAR, 0, 0, 0, 0).map_err(said("send"))?;
    let end = time::after(PATIENCE);
    loop {
        if let [HOW_FAR, count, spun, ..] = colony.event(end)? {
            return Ok([count, spun]);
        }
    }
}

/// It has come further since.
pub(crate) fn goes_on(colony: &Colony, before: &mut [u64; 2]) -> Outcome {
    let end = time::after(PATIENCE);
    loop {
        let now = how_far(colony)?;
        if now[0] > before[0] && now[1] > before[1] {
            *before = now;
            return Ok(());
        }
        check!(time::now().0 < end.0, "it stands at {now:?}");
        time::sleep(Duration::from_millis(2));
    }
}

/// Cores are taken and given while calls, timers and guests are under way on all of them, down to one and to none.
pub(crate) fn cores_come_and_go_under_load() -> Outcome {
    let free = free_chunks()?;
    let colony = Colony::launch("moves/work", 16, 3)?;
    let mut far = how_far(&colony)?;
    for round in 0..18_u32 {
        let core = 1 + round % 3;
        colony.reclaim_core(core)?;
        goes_on(&colony, &mut far)?;
        if round % 6 == 5 {
            // Down to none, and back.
            let others = [1, 2, 3].into_iter().filter(|other| *other != core);
            for other in others.clone() {
                colony.reclaim_core(other)?;
            }
            audit()?;
            for other in others {
                colony.subos.grant_core(CoreNumber(other)).map_err(said("grant back"))?;
            }
            goes_on(&colony, &mut far)?;
        }
        colony.subos.grant_core(CoreNumber(core)).map_err(said("grant"))?;
    }
    goes_on(&colony, &mut far)?;
    check_eq!(colony.state()?, SubOsState::Running);
    audit()?;
    colony.subos.send(END, 0, 0, 0, 0).map_err(said("send"))?;
    let heard = colony.hear("@abroad result=")?;
    check!(heard.contains("result=ok"), "{heard}");
    colony.destroy()?;
    clean(free)
}

/// Lots are given and taken while it works, and it is ended in the middle of everything.
pub(crate) fn lots_come_and_go_under_load() -> Outcome {
    let free = free_chunks()?;
    for round in 0..3_u32 {
        let colony = Colony::launch("moves/work", 16, 3)?;
        let mut far = how_far(&colony)?;
        for _ in 0..4 {
            let lots: Result<Vec<LotNumber>, _> =
                (1..=3).map(|chunks| colony.subos.grant_lot(Chunks(chunks))).collect();
            for lot in lots.map_err(said("grant_lot"))? {
                patiently("reclaim_lot", || colony.subos.reclaim_lot(lot))?;
            }
            goes_on(&colony, &mut far)?;
        }
        check_eq!(colony.subos.reclaim_lot(LotNumber(0)).map(|_| ()), Err(Error::HomeLot));
        time::sleep(Duration::from_micros(u64::from(round) * 700));
        colony.destroy()?;
        clean(free)?;
    }
    Ok(())
}

/// The only core of a subOS goes in the middle of what it removes: nobody is left to end that, and nobody waits for it.
pub(crate) fn the_only_core_goes_in_the_middle_of_a_removal() -> Outcome {
    let free = free_chunks()?;
    let colony = Colony::launch("moves/reset", 16, 1)?;
    for round in 0..50 {
        time::sleep(Duration::from_micros(100 + 37 * round));
        colony.reclaim_core(1)?;
        colony.subos.grant_core(CoreNumber(1)).map_err(said("grant"))?;
    }
    audit()?;
    colony.destroy()?;
    clean(free)
}

/// Makes something of its memory, and takes it back, over and over.
fn reset() {
    let made = memory::create::<Untyped>(128).and_then(|untyped| Ok((untyped, slots::allocate()?)));
    let Ok((untyped, slot)) = made else { return };
    while untyped.retype(Kind::Region, 128, slot).is_ok() && complete(|| untyped.reset()).is_ok() {}
}
