//! What several cores of one subOS do to each other's threads, mappings and objects.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use idl::abi::{FxArea, GuestFrame, Registers, TrapKind};
use idl::message::{Message, Received};
use idl::types::{Badge, Bits, Deadline, Pages, Priority, UserPage};
use userlib::cap::{Core, Endpoint, Notification, Region, Reply, Untyped, complete};
use userlib::memory::{self, Mapping};
use userlib::thread::Builder;
use userlib::{
    Cap, Error, Handle, Kind, Rights, cap, check, check_eq, environment, page, slots, thread, time,
};

use crate::guests::Den;
pub(crate) use crate::quiet::only_who_runs_there_is_asked;
use crate::rig::{CODE, DATA, PAGE_FAULT, Rig};
use crate::{Outcome, PATIENCE, said};

const SPIN: [u8; 2] = [0xeb, 0xfe];

/// The cores of this subOS.
pub(crate) fn cores() -> Result<Vec<Cap<Core>>, alloc::string::String> {
    let found: Vec<_> = (0..64).filter_map(|core| environment().core(core).ok()).collect();
    check!(found.len() > 1, "this needs several cores, and there are {}", found.len());
    Ok(found)
}

/// A core that the first thread is not on.
fn elsewhere() -> Result<Cap<Core>, alloc::string::String> {
    let here = environment().startup().core;
    for core in cores()? {
        if core.info().map_err(said("core"))?.core.0 != here {
            return Ok(core);
        }
    }
    Err("all cores are this one".into())
}

/// Clients on all cores call a server on one, and each gets its own answers.
pub(crate) fn calls_cross_cores() -> Outcome {
    const CALLS: u64 = 100;
    let endpoint = memory::create::<Endpoint>(0).map_err(said("endpoint"))?;
    let server = Builder::new().core(elsewhere()?).spawn(move || {
        let reply = memory::create::<Reply>(0)?;
        let mut received = endpoint.receive(&reply, Deadline::NEVER)?;
        loop {
            let Received::Message { badge, message } = received else { return Err(Error::InvalidArgument) };
            let answer = Message::short(0, &[message.words[0] + 1, badge.0]);
            if message.label == 99 {
                reply.reply(&answer)?;
                return Ok(());
            }
            received = endpoint.reply_receive(&reply, &answer, Deadline::NEVER)?;
        }
    });
    let server = server.map_err(said("server"))?;
    let mut clients = Vec::new();
    for (number, core) in (1..).zip(cores()?) {
        let caller = memory::mint(endpoint, Rights::CALL, Badge(number)).map_err(said("mint"))?;
        let client = Builder::new().core(core).spawn(move || {
            for round in 0..CALLS {
                let answer = caller.call(&Message::short(0, &[round]), time::after(PATIENCE * 2))?;
                if answer.words[..2] != [round + 1, number] {
                    return Err(Error::InvalidArgument);
                }
            }
            Ok(())
        });
        clients.push(client.map_err(said("client"))?);
    }
    let begin = time::now();
    for client in clients {
        check_eq!(client.join(time::after(PATIENCE * 4)), Ok(Ok(())));
    }
    let took = time::duration(idl::types::Ticks(time::now().0 - begin.0));
    userlib::println!("{} calls on {} cores took {took:?}", CALLS, cores()?.len());
    endpoint.call(&Message::short(99, &[1]), time::after(PATIENCE)).map_err(said("last call"))?;
    check_eq!(server.join(time::after(PATIENCE)), Ok(Ok(())));
    Ok(())
}

/// The same with two cores, one of which has the server.
pub(crate) fn calls_cross_two_cores() -> Outcome {
    calls_cross_cores()
}

/// A rig whose thread counts in its data on a core.
pub(crate) fn counter(core: Cap<Core>) -> Result<Rig, alloc::string::String> {
    let rig = Rig::new()?;
    rig.thread.schedule(Priority::ORDINARY, core.handle()).map_err(said("schedule"))?;
    // inc qword [rbx]; jmp
    rig.load(&[0x48, 0xff, 0x03, 0xeb, 0xfb]);
    rig.go(&Registers { rbx: DATA, ..Rig::registers() }, &FxArea::default())?;
    Ok(rig)
}

