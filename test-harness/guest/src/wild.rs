//! Wild values in every argument of every method, and wild op words. Whatever is asked, the kernel answers with an
//! error that it declared, or does it; the caller goes on.
//!
//! The calls are made by this program itself, through capabilities to objects that it can lose. Values are drawn by
//! a generator with a fixed seed, so that a failure comes again.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use idl::Invoke;
use idl::abi::{OpWord, REGISTER_WORDS};
use idl::kernel::methods;
use idl::method::{COMMON_ERRORS, MethodInfo};
use idl::types::Deadline;
use userlib::cap::{CSpace, Kernel, Untyped};
use userlib::memory;
use userlib::{Cap, Error, Handle, Kind, Rights, SlotIndex, check, environment, slots, time};

use crate::abroad::{Colony, clean, free_chunks};
use crate::rig::{CODE, END, Rig, code};
use crate::{Outcome, said};

/// Words that are wrong in one way or another for most arguments.
const WORDS: [u64; 28] = [
    0,
    1,
    2,
    3,
    7,
    8,
    15,
    16,
    0x7f,
    0xff,
    0x100,
    0xfff,
    0x1000,
    0x1001,
    0x10_0000,
    0x20_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x7fff_ffff_f000,
    0x7fff_ffff_ffff,
    0x8000_0000_0000,
    0xffff_8000_0000_0000,
    0xffff_ffff_8000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_f000,
    u64::MAX,
];
/// How often each method is tried with words that are all drawn.
const ROUNDS: usize = 24;

/// Draws numbers: a generator of Marsaglia's.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % end
    }
}

/// What can be made of untyped memory, with a size at which it is of use.
pub(crate) const MADE: [(Kind, u64); 9] = [
    (Kind::Untyped, 16),
    (Kind::CSpace, 32),
    (Kind::Thread, 0),
    (Kind::AddressSpace, 16),
    (Kind::Region, 4),
    (Kind::Endpoint, 0),
    (Kind::Notification, 0),
    (Kind::Reply, 0),
    (Kind::Guest, 0),
];

/// Objects of every kind that can be made, anew for each method.
pub(crate) struct Stock {
    pub(crate) handles: Vec<(Kind, Handle)>,
}

impl Stock {
    pub(crate) fn new() -> Result<Self, Error> {
        Self::from(environment().untyped())
    }

    /// The same, made of this memory.
    fn from(memory: Cap<Untyped>) -> Result<Self, Error> {
        let own = environment();
        let mut handles = Vec::new();
        for (kind, size) in MADE {
            let make = |slot| memory.retype(kind, size, slot);
            handles.push((kind, slots::fill(make)?));
        }
        handles.push((Kind::Core, own.core(own.startup().core)?.handle()));
        // The table of the machine's own: copies that do not allow to end it.
        let console = memory::copy(own.console(), Rights::WRITE)?;
        handles.push((Kind::DebugConsole, console.handle()));
        if own.startup().subos == 0 {
            handles
                .push((Kind::Machine, memory::copy(own.machine(), Rights::READ | Rights::MANAGE)?.handle()));
        } else {
            let rights = Rights::CALL | Rights::RECEIVE;
            handles.push((Kind::Uplink, memory::copy(own.uplink(), rights)?.handle()));
        }
        Ok(Self { handles })
    }

    pub(crate) fn of(&self, kind: Kind) -> Option<Handle> {
        self.handles.iter().find(|(known, _)| *known == kind).map(|(_, handle)| *handle)
    }

    pub(crate) fn clear(self) {
        let own = environment().cspace();
        for (_, handle) in self.handles {
            // What the calls before moved or deleted is gone already.
            let _ = userlib::cap::complete(|| own.delete(handle));
            slots::release(handle.index());
        }
    }
}

/// Whether a method may answer with an error.
fn is_declared(method: &MethodInfo, error: Error) -> bool {
    COMMON_ERRORS.contains(&error) || method.errors.contains(&error)
}

/// Makes a call; fails if the answer is none that the method declares.
pub(crate) fn call(
    method: &MethodInfo,
    op: OpWord,
    target: Handle,
    words: [u64; REGISTER_WORDS],
    second: Handle,
) -> Outcome {
    let (result, ..) = Kernel.invoke(op, target, words, Deadline::POLL, second);
    match result.status() {
        Err(error) if !is_declared(method, error) => {
            Err(format!("{:?}.{} answers {error} to {words:x?} {target:?}", method.kind, method.name))
        }
        _ => Ok(()),
    }
}

