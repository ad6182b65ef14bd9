//! What the subOSes do between which the cases under `shares` open windows: they obey their supervisor, one order at a time.

use alloc::boxed::Box;
use core::sync::atomic::Ordering;

use idl::event::Event;
use idl::types::{Bits, Deadline, LotNumber, PageIndex, Pages, SubOsNumber, UserPage};
use userlib::cap::{AddressSpace, Notification, Region, Thread};
use userlib::channel::{Channel, Line};
use userlib::memory::{self, Mapping};
use userlib::{Cap, Error, Handle, Kind, Rights, environment, slots, thread, time};

use crate::walls::HOOK;
use crate::wards::HELLO;
use crate::{PATIENCE, channels, plants};

/// A window is open: the lot, pages, how many of its first words are not zero, the peer.
pub(crate) const OPEN: u64 = 20;
/// A window was taken.
pub(crate) const LOST: u64 = 21;
/// A window is this side's alone.
pub(crate) const ALONE: u64 = 22;
/// An order was carried out: the order, and what came of it.
pub(crate) const DONE: u64 = 23;

/// A thread read a window that was taken, and was not stopped: what it read.
pub(crate) const READABLE: u64 = 24;

/// Orders.
pub(crate) mod order {
    /// Stores into a word of the window.
    pub(crate) const WRITE: u64 = 30;
    /// Loads a word of the window.
    pub(crate) const READ: u64 = 31;
    /// Rings so many times; answers with the first error.
    pub(crate) const RING: u64 = 32;
    /// Waits to be rung for.
    pub(crate) const HEAR: u64 = 33;
    /// Tries what must not work; answers with a bit for everything that did.
    pub(crate) const ABUSE: u64 = 34;
    /// Makes the window hard to take: copies, bindings, threads that use it.
    pub(crate) const CLING: u64 = 35;
    /// Uses what it has of a window that was taken; answers with a bit for everything that worked.
    pub(crate) const HAUNT: u64 = 36;
    /// Rings without an end.
    pub(crate) const FLOOD: u64 = 37;
    /// Opens a channel over the window and sends back whatever comes, from a thread of its own, until it is closed. How it
    /// ended is said by `SERVED` of `channels.rs`.
    pub(crate) const SERVE: u64 = 39;
    /// Opens a channel over the window and sends so many messages of many sizes; answers with how many came back as they
    /// were.
    pub(crate) const CALL: u64 = 40;
    /// Writes rubbish all over the window without an end.
    pub(crate) const TRASH: u64 = 41;
    /// Opens a channel over the window and flips a bit of each byte from this one on, so many, with a message after each;
    /// answers with how many it had flipped when the channel was of no use any more.
    pub(crate) const FLIP: u64 = 42;
    /// As `SERVE`, but what comes in buffers goes back in buffers.
    pub(crate) const SERVE_BUFFERS: u64 = 43;
    /// As `CALL`, in buffers.
    pub(crate) const CALL_BUFFERS: u64 = 44;
    /// Has its kernel go mad by this hook, with these arguments.
    pub(crate) const HOOK: u64 = 38;
}

pub(crate) const CHILDREN: &[(&str, fn())] = &[("tenants/tenant", tenant)];

struct Tenant {
    /// What the doorbells of windows signal.
    heard: Cap<Notification>,
    /// The last window that was opened, for good: threads use it as long as they can.
    window: Option<&'static Held>,
    /// What to cut when the peer is gone.
    line: Option<Line>,
}

struct Held {
    lot: LotNumber,
    peer: SubOsNumber,
    region: Cap<Region>,
    mapping: Mapping,
}

pub(crate) fn tenant() {
    let uplink = environment().uplink();
    let bell: Cap<Notification> = memory::create(0).expect("a notification");
    uplink.bind(bell.handle(), Bits(1)).expect("bind");
    plants::map_a_page().expect("a page");
    let mut tenant = Tenant { heard: memory::create(0).expect("a notification"), window: None, line: None };
    let _ = uplink.send(HELLO, 0, 0, 0, 0);
    loop {
        while let Ok(words) = uplink.receive() {
            let [a, b, c, d, e] = match Event::from_words(&words) {
                Ok(event) => tenant.event(event),
                Err(_) => [DONE, words[0], tenant.obey(words), 0, 0],
            };
            if a != 0 {
                let _ = uplink.send(a, b, c, d, e);
            }
        }
        let _ = bell.wait(time::after(PATIENCE));
    }
}

/// An error as a word that no order answers with otherwise.
pub(crate) fn refusal(error: Error) -> u64 {
    1 << 32 | u64::from(error.number())
}

fn word_of<T>(result: Result<T, Error>) -> u64 {
    result.map_or_else(refusal, |_| 0)
}

