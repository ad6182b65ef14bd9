//! What hostile subOSes do, each by its name in the arguments: everything that a subOS may try against its kernel, its
//! supervisor and the others, on all its cores and without an end.
//!
//! Their first threads say how far the others have come, so that one can see that they are at it, and cling to every lot and
//! window that they get. None of them means to fail: what it is refused it tries again.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use idl::abi::Registers;
use idl::event::Event;
use idl::message::Message;
use idl::types::{LotNumber, PageIndex, Pages, Priority, UserPage};
use userlib::cap::{AddressSpace, CSpace, Endpoint, Notification, Region, Reply, Untyped, complete};
use userlib::memory::{self, Mapping};
use userlib::thread::{Builder, yield_now};
use userlib::{Cap, Error, Handle, Rights, SlotIndex, environment, page, slots, thread, time};

use crate::catastrophes::PRIVILEGED;
use crate::residents::settle_in;
use crate::rig::{DATA, Rig};
use crate::wards::HELLO;
use crate::wild::{Dice, one_of_each};

/// Asks how far a hostile subOS has come. The answer repeats the word that came along, and says how many laps it has run,
/// how many lots it has got, and in how many of them it has settled. Others of its threads send what they draw: this is nothing that is drawn.
pub(crate) const HOW_FAR: u64 = 0x6877_6661;

/// All of them.
pub(crate) const CHILDREN: &[(&str, fn())] = &[
    ("hostiles/never_yields", || hostile(&[spin, expire])),
    ("hostiles/tries_everything", || hostile(&[try_calls, try_instructions])),
    ("hostiles/floods", || hostile(&[send, print])),
    ("hostiles/fills_every_table", || hostile(&[fill_slots, fill_memory, queue_up])),
    ("hostiles/forks_capabilities", || hostile(&[fork])),
    ("hostiles/keeps_its_lock_hot", || hostile(&[ask, ask])),
    ("hostiles/maps_everything", || hostile(&[map, map])),
    ("hostiles/removes_without_end", || hostile(&[unbind])),
    ("hostiles/hides_in_messages", || hostile(&[hide, take_in])),
];

/// What the threads of a hostile subOS have in common.
pub(crate) struct Shared {
    laps: AtomicU64,
    numbers: AtomicU64,
    endpoint: Cap<Endpoint>,
}

impl Shared {
    fn lap(&self) {
        self.laps.fetch_add(1, Ordering::Relaxed);
        take_turns();
    }