/// Methods that would end the case, whatever their arguments are, if they are called on what the case lives by.
pub(crate) fn is_deadly(method: &MethodInfo) -> bool {
    matches!((method.kind, method.name), (Kind::DebugConsole, "exit"))
}

/// Every method, with each argument wrong in each way while the others are plausible, then with all of them drawn.
pub(crate) fn values_in_every_argument() -> Outcome {
    let mut dice = Dice(0x5eed_1234_5678_9abc);
    let mut calls = 0_u64;
    for method in methods().filter(|method| !is_deadly(method)) {
        let mut stock = Stock::new().map_err(said("stock"))?;
        let Some(mut target) = stock.of(method.kind) else {
            stock.clear();
            continue;
        };
        let op = OpWord::new(method.kind, method.id);
        for index in 0..REGISTER_WORDS {
            for word in WORDS {
                let mut words = plausible(method, &stock)?;
                words[index] = word;
                call(method, op, target, words, Handle(word))?;
                calls += 1;
                if environment().cspace().info(target).is_err() {
                    stock.clear();
                    stock = Stock::new().map_err(said("stock"))?;
                    target = stock.of(method.kind).ok_or("no target")?;
                }
            }
        }
        for _ in 0..ROUNDS {
            let words = [(); REGISTER_WORDS].map(|()| draw(&mut dice, &stock));
            call(method, op, target, words, Handle(draw(&mut dice, &stock)))?;
            calls += 1;
        }
        stock.clear();
    }
    userlib::println!("{calls} wild calls");
    check!(calls > 5000, "only {calls} calls");
    Ok(())
}

/// Calls every method once, with arguments that it could well be called with, on objects made for this; `begin` comes before
/// the first call.
pub(crate) fn once_each(begin: impl FnOnce()) -> Outcome {
    let stock = Stock::new().map_err(said("stock"))?;
    let mut calls = Vec::new();
    for method in methods().filter(|method| !is_deadly(method)) {
        if let Some(target) = stock.of(method.kind) {
            calls.push((method, target, plausible(method, &stock)?));
        }
    }
    begin();
    for (method, target, words) in calls {
        call(method, OpWord::new(method.kind, method.id), target, words, Handle(0))?;
    }
    stock.clear();
    Ok(())
}

/// Every method once, with everything drawn, of objects that are made of this memory and go again. What comes of a call that
/// was meant for a slot is taken away, so that the caller's own slots stay what it takes them for; and what its subOS is told is left for others to hear.
pub(crate) fn one_of_each(dice: &mut Dice, memory: Cap<Untyped>) -> Result<(), Error> {
    let (own, scratch) = (environment().cspace(), slots::allocate()?);
    let stock = Stock::from(memory)?;
    let hears = |method: &MethodInfo| matches!((method.kind, method.name), (Kind::Uplink, "receive"));
    for method in methods().filter(|method| !is_deadly(method) && !hears(method)) {
        let target = stock.of(method.kind).unwrap_or_else(|| Handle(draw(dice, &stock)));
        let mut words = [(); REGISTER_WORDS].map(|()| draw(dice, &stock));
        for (word, _) in words.iter_mut().zip(method.arguments).filter(|(_, field)| field.ty == "SlotIndex") {
            *word = [u64::from(scratch.0), *word | 1 << 20][dice.below(2)];
        }
        let op = OpWord::new(method.kind, method.id);
        let _ = Kernel.invoke(op, target, words, Deadline::POLL, Handle(draw(dice, &stock)));
        if let Ok(made) = own.at(scratch) {
            let _ = userlib::cap::complete(|| own.delete(made));
        }
    }
    slots::release(scratch);
    stock.clear();
    userlib::cap::complete(|| memory.reset())
}

fn draw(dice: &mut Dice, stock: &Stock) -> u64 {
    match dice.below(4) {
        0 => dice.next(),
        1 => stock.handles[dice.below(stock.handles.len())].1.0,
        2 => WORDS[dice.below(WORDS.len())] ^ 1 << dice.below(64),
        _ => WORDS[dice.below(WORDS.len())],
    }
}