fn count(rig: &Rig) -> u64 {
    rig.data.word(0).map_or(0, |word| word.load(Ordering::Relaxed))
}

pub(crate) fn counts_on(rig: &Rig) -> Outcome {
    let (before, end) = (count(rig), time::after(PATIENCE));
    while count(rig) == before {
        check!(time::now().0 < end.0, "it does not run any more");
        thread::yield_now();
    }
    Ok(())
}

/// A running thread is moved from core to core, by others and by itself, and goes on.
pub(crate) fn threads_change_cores() -> Outcome {
    let cores = cores()?;
    let rigs = [counter(cores[0])?, counter(cores[0])?, counter(cores[cores.len() - 1])?];
    for round in 0..60 {
        for (index, rig) in rigs.iter().enumerate() {
            let core = cores[(round + index) % cores.len()];
            rig.thread.schedule(Priority::ORDINARY, core.handle()).map_err(said("schedule"))?;
        }
        if round % 10 == 0 {
            for rig in &rigs {
                counts_on(rig)?;
            }
        }
    }
    for _ in 0..20 {
        for core in &cores {
            thread::current().schedule(Priority::ORDINARY, core.handle()).map_err(said("schedule"))?;
        }
    }
    for rig in &rigs {
        counts_on(rig)?;
        rig.stop()?;
    }
    Ok(())
}

/// Stopping a thread on another core and letting it go on at once, again and again, from two sides.
pub(crate) fn stops_and_starts_race() -> Outcome {
    let rig = counter(elsewhere()?)?;
    let (thread, stop) = (rig.thread, Arc::new(AtomicBool::new(false)));
    let until = Arc::clone(&stop);
    let other = Builder::new().core(elsewhere()?).spawn(move || {
        while !until.load(Ordering::Relaxed) {
            let _ = thread.suspend();
            let _ = thread.resume();
            let _ = thread.schedule(Priority::ORDINARY, Handle::NONE);
        }
    });
    let other = other.map_err(said("spawn"))?;
    for _ in 0..300 {
        let _ = rig.thread.suspend();
        let _ = rig.thread.resume();
        let _ = rig.thread.write_registers();
    }
    stop.store(true, Ordering::Relaxed);
    other.join(time::after(PATIENCE)).map_err(said("join"))?;
    // Code is not changed under a thread that runs it: a processor need not notice in time.
    rig.stop()?;
    rig.load(&[0x48, 0xff, 0x03, 0xeb, 0xfb]);
    rig.go(&Registers { rbx: DATA, ..Rig::registers() }, &FxArea::default())?;
    counts_on(&rig)?;
    rig.stop()
}

/// When `suspend` has answered, the thread stands, wherever it ran; its registers can be read and set.
pub(crate) fn a_stopped_thread_stands() -> Outcome {
    let rig = counter(elsewhere()?)?;
    for _ in 0..50 {
        counts_on(&rig)?;
        rig.thread.suspend().map_err(said("suspend"))?;
        let before = count(&rig);
        let (registers, _) = rig.look()?;
        check!((CODE..CODE + 8).contains(&registers.rip), "it stands at {:#x}", registers.rip);
        time::sleep(Duration::from_micros(200));
        check_eq!(count(&rig), before);
        rig.thread.resume().map_err(said("resume"))?;
    }
    rig.stop()
}

