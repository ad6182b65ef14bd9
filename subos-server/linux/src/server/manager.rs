//! The manager: it starts everything else and then listens to the supervisor.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::time::Duration;

use idl::bundle::Bundle;
use idl::dialogue::{CoreAnswer, Report, Request, Told};
use idl::event::Event;
use idl::slots::{ROOT_CORES, ROOT_LOTS};
use idl::types::{CoreNumber, LotNumber, Priority, Ticks};
use linux::platform::ExecutorId;
use linux::{Linux, PoolUse};
use userlib::cap::{Core, Guest, Notification, Thread, Uplink, complete};
use userlib::{Cap, Environment, Error, SlotIndex, environment, memory, slots, thread, time};

use super::executor::Executor;
use super::guard::Wards;
use super::machine::Machine;
use super::pool::{Pools, pages_in_use};
use super::system::{DOORBELL, System};

/// Where the files lie and the command runs.
const FOLDER: &str = "data";
/// How often the manager looks without being woken: a report that found the ring full goes then.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Pages of the home lot for frames when there is no other lot.
const HOME_FRAMES: u64 = 24 << 8;
/// Executors run below the manager, so that it hears of a core or lot that is wanted in time.
const EXECUTOR_PRIORITY: Priority = match Priority::new(7) {
    Some(priority) => priority,
    None => Priority::LOWEST,
};

/// An executor with its core.
struct Seat {
    core: CoreNumber,
    /// This program's own capability to the core, while it has it.
    capability: Cap<Core>,
    executor: ExecutorId,
    thread: Cap<Thread>,
}

/// The manager's state.
struct Manager {
    system: Arc<System>,
    wards: Wards,
    guard: Cap<Thread>,
    uplink: Cap<Uplink>,
    seats: Vec<Seat>,
    outbox: VecDeque<Report>,
    ended: bool,
    /// How many programs it has said to have ended for lack of memory.
    starved: u64,
}

/// Starts the command and looks after the subOS; `guard` is the thread that mends faults of this one. Comes back only when it cannot do its work.
///
/// # Errors
/// A text that says why.
pub(super) fn run(wards: &Wards, guard: Cap<Thread>) -> Result<Infallible, String> {
    let environment = environment();
    let kernel = |error: Error| format!("the kernel refused: {}", error.name());
    let notification = memory::create::<Notification>(0).map_err(kernel)?;
    environment.uplink().bind(notification.handle(), DOORBELL).map_err(kernel)?;
    let linux = boot(&environment, wards)?;
    let system = Arc::new(System::new(linux, notification));
    let mut manager = Manager {
        system,
        wards: wards.clone(),
        guard,
        uplink: environment.uplink(),
        seats: Vec::new(),
        outbox: VecDeque::new(),
        ended: false,
        starved: 0,
    };
    for core in 0..ROOT_CORES {
        if is_planted(idl::slots::root_core(core)) {
            manager.core_granted(CoreNumber(core)).map_err(kernel)?;
        }
    }
    loop {
        // The answer only says why the wait ended.
        let _ = notification.wait(time::after(LOOK_EVERY));
        manager.listen();
        manager.look_for_end();
        manager.flush();
    }
}

/// Whether a slot of the root table holds something.
fn is_planted(slot: Option<SlotIndex>) -> bool {
    slot.is_some_and(|slot| environment().roots().at(slot).is_ok())
}

/// A system with the files, in which the command is about to run.
fn boot(environment: &Environment, wards: &Wards) -> Result<Linux<Machine>, String> {
    let mut pools = Pools::new(wards.clone());
    let lots: Vec<LotNumber> =
        (1..ROOT_LOTS).filter(|&lot| is_planted(idl::slots::root_lot(lot))).map(LotNumber).collect();
    let mut ranges = Vec::new();
    for (index, &lot) in lots.iter().enumerate() {
        // The last lot keeps clean copies of files, which can be given up at any moment.
        let last = index > 0 && index + 1 == lots.len();
        let purpose = if last { PoolUse::Cache } else { PoolUse::General };
        let frames = pools.add(lot);
        ranges.push((
            frames.map_err(|error| format!("lot {} is of no use: {}", lot.0, error.name()))?,
            purpose,
        ));
    }
    if lots.is_empty() {
        let home = pools.add_memory(LotNumber(0), environment.untyped(), Some(HOME_FRAMES));
        let home = home.map_err(|error| format!("no memory for programs: {}", error.name()))?;
        ranges.push((home, PoolUse::General));
    }
    let mut linux = Linux::new(Machine::new(pools));
    for (frames, purpose) in ranges {
        linux.add_pool(frames, purpose);
    }
    let bytes = environment.files().map_err(|error| format!("no files: {}", error.name()))?;
    let files = Bundle::parse(bytes).map_err(|error| format!("the files: {error}"))?;
    for entry in files.entries() {
        let path = format!("{FOLDER}/{}", entry.name);
        // As on the host, every file may be executed.
        linux
            .add_file(path.as_bytes(), entry.data, 0o755)
            .map_err(|error| format!("{} does not fit: {error:?}", entry.name))?;
    }
    let arguments: Vec<&[u8]> = environment.arguments().split_whitespace().map(str::as_bytes).collect();
    let first = arguments.first().ok_or("there is no command to run")?;
    let program = [b"/", FOLDER.as_bytes(), b"/", *first].concat();
    if files.find("busybox").is_some() {
        let target = format!("/{FOLDER}/busybox");
        linux.add_link(b"bin/sh", target.as_bytes()).map_err(|error| format!("no /bin/sh: {error:?}"))?;
    }
    let mut words = arguments.clone();
    words[0] = &program;
    linux
        .spawn(&program, &words, &[], format!("/{FOLDER}").as_bytes())
        .map_err(|error| format!("{} cannot be executed: {error:?}", environment.arguments()))?;
    Ok(linux)
}