/// Arguments that the method could well be called with.
pub(crate) fn plausible(method: &MethodInfo, stock: &Stock) -> Result<[u64; REGISTER_WORDS], String> {
    let mut words = [0; REGISTER_WORDS];
    let free = slots::allocate().map_err(said("slot"))?;
    slots::release(free);
    for (word, field) in words.iter_mut().zip(method.arguments) {
        let kind = match field.name {
            "source" | "notification" => Some(Kind::Notification),
            "region" => Some(Kind::Region),
            "space" => Some(Kind::AddressSpace),
            "endpoint" => Some(Kind::Endpoint),
            "core" if field.ty == "Handle" => Some(Kind::Core),
            _ => None,
        };
        *word = match (kind.and_then(|kind| stock.of(kind)), field.ty) {
            (Some(handle), _) => handle.0,
            (None, "SlotIndex") => u64::from(free.0),
            (None, "UserPage" | "UserAddress") => 0x6000_0000_0000,
            (None, "Rights") => 1,
            (None, "Kind") => u64::from(Kind::Notification.number()),
            (None, "Handle") => 0,
            (None, _) => 1,
        };
    }
    Ok(words)
}

/// Every pattern of the op word's fields, on targets of the right kind, another kind, and none.
pub(crate) fn op_words() -> Outcome {
    let mut dice = Dice(0x0b5e_55ed);
    let stock = Stock::new().map_err(said("stock"))?;
    let targets: Vec<u64> = stock.handles.iter().map(|(_, handle)| handle.0).chain(WORDS).collect();
    let mut answered = 0_u64;
    for kind in 0..=255_u64 {
        for method in [0, 1, 2, 5, 12, 16, 127, 254, 255] {
            // Ending the machine would end the case.
            if kind == u64::from(Kind::DebugConsole.number()) && method == 2 {
                continue;
            }
            for upper in [
                0,
                1 << 16,
                6 << 16,
                255 << 16,
                1 << 24,
                4 << 24,
                5 << 24,
                1 << 27,
                1 << 31,
                1 << 32,
                !0 << 48,
            ] {
                let op = OpWord(upper | kind << 8 | method);
                let target = Handle(targets[dice.below(targets.len())]);
                let (result, ..) = Kernel.invoke(op, target, [0; 5], Deadline::POLL, Handle(0));
                answered += u64::from(result.status().is_err());
            }
        }
    }
    check!(answered > 20_000, "only {answered} of the calls were refused");
    stock.clear();
    Ok(())
}

/// A thread that makes system calls with all registers drawn, of its own authority, while another is preempted all
/// the time. What it has may go; the kernel and this program stay.
pub(crate) fn a_thread_with_a_table_of_its_own() -> Outcome {
    let mut dice = Dice(0x001c_ee11_aa77);
    let rig = Rig::new()?;
    let table = furnished().map_err(said("table"))?;
    let spinner = Rig::new()?;
    spinner.load(&[0xeb, 0xfe]);
    spinner.go(&Rig::registers(), &idl::abi::FxArea::default())?;
    let wild = memory::create::<userlib::cap::Thread>(0).map_err(said("thread"))?;
    let page = memory::create::<userlib::cap::Region>(1).map_err(said("page"))?;
    wild.configure(table.handle(), rig.space.handle(), page.handle(), idl::types::PageIndex(0))
        .map_err(said("configure"))?;
    wild.schedule(idl::types::Priority::ORDINARY, Handle::NONE).map_err(said("schedule"))?;
    wild.fault_handler(rig.faults.handle(), crate::rig::BADGE).map_err(said("handler"))?;
    rig.load(&code![[0x0f, 0x05], END]);
    let mut came = 0;
    for round in 0..600 {
        let kind = 1 + dice.below(15) as u64;
        let op = (1 + dice.below(15) as u64) | kind << 8;
        let registers = idl::abi::Registers {
            rax: if round % 7 == 0 { dice.next() } else { op },
            rdi: dice.below(40) as u64,
            rsi: word(&mut dice),
            rdx: word(&mut dice),
            r10: word(&mut dice),
            r8: word(&mut dice),
            r9: word(&mut dice),
            r12: 1,
            r13: dice.below(40) as u64,
            rip: CODE,
            ..Rig::registers()
        };
        let frame = idl::abi::GuestFrame { registers, ..idl::abi::GuestFrame::default() };
        userlib::page::set_frame(&frame).map_err(said("frame"))?;
        userlib::page::set_fx(&idl::abi::FxArea::default()).map_err(said("fx"))?;
        let _ = wild.suspend();
        // It may have taken away what it needs to go on; then it is furnished anew.
        if wild.write_registers().is_err() || wild.resume().is_err() {
            break;
        }
        match rig.faults.receive(&rig.reply, time::after(Duration::from_millis(500))) {
            Ok(_) => came += 1,
            Err(Error::TimedOut) => {}
            Err(error) => return Err(format!("receive: {error}")),
        }
    }
    userlib::println!("{came} wild calls came back");
    spinner.stop()?;
    let _ = wild.suspend();
    rig.finish(&code![[0x90], END], &Rig::registers())?;
    Ok(())
}

