//! What crosses between two subOSes without the supervisor: a doorbell that wakes, and a message through a channel.

use alloc::format;
use alloc::string::String;
use core::hint::spin_loop;
use core::time::Duration;

use idl::event::Event;
use idl::types::{Bits, Chunks, CoreNumber, Deadline, SubOsNumber};
use userlib::cap::{Notification, Region, SubOs};
use userlib::channel::Channel;
use userlib::testing::mark;
use userlib::{Cap, Error, Handle, environment, memory, time};

use super::cores::{FAILED, Until, create, declare_of, destroy};
use crate::{Outcome, said};

const RING: i32 = 9;
const HEARD: i32 = 10;
const SEND: i32 = 11;
const SENT: i32 = 12;
const RECEIVED: i32 = 13;

const SPANS: &[(&str, i32, i32)] =
    &[("doorbell", RING, HEARD), ("channel-send", SEND, SENT), ("channel-receive", SENT, RECEIVED)];
/// The two cores of which what they do counts: the supervisor's only waits for the end of it all.
const CORES: u64 = 0b110;

/// How often the doorbell rings, and how many messages go.
const ROUNDS: u32 = 40;
/// Bytes of a message.
const BYTES: usize = 64;
/// Rounds of a loop around one PAUSE after which the other side has finished and looks for the next message, but has not
/// looked for so long that it sleeps.
const SHORT: u32 = 200;

const LONG: u32 = 2_000;

/// What a cell does: its name, which it has from its arguments, and the program.
pub(super) type Cell = (&'static str, fn() -> Result<(), Error>);

/// What the two do.
pub(super) const CELLS: &[Cell] = &[("cell caller", call), ("cell listener", listen)];

/// Two subOSes with a window, of which one rings and sends, and the other sleeps, or spins, and hears.
pub(super) fn measure() -> Outcome {
    for (row, from, to) in SPANS {
        let declared = declare_of(row, *from, Until::Marker(*to), CORES);
        declared.map_err(|_| String::from("the record cannot be written"))?;
    }
    let caller = create("cell caller", CoreNumber(1))?;
    let listener = create("cell listener", CoreNumber(2))?;
    caller.share(listener.handle(), Chunks(1)).map_err(said("share"))?;
    hear(listener)?;
    caller.send(1, 0, 0, 0, 0).map_err(said("send"))?;
    hear(listener)?;
    // Both have a channel from here on.
    hear(caller)?;
    pause_for(SHORT);
    destroy(caller)?;
    destroy(listener)
}

/// Waits until a subOS says something, and sleeps meanwhile: there is much to do before that.
pub(super) fn hear(subos: Cap<SubOs>) -> Result<[u64; 5], String> {
    loop {
        match subos.receive() {
            Err(Error::Empty) => time::sleep(Duration::from_micros(100)),
            Err(error) => return Err(format!("receive: {error}")),
            Ok([FAILED, error, ..]) => return Err(format!("a cell stops, for error {error}")),
            Ok(words) => return Ok(words),
        }
    }
}

/// The window that the supervisor opens, and who has it besides.
fn window() -> Result<(Cap<Region>, SubOsNumber), Error> {
    loop {
        match environment().uplink().receive() {
            Ok(words) => {
                if let Ok(Event::WindowOpened { lot, peer, .. }) = Event::from_words(&words) {
                    return Ok((environment().window(lot.0)?, peer));
                }
            }
            Err(Error::Empty) => spin_loop(),
            Err(error) => return Err(error),
        }
    }
}

fn say(word: u64) -> Result<(), Error> {
    environment().uplink().send(word, 0, 0, 0, 0)
}

/// Waits for an application's word.
fn wait_for_word() -> Result<(), Error> {
    loop {
        match environment().uplink().receive() {
            Ok(words) if Event::from_words(&words).is_err() => return Ok(()),
            Ok(_) | Err(Error::Empty) => spin_loop(),
            Err(error) => return Err(error),
        }
    }
}

fn call() -> Result<(), Error> {
    let (region, peer) = window()?;
    wait_for_word()?;
    // The listener has said that it will sleep; it takes a while.
    pause_for(LONG);
    for _ in 0..ROUNDS {
        pause_for(SHORT);
        mark::<RING>();
        region.ring()?;
        pause_for(SHORT);
    }
    let mut channel = Channel::open(region, peer)?;
    pause_for(SHORT);
    let message = core::hint::black_box([0x5a; BYTES]);
    // The receiver may have looked for so long that it sleeps: this wakes it.
    let mut sent = channel.send(&message, Deadline::NEVER);
    for _ in 0..ROUNDS {
        if sent.is_err() {
            break;
        }
        pause_for(SHORT);
        mark::<SEND>();
        sent = channel.send(core::hint::black_box(&message), Deadline::NEVER);
        mark::<SENT>();
        pause_for(SHORT);
    }
    if sent.is_err() {
        return Err(Error::WrongState);
    }
    say(2)
}

pub(super) fn pause_for(rounds: u32) {
    let mut left = rounds;
    while core::hint::black_box(left) > 0 {
        spin_loop();
        left -= 1;
    }
}

fn listen() -> Result<(), Error> {
    let (region, peer) = window()?;
    let heard: Cap<Notification> = memory::create(0)?;
    region.listen(heard.handle(), Bits(1))?;
    say(1)?;
    for _ in 0..ROUNDS {
        heard.wait(Deadline::NEVER)?;
        mark::<HEARD>();
    }
    region.listen(Handle::NONE, Bits(0))?;
    let mut channel = Channel::open(region, peer)?;
    say(2)?;
    let mut buffer = [0; BYTES];
    for _ in 0..=ROUNDS {
        let received = channel.receive(&mut buffer, Deadline::NEVER);
        mark::<RECEIVED>();
        if received != Ok(BYTES) || buffer != [0x5a; BYTES] {
            return Err(Error::WrongState);
        }
    }
    Ok(())
}