    /// A number that no other thread has.
    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

/// Ends a turn where cores take turns, by a clock that counts instructions: QEMU before 8.1 gives the first core that never
/// pauses all the time until the next timer expires, again and again, and those after it none, whatever they hold. On all other
/// machines it is nothing.
pub(crate) fn take_turns() {
    core::hint::spin_loop();
}

/// What one of its threads does, for ever or until it fails, and then again.
type Work = fn(&'static Shared) -> Result<(), Error>;

/// Does all of this on every core, and says how far it has come.
fn hostile(works: &'static [Work]) {
    // What the heap grows by later would come from wherever memory is to be had.
    drop(core::hint::black_box(alloc::vec![1_u8; 1 << 20]));
    let endpoint = memory::create(0).expect("an endpoint");
    let shared: &'static Shared =
        Box::leak(Box::new(Shared { laps: AtomicU64::new(0), numbers: AtomicU64::new(0), endpoint }));
    let _ = thread::current().schedule(Priority::HIGHEST, Handle::NONE);
    for core in (0..64).filter_map(|core| environment().core(core).ok()) {
        for work in works {
            let again = move || {
                loop {
                    let _ = work(shared);
                    yield_now();
                }
            };
            core::mem::forget(Builder::new().core(core).spawn(again));
        }
    }
    say([HELLO, 0, 0, 0, 0]);
    let (mut lots, mut settled) = (0, 0);
    loop {
        match environment().uplink().receive() {
            Ok([HOW_FAR, word, ..]) => {
                say([HOW_FAR, word, shared.laps.load(Ordering::Relaxed), lots, settled]);
            }
            Ok(words) => match Event::from_words(&words) {
                Ok(Event::LotGranted { lot, .. }) => {
                    settled += u64::from(settle_in(lot, shared.endpoint).is_ok());
                    lots += 1;
                }
                Ok(Event::WindowOpened { lot, .. }) => {
                    let _ = harass(lot);
                }
                _ => {}
            },
            // The doorbell may be bound to anything by now.
            Err(_) => time::sleep(Duration::from_millis(1)),
        }
    }
}

/// Says something, though others may keep the ring full.
fn say([a, b, c, d, e]: [u64; 5]) {
    let end = time::after(Duration::from_millis(20));
    while environment().uplink().send(a, b, c, d, e).is_err() && time::now().0 < end.0 {}
}

/// Rings and writes all over a window for as long as it is there.
fn harass(lot: LotNumber) -> Result<(), Error> {
    let window = environment().window(lot.0)?;
    let mapping = Mapping::of(window, Rights::READ | Rights::WRITE)?;
    let harasser = thread::spawn(move || {
        for value in 0.. {
            for word in mapping.words().iter().skip(FIRST_RUBBISH).step_by(512) {
                word.store(value, Ordering::Relaxed);
            }
            let _ = window.ring();
            take_turns();
        }
    })?;
    core::mem::forget(harasser);
    Ok(())
}

/// The words of a window before this one are left to those who want to talk.
const FIRST_RUBBISH: usize = 16;

/// Never yields.
fn spin(shared: &'static Shared) -> Result<(), Error> {
    loop {
        shared.lap();
    }
}

/// Its timer expires all the time.
fn expire(shared: &'static Shared) -> Result<(), Error> {
    loop {
        shared.lap();
        time::sleep(Duration::from_micros(20));
    }
}

/// Calls everything with wild values.
fn try_calls(shared: &'static Shared) -> Result<(), Error> {
    let mut dice = Dice(0x5eed_0001 + shared.number());
    let budget = memory::create::<Untyped>(64)?;
    loop {
        one_of_each(&mut dice, budget)?;
        shared.lap();
    }
}

/// Executes what only kernels may.
fn try_instructions(shared: &'static Shared) -> Result<(), Error> {
    let wrong = |_| Error::InvalidArgument;
    let rig = Rig::new().map_err(wrong)?;
    loop {
        for (_, bytes) in PRIVILEGED {
            rig.run(bytes, &Registers { rbx: DATA, rsi: DATA, rdi: DATA, ..Rig::registers() })
                .map_err(wrong)?;
            shared.lap();
        }
    }
}

/// Fills the ring to the supervisor.
fn send(shared: &'static Shared) -> Result<(), Error> {
    loop {
        let _ = environment().uplink().send(2, 3, 4, 5, 6);
        shared.lap();
    }
}

/// Fills the console.
fn print(shared: &'static Shared) -> Result<(), Error> {
    let length = page::put_bytes(&[b'x'; 1000])?;
    loop {
        let _ = environment().console().write(length);
        shared.lap();
    }
}

/// Fills tables of capabilities, and the line of those who remove.
fn fill_slots(shared: &'static Shared) -> Result<(), Error> {
    const SLOTS: u32 = 256;
    let (own, table) = (environment().cspace(), memory::create::<CSpace>(SLOTS.into())?);
    loop {
        let fill = |slot| own.copy(shared.endpoint.handle(), table.handle(), SlotIndex(slot), Rights::CALL);
        let copies: Result<Vec<Handle>, Error> = (1..SLOTS).map(fill).collect();
        // Not to the end: that is for others.
        for copy in copies?.iter().rev() {
            let _ = table.delete(*copy);
        }
        for slot in 1..SLOTS {
            if let Ok(left) = table.at(SlotIndex(slot)) {
                let _ = complete(|| table.delete(left));
            }
        }
        shared.lap();
    }
}

/// Uses up memory: of untyped memory, of page tables, of the numbers that a space has for bindings.
fn fill_memory(shared: &'static Shared) -> Result<(), Error> {
    let budget = memory::create::<Untyped>(160)?;
    let region = memory::create::<Region>(1)?;
    loop {
        let space: Cap<AddressSpace> = memory::create_from(budget, 24)?;
        let binding = memory::bind(region, space)?;
        let places = (0..).map_while(|table| UserPage::new(table * idl::abi::CHUNK_SIZE));
        let map = |at| memory::map_pages(space, binding, PageIndex(0), at, Pages(1), Rights::READ);
        places.map(map).take_while(Result::is_ok).for_each(drop);
        let mut made = Vec::new();
        for _ in 0..64 {
            made.extend(memory::bind(region, space).map(|binding| binding.handle()));
        }
        while let Ok(handle) = memory::create_from::<Region>(budget, 1) {
            made.push(handle.handle());
        }
        complete(|| budget.reset())?;
        // What was made of it has gone with it, and the bindings with their space.
        made.into_iter()
            .chain([binding.handle(), space.handle()])
            .for_each(|gone| slots::release(gone.index()));
        shared.lap();
    }
}

/// Queues up where nobody receives, with many deadlines at once.
fn queue_up(shared: &'static Shared) -> Result<(), Error> {
    for number in 1..24 {
        let waiter = thread::spawn(move || {
            loop {
                let patience = time::after(Duration::from_micros(200 * number));
                let _ = shared.endpoint.call(&Message::short(1, &[number]), patience);
                shared.lap();
            }
        })?;
        core::mem::forget(waiter);
    }
    loop {
        time::sleep(Duration::from_secs(1));
    }
}

/// Derives to the bound of depth, with siblings at every link, and takes all of it away; not always to the end at once.
fn fork(shared: &'static Shared) -> Result<(), Error> {
    const SIBLINGS: usize = 12;
    let own = environment().cspace();
    let root = memory::create::<Notification>(0)?;
    let rights = own.info(root.handle())?.rights;
    loop {
        let (mut last, mut made) = (root, Vec::new());
        while let Ok(next) = memory::copy(last, rights) {
            made.push(next.handle());
            for _ in 0..SIBLINGS {
                made.extend(memory::copy(last, rights).map(|sibling| sibling.handle()));
            }
            last = next;
        }
        let _ = own.revoke(root.handle());
        // Nothing comes of what is going.
        if memory::copy(last, rights).is_ok() {
            return Err(Error::InvalidArgument);
        }
        complete(|| own.revoke(root.handle()))?;
        made.into_iter().for_each(|handle| slots::release(handle.index()));
        shared.lap();
    }
}

/// Makes short calls, all of them in order, one right after the other.
fn ask(shared: &'static Shared) -> Result<(), Error> {
    let own = environment().cspace();
    loop {
        own.info(own.handle())?;
        shared.lap();
    }
}

/// Maps, protects and unmaps in the space that all its threads have in common, all over it.
fn map(shared: &'static Shared) -> Result<(), Error> {
    const PAGES: Pages = Pages(8);
    let space = environment().space();
    let binding = memory::bind(memory::create::<Region>(PAGES.0.into())?, space)?;
    let base = 0x6000_0000_0000 + (shared.number() << 34);
    loop {
        for place in 0..16_u64 {
            let at = UserPage::new(base + place * (3 << 20)).ok_or(Error::BadRange)?;
            memory::map_pages(space, binding, PageIndex(0), at, PAGES, Rights::READ | Rights::WRITE)?;
            space.protect(at, PAGES, Rights::READ)?;
            memory::unmap_pages(space, at, PAGES)?;
        }
        shared.lap();
    }
}

/// Takes bindings away from large spaces, never waits for the end of it, and does it again.
fn unbind(shared: &'static Shared) -> Result<(), Error> {
    const TABLES: u32 = 128;
    let (own, region) = (environment().cspace(), memory::create::<Region>(1)?);
    let (mut spaces, mut going) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let space = memory::create::<AddressSpace>(TABLES.into())?;
        let binding = memory::bind(region, space)?;
        for table in 0..TABLES - 16 {
            let at = UserPage::new(u64::from(table) * idl::abi::CHUNK_SIZE).ok_or(Error::BadRange)?;
            memory::map_pages(space, binding, PageIndex(0), at, Pages(1), Rights::READ)?;
        }
        spaces.push(space);
    }
    loop {
        for space in &spaces {
            // A space has numbers for so many bindings; when they are used up, it is another's turn.
            while let Ok(binding) = memory::bind(region, *space) {
                let _ = own.delete(binding.handle());
                going.push(binding.handle());
                going.retain(|binding| {
                    let gone = own.info(*binding).is_err_and(|error| error != Error::BeingRevoked);
                    if gone {
                        slots::release(binding.index());
                    }
                    !gone
                });
                shared.lap();
            }
        }
    }
}

/// Sends capabilities that nobody takes in, or too late.
fn hide(shared: &'static Shared) -> Result<(), Error> {
    let bell = memory::create::<Notification>(0)?;
    loop {
        let copy = memory::copy(bell, Rights::CALL | Rights::DERIVE)?;
        page::set_send_caps(&[bell.handle(), copy.handle(), bell.handle(), bell.handle()], [false; 4])?;
        let mut message = Message::short(1, &[]);
        message.caps = 4;
        let _ = shared.endpoint.call(&message, time::after(Duration::from_micros(150)));
        slots::delete(copy.handle())?;
        shared.lap();
    }
}

/// Takes messages in, answers late, and drops the capabilities into slots that it takes away meanwhile.
fn take_in(shared: &'static Shared) -> Result<(), Error> {
    let reply = memory::create::<Reply>(0)?;
    let table = memory::create::<CSpace>(16)?;
    let slot = slots::allocate()?;
    loop {
        page::set_receive_slots(&[slot, SlotIndex(u32::MAX), slot, SlotIndex(0)])?;
        if shared.endpoint.receive(&reply, time::after(Duration::from_millis(1))).is_ok() {
            time::sleep(Duration::from_micros(100));
            let [received, ..] = page::received_caps()?;
            let own = environment().cspace();
            if own.move_(received, table.handle(), SlotIndex(1)).is_ok() {
                let there = table.at(SlotIndex(1))?;
                complete(|| table.delete(there))?;
            }
            let _ = complete(|| own.delete(received));
            let _ = reply.reply(&Message::default());
        }
        shared.lap();
    }
}