/// Taking mappings away in every way there is ends the access of a thread on another core before the call answers.
pub(crate) fn mappings_go_on_every_core() -> Outcome {
    let page_address = 0x70_0000;
    let at = UserPage::new(page_address).ok_or("address")?;
    for way in 0..6 {
        let rig = Rig::new()?;
        let shared = memory::create::<Region>(1).map_err(said("region"))?;
        let copy =
            memory::copy(shared, Rights::READ | Rights::WRITE | Rights::DERIVE).map_err(said("copy"))?;
        rig.map(copy, page_address, Rights::READ | Rights::WRITE).map_err(said("map"))?;
        rig.thread.schedule(Priority::ORDINARY, elsewhere()?.handle()).map_err(said("schedule"))?;
        // mov [rcx], rax; inc qword [rbx]; jmp
        rig.load(&[0x48, 0x89, 0x01, 0x48, 0xff, 0x03, 0xeb, 0xf8]);
        rig.go(&Registers { rbx: DATA, rcx: page_address, ..Rig::registers() }, &FxArea::default())?;
        counts_on(&rig)?;
        let own = environment().cspace();
        match way {
            0 => rig.space.unmap(at, Pages(1)).map(|_| ()),
            1 => rig.space.protect(at, Pages(1), Rights::READ).map(|_| ()),
            2 => complete(|| own.revoke(copy.handle())),
            3 => complete(|| own.revoke(shared.handle())),
            4 => complete(|| own.delete(shared.handle())),
            _ => complete(|| own.delete(rig.space.handle())),
        }
        .map_err(said("take away"))?;
        let before = count(&rig);
        time::sleep(Duration::from_micros(500));
        check!(count(&rig) <= before + 1, "way {way}: it goes on writing");
        if way < 5 {
            let fault = rig.fault()?;
            check_eq!((way, fault.trap.vector, fault.trap.address), (way, PAGE_FAULT, page_address));
        }
    }
    Ok(())
}

/// Memory is taken back from under running threads, spaces, queues and guests on other cores, and is zero afterwards.
pub(crate) fn objects_go_while_in_use() -> Outcome {
    let budget = memory::create::<Untyped>(64).map_err(said("budget"))?;
    for round in 0..12 {
        let rig = counter(elsewhere()?)?;
        let thread = memory::create_from::<userlib::cap::Thread>(budget, 0).map_err(said("thread"))?;
        let region = memory::create_from::<Region>(budget, 4).map_err(said("region"))?;
        rig.map(region, 0x70_0000, Rights::READ | Rights::WRITE).map_err(said("map"))?;
        thread
            .configure(
                environment().cspace().handle(),
                rig.space.handle(),
                Handle::NONE,
                idl::types::PageIndex(0),
            )
            .map_err(said("configure"))?;
        thread.schedule(Priority::ORDINARY, elsewhere()?.handle()).map_err(said("schedule"))?;
        rig.code.write(64, &SPIN);
        let start = idl::types::UserAddress(CODE + 64);
        thread.start(start, idl::types::UserAddress(DATA + 4096), 0).map_err(said("start"))?;
        if round % 2 == 0 {
            time::sleep(Duration::from_micros(300));
        }
        complete(|| budget.reset()).map_err(said("reset"))?;
        check_eq!(budget.info().map_err(said("info"))?.used, 0);
        check_eq!(thread.info().map(|_| ()), Err(Error::EmptySlot));
        for handle in [thread.handle(), region.handle()] {
            slots::release(handle.index());
        }
        let again = memory::create_from::<Region>(budget, 60).map_err(said("again"))?;
        let mapping = Mapping::of(again, Rights::READ).map_err(said("mapping"))?;
        let used =
            (0..60 * 512).find(|word| mapping.word(*word).is_some_and(|w| w.load(Ordering::Relaxed) != 0));
        check_eq!(used, None);
        mapping.unmap().map_err(said("unmap"))?;
        complete(|| budget.reset()).map_err(said("reset"))?;
        slots::release(again.handle().index());
        rig.stop()?;
    }
    Ok(())
}