fn word(dice: &mut Dice) -> u64 {
    match dice.below(3) {
        0 => dice.below(40) as u64,
        1 => WORDS[dice.below(WORDS.len())],
        _ => dice.next(),
    }
}

/// A table with one object of each kind in its first slots, and itself.
fn furnished() -> Result<Cap<CSpace>, Error> {
    let own = environment();
    let budget = memory::create::<userlib::cap::Untyped>(64)?;
    let table = memory::create::<CSpace>(40)?;
    let all = |handle| own.cspace().info(handle).map(|info| info.rights);
    let put = |handle: Handle, slot| {
        own.cspace().copy(handle, table.handle(), SlotIndex(slot), all(handle)?).map(|_| ())
    };
    put(table.handle(), 1)?;
    put(budget.handle(), 2)?;
    for (slot, kind, size) in [
        (3, Kind::Thread, 0),
        (4, Kind::AddressSpace, 12),
        (5, Kind::Region, 3),
        (6, Kind::Endpoint, 0),
        (7, Kind::Notification, 0),
        (8, Kind::Reply, 0),
        (9, Kind::Guest, 0),
        (10, Kind::CSpace, 16),
    ] {
        let made = slots::fill(|free| budget.retype(kind, size, free))?;
        if kind == Kind::Reply {
            // There is one way to a reply object, which is moved.
            own.cspace().move_(made, table.handle(), SlotIndex(slot))?;
        } else {
            put(made, slot)?;
        }
    }
    put(own.core(own.startup().core)?.handle(), 11)?;
    Ok(table)
}

/// Wild values in every argument of what a supervisor can do to a subOS, while it is empty, loaded and running.
pub(crate) fn values_for_suboses() -> Outcome {
    let free = free_chunks()?;
    let mut dice = Dice(0xa11_0ca7e);
    for stage in 0..3 {
        for method in methods().filter(|method| method.kind == Kind::SubOs) {
            let mut colony = at_stage(stage)?;
            let op = OpWord::new(method.kind, method.id);
            for index in 0..method.arguments.len().max(1) {
                for word in WORDS {
                    let mut words = [0; REGISTER_WORDS];
                    for (place, field) in words.iter_mut().zip(method.arguments) {
                        *place = match (field.name, field.ty) {
                            ("region", _) => environment().modules().handle().0,
                            ("notification", _) => colony.bell.handle().0,
                            _ => dice.below(4) as u64,
                        };
                    }
                    words[index] = word;
                    call(method, op, colony.subos.handle(), words, Handle(0))?;
                    if colony.subos.info().is_err() {
                        slots::release(colony.subos.handle().index());
                        colony = at_stage(stage)?;
                    }
                }
            }
            colony.destroy()?;
        }
    }
    clean(free)
}

pub(crate) fn at_stage(stage: u32) -> Result<Colony, String> {
    let colony = Colony::create(4)?;
    if stage > 0 {
        colony.load(idl::bundle::BOOT, "hostiles/floods")?;
    }
    if stage > 1 {
        colony.subos.grant_core(idl::types::CoreNumber(1)).map_err(said("grant_core"))?;
        colony.subos.start().map_err(said("start"))?;
    }
    Ok(colony)
}