impl Tenant {
    fn event(&mut self, event: Event) -> [u64; 5] {
        match event {
            Event::WindowOpened { lot, peer, .. } => match self.open(lot, peer) {
                Ok((pages, used)) => [OPEN, u64::from(lot.0), pages, used, u64::from(peer.0)],
                Err(error) => [OPEN, u64::from(lot.0), 0, refusal(error), 0],
            },
            Event::WindowLost { lot } => [LOST, u64::from(lot.0), 0, 0, 0],
            Event::PeerGone { lot } => {
                self.line.take().iter().for_each(Line::cut);
                [ALONE, u64::from(lot.0), 0, 0, 0]
            }
            _ => [0; 5],
        }
    }

    /// Maps a window; says how many pages it has and how many words of them are not zero.
    fn open(&mut self, lot: LotNumber, peer: SubOsNumber) -> Result<(u64, u64), Error> {
        let region = environment().window(lot.0)?;
        let mapping = Mapping::of(region, Rights::READ | Rights::WRITE)?;
        region.listen(self.heard.handle(), Bits(2))?;
        let words = (0..mapping.len() / 8).filter_map(|index| mapping.word(index));
        let used = words.filter(|word| word.load(Ordering::Relaxed) != 0).count();
        let pages = u64::from(mapping.pages().0);
        self.window = Some(Box::leak(Box::new(Held { lot, peer, region, mapping })));
        Ok((pages, used as u64))
    }

    fn obey(&mut self, [what, a, b, c, d]: [u64; 5]) -> u64 {
        if what == order::HOOK {
            let console = environment().console();
            let done: Result<u64, Error> =
                idl::client::plain(&console, HOOK, [a, b, c, 0, 0], Deadline::NEVER);
            return done.unwrap_or_else(refusal);
        }
        let Some(held) = self.window else { return refusal(Error::Empty) };
        let word = usize::try_from(a).ok().and_then(|index| held.mapping.word(index));
        match (what, word) {
            (order::WRITE, Some(word)) => {
                word.store(b, Ordering::Release);
                0
            }
            (order::READ, Some(word)) => word.load(Ordering::Acquire),
            (order::RING, _) => (0..a).find_map(|_| held.region.ring().err()).map_or(0, refusal),
            (order::HEAR, _) => {
                self.heard.wait(time::after(PATIENCE)).map_or_else(refusal, |Bits(bits)| bits)
            }
            (order::ABUSE, _) => {
                let worked = abuse(held).unwrap_or_else(refusal);
                #[cfg(feature = "image")]
                let _ = userlib::observe::report(&mut userlib::console::Writer::new());
                worked
            }
            (order::CLING, _) => word_of(cling(held)),
            (order::HAUNT, _) => haunt(held),
            (order::FLOOD, _) => word_of(flood(held)),
            (order::SERVE, _) => word_of(self.channel(held).and_then(channels::serve)),
            (order::CALL, _) => match self.channel(held) {
                Ok(channel) => channels::call(channel, a),
                Err(error) => refusal(error),
            },
            (order::FLIP, _) => match self.channel(held) {
                Ok(channel) => channels::flip(channel, &held.mapping, a, b, (c, d)),
                Err(error) => refusal(error),
            },
            (order::SERVE_BUFFERS, _) => word_of(self.buffers(held).and_then(channels::serve_buffers)),
            (order::CALL_BUFFERS, _) => match self.buffers(held) {
                Ok(channel) => channels::call_buffers(channel, a),
                Err(error) => refusal(error),
            },
            (order::TRASH, _) => word_of(channels::trash(&held.mapping)),
            _ => refusal(Error::UnknownMethod),
        }
    }
}

impl Tenant {
    /// A channel over the window, whose doorbell it gets.
    fn channel(&mut self, held: &Held) -> Result<Channel, Error> {
        self.over(held, Channel::open)
    }

    /// The same with buffers.
    fn buffers(&mut self, held: &Held) -> Result<Channel, Error> {
        self.over(held, |region, peer| Channel::open_with_buffers(region, peer, channels::LAYOUT))
    }

    fn over(
        &mut self,
        held: &Held,
        open: impl FnOnce(Cap<Region>, SubOsNumber) -> Result<Channel, Error>,
    ) -> Result<Channel, Error> {
        held.region.listen(Handle::NONE, Bits(0))?;
        let channel = open(held.region, held.peer)?;
        self.line = Some(channel.line());
        Ok(channel)
    }
}