/// A guest, or its space, is deleted from another core while it runs, traps and is entered all the time.
pub(crate) fn guests_go_while_entered() -> Outcome {
    for round in 0..24 {
        let den = Den::new()?;
        // inc qword [rbx], so that it is seen to run; then it spins, makes a system call, or faults.
        den.load(match round % 3 {
            0 => &[0x48, 0xff, 0x03, 0xeb, 0xfe],
            1 => &[0x48, 0xff, 0x03, 0x0f, 0x05],
            _ => &[0x48, 0xff, 0x03, 0x0f, 0x0b],
        });
        let guest = den.guest;
        let inside = Builder::new().core(elsewhere()?).spawn(move || {
            loop {
                let registers = Registers { rbx: DATA, ..Rig::registers() };
                page::set_frame(&GuestFrame { registers, ..GuestFrame::default() })?;
                page::set_fx(&FxArea::default())?;
                match guest.enter(time::after(PATIENCE)) {
                    Ok(TrapKind::SystemCall | TrapKind::Exception) => {}
                    Ok(kind) => return Ok(Some(kind)),
                    Err(
                        Error::StaleHandle | Error::EmptySlot | Error::NotConfigured | Error::BeingRevoked,
                    ) => {
                        return Ok(None);
                    }
                    Err(error) => return Err(error),
                }
            }
        });
        let inside = inside.map_err(said("spawn"))?;
        while den.data.word(0).map_or(0, |word| word.load(Ordering::Relaxed)) == 0 {
            thread::yield_now();
        }
        time::sleep(Duration::from_micros(200 + 37 * round));
        let victim = if round % 2 == 0 { guest.handle() } else { den.space.handle() };
        slots::delete(victim).map_err(said("delete"))?;
        let came = inside.join(time::after(PATIENCE)).map_err(said("join"))?;
        check!(matches!(came, Ok(None | Some(TrapKind::Cancelled))), "round {round}: {came:?}");
        check!(round % 3 != 0 || came == Ok(Some(TrapKind::Cancelled)), "round {round}: {came:?}");
    }
    Ok(())
}

/// A signal from another core stops a guest, and its registers are exact.
pub(crate) fn signals_interrupt_guests() -> Outcome {
    let den = Den::new()?;
    // inc rax; inc rbx; jmp: between two instructions the two differ by one at most.
    den.load(&[0x48, 0xff, 0xc0, 0x48, 0xff, 0xc3, 0xeb, 0xf8]);
    let notification = memory::create::<Notification>(0).map_err(said("notification"))?;
    thread::current().bind(notification.handle()).map_err(said("bind"))?;
    let signaller = Builder::new().core(elsewhere()?).spawn(move || {
        for _ in 0..40 {
            time::sleep(Duration::from_micros(300));
            notification.signal(Bits(1))?;
        }
        notification.signal(Bits(2))
    });
    let signaller = signaller.map_err(said("spawn"))?;
    let (mut registers, mut ended) = (Rig::registers(), 0);
    for _ in 0..2000 {
        let (trap, found, _) =
            den.enter(&registers, &FxArea::default(), time::after(PATIENCE)).map_err(said("enter"))?;
        check_eq!(trap.kind, TrapKind::Interrupted as u32);
        let ahead = found.rax - found.rbx;
        check!(
            ahead == u64::from(found.rip == CODE + 3),
            "rax {} rbx {} at {:#x}",
            found.rax,
            found.rbx,
            found.rip
        );
        registers = found;
        let bits = notification.wait(Deadline::POLL).map_err(said("bits"))?;
        ended += 1;
        if bits.0 & 2 != 0 {
            break;
        }
    }
    check!(ended > 1 && registers.rax > 0, "it was stopped {ended} times");
    check_eq!(signaller.join(time::after(PATIENCE)), Ok(Ok(())));
    Ok(())
}