impl Manager {
    /// Puts an executor on a core: one that had to leave another, or a new one.
    fn core_granted(&mut self, core: CoreNumber) -> Result<(), Error> {
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.core == core) {
            seat.capability = environment().core(core.0)?;
            seat.thread.schedule(EXECUTOR_PRIORITY, seat.capability.handle())?;
            self.system.set_dormant(seat.executor, false);
            self.system.wake(seat.executor);
            self.count_cores();
            return Ok(());
        }
        let capability = environment().core(core.0)?;
        let wake = memory::create::<Notification>(0)?;
        let guest = memory::create::<Guest>(0)?;
        let Some(id) = self.system.enlist(wake) else { return Err(Error::OutOfRange) };
        let executor = Executor { system: Arc::clone(&self.system), id, guest, wake };
        let builder = thread::Builder::new().priority(EXECUTOR_PRIORITY).core(capability);
        let builder = self.wards.guarded(builder);
        let join = builder.spawn(move || panic!("an executor ended: {}", executor.run().name()))?;
        self.seats.push(Seat { core, capability, executor: id, thread: join.thread() });
        self.count_cores();
        Ok(())
    }

    /// A core is gone: the kernel runs its threads on others, where they would only be in the way.
    fn core_lost(&mut self, core: CoreNumber) {
        if let Some(seat) = self.seats.iter().find(|seat| seat.core == core) {
            // The capability went with the core; only its slot is left to give back.
            slots::release(seat.capability.handle().index());
            self.system.set_dormant(seat.executor, true);
            self.system.wake(seat.executor);
        }
        self.count_cores();
    }

    fn count_cores(&self) {
        let cores = self.seats.iter().filter(|seat| !self.system.is_dormant(seat.executor)).count();
        self.system.linux.lock().set_cores(u32::try_from(cores).unwrap_or(1));
    }

    /// Takes in what the kernel and the supervisor say.
    fn listen(&mut self) {
        while let Ok(words) = self.uplink.receive() {
            match Told::from_words(&words) {
                Ok(Told::Kernel(event)) => self.event(event),
                Ok(Told::Supervisor(Request::SayProgress {})) => self.say_progress(),
                Ok(Told::Supervisor(Request::GiveLot { lot, deadline })) => self.give_lot(lot, deadline),
                Ok(Told::Supervisor(Request::GiveCore { core, deadline })) => self.give_core(core, deadline),
                Ok(Told::Supervisor(Request::KeepCore { core })) => self.keep_core(core),
                Ok(Told::Supervisor(Request::KeepLot { lot })) => self.keep_lot(lot),
                // It asks for none.
                Ok(Told::Supervisor(Request::WindowTo { .. } | Request::NoWindow { .. })) => {}
                // Words that nobody understands are none of ours.
                Err(_) => {}
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            // A core on which no thread can be put is of no use; the others go on.
            Event::CoreGranted { core } => drop(self.core_granted(core)),
            Event::CoreLost { core } => self.core_lost(core),
            Event::LotGranted { lot, .. } => self.lot_granted(lot),
            Event::LotLost { lot } => self.lot_lost(lot),
            Event::LotWanted { lot, deadline } => self.give_lot(lot, deadline),
            // A core that the kernel announces goes without preparation.
            _ => {}
        }
    }

    /// Takes everything off a core, if there is another for it, and says whether that is done.
    fn give_core(&mut self, core: CoreNumber, deadline: Ticks) {
        let gave = self.leave(core).is_ok();
        let answer = if gave { CoreAnswer::Given } else { CoreAnswer::Needed };
        self.count_cores();
        self.outbox.push_back(Report::Core { core, deadline, answer });
    }

    /// Moves all that may run on a core to the first of the others that is not given. Its executor does nothing there.
    fn leave(&self, core: CoreNumber) -> Result<(), Error> {
        let here = self.seats.iter().find(|seat| seat.core == core).ok_or(Error::NotOwner)?;
        let stays = |seat: &&Seat| seat.core != core && !self.system.is_dormant(seat.executor);
        let other = self.seats.iter().find(stays).ok_or(Error::NoResource)?.capability.handle();
        here.thread.schedule(EXECUTOR_PRIORITY, other)?;
        self.system.set_dormant(here.executor, true);
        self.system.wake(here.executor);
        // These two run where the first thread began, or where the kernel moved them since.
        self.guard.schedule(Priority::ORDINARY, other)?;
        thread::current().schedule(Priority::ORDINARY, other)
    }

    /// A core that was given stays after all.
    fn keep_core(&self, core: CoreNumber) {
        let Some(seat) = self.seats.iter().find(|seat| seat.core == core) else { return };
        // If it went meanwhile, that is announced as well.
        if seat.thread.schedule(EXECUTOR_PRIORITY, seat.capability.handle()).is_ok() {
            self.system.set_dormant(seat.executor, false);
            self.system.wake(seat.executor);
            self.count_cores();
        }
    }

    /// A lot came after the start: more memory for programs.
    fn lot_granted(&self, lot: LotNumber) {
        let mut linux = self.system.linux.lock();
        let pools = &mut linux.platform_mut().pools;
        if lot.0 == 0 || pools.of_lot(lot).is_some() {
            return;
        }
        // If it cannot be mapped, programs do without it.
        if let Ok(frames) = pools.add(lot) {
            linux.add_pool(frames, PoolUse::General);
        }
    }

    /// A lot that was given stays after all: it is as a new one, once what was made of it is cleared away.
    fn keep_lot(&self, lot: LotNumber) {
        let given = self.system.linux.lock().platform().pools.of_lot(lot).is_none();
        if given && let Ok(untyped) = environment().lot(lot.0) {
            // Whatever is left in it; if something cannot be removed, programs do without the lot.
            let cleared = complete(|| untyped.reset());
            let _ = slots::delete(untyped.handle());
            if cleared.is_ok() {
                self.lot_granted(lot);
            }
        }
    }

    /// A lot went: by force, if nobody asked for it before.
    fn lot_lost(&self, lot: LotNumber) {
        let mut linux = self.system.linux.lock();
        let Some(frames) = linux.platform().pools.of_lot(lot).map(|pool| pool.frames.clone()) else { return };
        linux.lose_pool(&frames);
        linux.platform_mut().pools.remove(lot);
    }

    /// Stops needing a lot, and says what it holds. In this order: once nothing refers to the lot, it may
    /// go at any moment without harm to programs.
    fn give_lot(&mut self, lot: LotNumber, deadline: Ticks) {
        let (released, mapping) = {
            let mut linux = self.system.linux.lock();
            let Some(pool) = linux.platform().pools.of_lot(lot) else { return };
            let (frames, mapping) = (pool.frames.clone(), Arc::clone(&pool.mapping));
            (linux.release_pool(&frames).is_ok(), mapping)
        };
        // Counted without the lock: programs go on meanwhile. At half the time it ends, looked through or
        // not: at the deadline the memory is gone.
        let now = time::now().0;
        let until = Ticks(now.saturating_add(deadline.0.saturating_sub(now) / 2));
        let (looked, used) = pages_in_use(&mapping, until);
        if released {
            self.system.linux.lock().platform_mut().pools.remove(lot);
        }
        self.outbox.push_back(Report::Lot { lot, looked, used });
    }

    fn say_progress(&mut self) {
        let at = time::now();
        let (calls, started) = {
            let linux = self.system.linux.lock();
            (linux.report().calls, linux.report().processes)
        };
        self.outbox.push_back(Report::Progress { count: calls, at, longest: Ticks(0) });
        self.outbox.push_back(Report::Processes { started });
    }

    /// Says what was done on each core, and what was missing.
    fn say_work(&mut self) {
        let (counts, missing) = {
            let linux = self.system.linux.lock();
            (linux.executor_counts(), linux.report().missing_numbers())
        };
        for seat in &self.seats {
            if let Some(counts) = counts.get(usize::from(seat.executor.0)) {
                let (processes, calls) = (counts.processes, counts.calls);
                self.outbox.push_back(Report::Work { core: seat.core, processes, calls });
            }
        }
        self.outbox.extend(missing.into_iter().map(|(call, times)| Report::Missing { call, times }));
    }

    /// Says when programs lacked memory, and once how the first program ended, when no process is left.
    fn look_for_end(&mut self) {
        if self.ended {
            return;
        }
        let (exit, started, starved) = {
            let linux = self.system.linux.lock();
            (linux.ended(), linux.report().processes, linux.report().out_of_memory)
        };
        if starved > self.starved {
            self.starved = starved;
            self.outbox.push_back(Report::Starved { times: starved });
        }
        if let Some(status) = exit {
            self.ended = true;
            self.say_work();
            self.outbox.push_back(Report::Processes { started });
            self.outbox.push_back(Report::Ended { status: u32::from(status.shell_code()) });
            self.system.wake_all();
        }
    }

    /// Sends what there is to say, as far as there is room.
    fn flush(&mut self) {
        while let Some(report) = self.outbox.front() {
            let [a, b, c, d, e] = report.to_words();
            if self.uplink.send(a, b, c, d, e).is_err() {
                return;
            }
            self.outbox.pop_front();
        }
    }
}