/// What must not work with a window: a bit for each that did.
fn abuse(held: &Held) -> Result<u64, Error> {
    let own = environment();
    let handle = held.region.handle();
    let slot = slots::allocate()?;
    let mut worked = 0;
    let mut tried = 0;
    let mut attempt = |did: bool| {
        worked |= u64::from(did) << tried;
        tried += 1;
    };
    // An object of its memory.
    for kind in [Kind::Region, Kind::CSpace, Kind::Thread, Kind::Untyped] {
        let untyped: Cap<userlib::cap::Untyped> = userlib::cap(handle);
        attempt(untyped.retype(kind, 1, slot).is_ok());
    }
    // More rights than were given, and memory beside it: the doorbells' page before it, the chunk after it.
    attempt(own.cspace().copy(handle, Handle::NONE, slot, Rights::READ | Rights::EXECUTE).is_ok());
    attempt(own.cspace().copy(handle, Handle::NONE, slot, Rights::MANAGE).is_ok());
    attempt(held.region.slice(PageIndex(u32::MAX), Pages(1), Rights::READ, slot).is_ok());
    attempt(held.region.slice(PageIndex(0), Pages(held.mapping.pages().0 + 1), Rights::READ, slot).is_ok());
    let binding = memory::bind(held.region, own.space())?;
    let address = UserPage::new(0x6000_0000_0000).ok_or(Error::BadRange)?;
    let execute = Rights::READ | Rights::EXECUTE;
    attempt(memory::map_pages(own.space(), binding, PageIndex(0), address, Pages(1), execute).is_ok());
    let beyond = PageIndex(held.mapping.pages().0);
    attempt(memory::map_pages(own.space(), binding, beyond, address, Pages(1), Rights::READ).is_ok());
    slots::delete(binding.handle())?;
    // A message page, which the kernel reads and writes itself.
    let thread: Cap<Thread> = memory::create(0)?;
    let configured =
        |region: Handle| thread.configure(own.cspace().handle(), own.space().handle(), region, PageIndex(0));
    attempt(configured(handle).is_ok());
    let part =
        slots::fill(|slot| held.region.slice(PageIndex(1), Pages(1), Rights::all() & rights(held), slot))?;
    attempt(configured(part).is_ok());
    slots::delete(part)?;
    slots::delete(thread.handle())?;
    // A second notification for one doorbell.
    let other: Cap<Notification> = memory::create(0)?;
    attempt(held.region.listen(other.handle(), Bits(4)) != Err(Error::AlreadyBound));
    slots::delete(other.handle())?;
    // The root itself.
    let root = idl::slots::root_lot(held.lot.0).ok_or(Error::OutOfRange)?;
    let root = own.roots().at(root)?;
    attempt(own.roots().delete(root).is_ok());
    attempt(own.roots().revoke(root).is_ok());
    attempt(
        own.roots()
            .copy(handle, own.roots().handle(), idl::slots::root_lot(30).ok_or(Error::Full)?, Rights::READ)
            .is_ok(),
    );
    slots::release(slot);
    Ok(worked)
}

fn rights(held: &Held) -> Rights {
    environment().cspace().info(held.region.handle()).map_or(Rights::empty(), |info| info.rights)
}

/// Copies of copies, parts, bindings in another space, and threads that write all the time.
fn cling(held: &'static Held) -> Result<(), Error> {
    for kind in 0..4 {
        let thread = thread::spawn(move || {
            while let Some(word) = held.mapping.word(8 + kind) {
                word.fetch_add(1, Ordering::Relaxed);
                if kind % 2 == 0 {
                    let _ = held.region.ring();
                }
            }
        })?;
        core::mem::forget(thread);
    }
    let mut last = held.region;
    for _ in 0..6 {
        last = memory::copy(last, rights(held))?;
    }
    let space: Cap<AddressSpace> = memory::create(16)?;
    let binding = memory::bind(last, space)?;
    let address = UserPage::new(0x4000_0000).ok_or(Error::BadRange)?;
    memory::map_pages(space, binding, PageIndex(0), address, Pages(64), Rights::READ)?;
    for page in 0..100 {
        slots::fill(|slot| last.slice(PageIndex(page), Pages(1), Rights::READ, slot))?;
    }
    Ok(())
}

/// A window was taken: what still works, a bit each. A thread reads what was mapped, and reports what it read.
fn haunt(held: &'static Held) -> u64 {
    let region = held.region;
    let slot = slots::allocate().unwrap_or(userlib::SlotIndex(0));
    let worked = [
        region.ring().is_ok(),
        region.info().is_ok(),
        region.slice(PageIndex(0), Pages(1), Rights::READ, slot).is_ok(),
        region.listen(Handle::NONE, Bits(0)).is_ok(),
        environment().window(held.lot.0).is_ok(),
        memory::bind(region, environment().space()).is_ok(),
    ];
    slots::release(slot);
    let reader = thread::spawn(move || {
        let read = held.mapping.word(0).map_or(0, |word| word.load(Ordering::Relaxed));
        let _ = environment().uplink().send(READABLE, read, 0, 0, 0);
    });
    if let Ok(reader) = reader {
        core::mem::forget(reader);
    }
    worked.iter().zip(0..).fold(0, |bits, (worked, place)| bits | u64::from(*worked) << place)
}

fn flood(held: &'static Held) -> Result<(), Error> {
    core::mem::forget(thread::spawn(move || while held.region.ring().is_ok() {})?);
    Ok(())
}