/// All cores make objects and remove them at the same time, each in memory of its own.
pub(crate) fn everybody_makes_and_removes() -> Outcome {
    let mut workers = Vec::new();
    for core in cores()? {
        let budget = memory::create::<Untyped>(128).map_err(said("budget"))?;
        let work = move || -> Result<(), Error> {
            for round in 0..12 {
                let mut made = Vec::new();
                for kind in [Kind::Endpoint, Kind::Notification, Kind::Reply, Kind::Thread, Kind::Guest] {
                    made.push(slots::fill(|slot| budget.retype(kind, 0, slot))?);
                }
                let region = memory::create_from::<Region>(budget, 2)?;
                let mapping = Mapping::of(region, Rights::READ | Rights::WRITE)?;
                if let Some(word) = mapping.word(0) {
                    if word.load(Ordering::Relaxed) != 0 {
                        return Err(Error::InvalidArgument);
                    }
                    word.store(1, Ordering::Relaxed);
                }
                mapping.unmap()?;
                for handle in made.drain(..round % 5) {
                    slots::delete(handle)?;
                }
                complete(|| budget.reset())?;
                made.push(region.handle());
                for handle in made {
                    slots::release(handle.index());
                }
            }
            Ok(())
        };
        workers.push(Builder::new().core(core).spawn(work).map_err(said("spawn"))?);
    }
    for worker in workers {
        check_eq!(worker.join(time::after(PATIENCE * 4)), Ok(Ok(())));
    }
    Ok(())
}

/// Sleeps of many threads on all cores end, none early. How late, the host has a say in: one whose deadline is lost is
/// waited for until the harness ends the case.
pub(crate) fn deadlines_on_every_core() -> Outcome {
    let mut sleepers = Vec::new();
    for (number, core) in (0..12_u64).zip(cores()?.into_iter().cycle()) {
        let work = move || {
            let early = (0..10).filter(|round| {
                let wait = Duration::from_micros(200 + 150 * ((number * 7 + round * 3) % 11));
                let begin = time::now().0;
                time::sleep(wait);
                time::now().0 - begin < time::ticks(wait).0
            });
            early.count()
        };
        sleepers.push(Builder::new().core(core).spawn(work).map_err(said("spawn"))?);
    }
    for sleeper in sleepers {
        check_eq!(sleeper.join(Deadline::NEVER), Ok(0));
    }
    Ok(())
}

/// The memory of a space is cleared and used again the moment all cores have let go of it, though one of them ran
/// there until then: nobody may be left on page tables that are not there any more.
pub(crate) fn spaces_are_used_again_at_once() -> Outcome {
    let budget = memory::create::<Untyped>(80).map_err(said("budget"))?;
    for round in 0..10 {
        let mut made: Vec<Handle> = Vec::new();
        let make = |kind, size| slots::fill(|slot| budget.retype(kind, size, slot)).map_err(said("make"));
        for core in cores()? {
            let space = make(Kind::AddressSpace, 8)?;
            let code = make(Kind::Region, 1)?;
            let thread = make(Kind::Thread, 0)?;
            let window = Mapping::of(cap(code), Rights::READ | Rights::WRITE).map_err(said("window"))?;
            // A null call for ever, or nothing for ever.
            window.write(0, if round % 2 == 0 { &[0x31, 0xc0, 0x0f, 0x05, 0xeb, 0xfa] } else { &SPIN[..] });
            window.unmap().map_err(said("unmap"))?;
            let bound = memory::bind(cap(code), cap(space)).map_err(said("bind"))?;
            let at = UserPage::new(CODE).ok_or("address")?;
            let rights = Rights::READ | Rights::EXECUTE;
            let page = idl::types::PageIndex(0);
            memory::map_pages(cap(space), bound, page, at, Pages(1), rights).map_err(said("map"))?;
            let runner: Cap<userlib::cap::Thread> = cap(thread);
            runner
                .configure(environment().cspace().handle(), space, Handle::NONE, page)
                .and_then(|()| runner.schedule(Priority::ORDINARY, core.handle()))
                .and_then(|()| runner.start(idl::types::UserAddress(CODE), idl::types::UserAddress(CODE), 0))
                .map_err(said("start"))?;
            made.extend([space, code, thread, bound.handle()]);
        }
        thread::yield_now();
        complete(|| budget.reset()).map_err(said("reset"))?;
        for handle in made {
            slots::release(handle.index());
        }
    }
    Ok(())
}

/// Wild values in every argument, as the program of a subOS with several cores, its end of the share included.
pub(crate) fn wild_values_on_many_cores() -> Outcome {
    crate::wild::values_in_every_argument()
}
