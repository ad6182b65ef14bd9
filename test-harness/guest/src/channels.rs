//! Channels between two subOSes: messages cross, and what the other side does harms the channel only.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use idl::types::Deadline;
use userlib::channel::buffers::Layout;
use userlib::channel::{Channel, Failure};
use userlib::memory::Mapping;
use userlib::{Error, check, check_eq, environment, thread, time};

use crate::shares::{Neighbours, obey};
use crate::steward::{audit, compare, ledger};
use crate::suboses::Random;
use crate::tenants::{ALONE, order};
use crate::{Outcome, PATIENCE, said};

/// A channel has ended: how many messages came, and how it ended.
pub(crate) const SERVED: u64 = 25;

/// How a channel ended.
mod end {
    /// It was closed.
    pub(super) const CLOSED: u64 = 1;
    /// The other side wrote rubbish.
    pub(super) const BROKEN: u64 = 2;
    /// In any other way.
    pub(super) const OTHERWISE: u64 = 3;
}

/// Messages of many sizes cross and come back as they were, more than the rings hold; who waits for the next learns when the
/// other side closes, or dies.
pub(crate) fn messages_cross() -> Outcome {
    const MESSAGES: u64 = 2000;
    let before = ledger()?;
    for round in 0..2 {
        let Neighbours { one, other, lots } = Neighbours::new(1)?;
        check_eq!(obey(&other, order::SERVE, 0, 0)?, 0);
        if round == 0 {
            check_eq!(obey(&one, order::CALL, MESSAGES, 0)?, MESSAGES);
        } else {
            one.take_lot(lots.lot)?;
            check_eq!(other.wait_for(ALONE)?[1], u64::from(lots.peer.0));
        }
        let [_, came, ended, ..] = other.wait_for(SERVED)?;
        check_eq!((came, ended), (if round == 0 { MESSAGES } else { 0 }, end::CLOSED));
        one.destroy()?;
        other.destroy()?;
        compare(&before)?;
    }
    // One that dies while its messages are on their way.
    one_dies_meanwhile(order::SERVE, order::CALL)?;
    audit()?;
    compare(&before)
}

/// Buffers filled at one side are read where they are at the other and come back as they were, many more than there are; who
/// waits for the next learns when the other side closes, or dies with buffers of his in its hands.
pub(crate) fn buffers_change_hands() -> Outcome {
    const BUFFERS: u64 = 2000;
    let before = ledger()?;
    let Neighbours { one, other, .. } = Neighbours::new(1)?;
    check_eq!(obey(&other, order::SERVE_BUFFERS, 0, 0)?, 0);
    check_eq!(obey(&one, order::CALL_BUFFERS, BUFFERS, 0)?, BUFFERS);
    check_eq!(other.wait_for(SERVED)?[1..3], [BUFFERS, end::CLOSED]);
    one.destroy()?;
    other.destroy()?;
    one_dies_meanwhile(order::SERVE_BUFFERS, order::CALL_BUFFERS)?;
    audit()?;
    compare(&before)
}

/// One calls the other without end, and dies over it; the other learns that the channel is closed.
fn one_dies_meanwhile(serve: u64, call: u64) -> Outcome {
    let Neighbours { one, other, .. } = Neighbours::new(1)?;
    check_eq!(obey(&other, serve, 0, 0)?, 0);
    one.subos.send(call, u64::MAX, 0, 0, 0).map_err(said("send"))?;
    time::sleep(Duration::from_millis(30));
    one.destroy()?;
    check_eq!(other.wait_for(SERVED)?[2], end::CLOSED);
    other.destroy()
}

/// Who writes rubbish all over the window, positions and lengths among it, harms the channel and nothing else.
pub(crate) fn rubbish_breaks_the_channel_only() -> Outcome {
    let before = ledger()?;
    for round in 0..8 {
        let Neighbours { one, other, .. } = Neighbours::new(1)?;
        let serve = if round % 2 == 0 { order::SERVE } else { order::SERVE_BUFFERS };
        check_eq!(obey(&other, serve, 0, 0)?, 0);
        check_eq!(obey(&one, order::TRASH, 0, 0)?, 0);
        // Who sleeps is rung for; with luck he finds a message in the rubbish, and sends it back.
        check_eq!(obey(&one, order::FLOOD, 0, 0)?, 0);
        let [_, _, ended, ..] = other.wait_for(SERVED)?;
        check!(ended == end::BROKEN || ended == end::CLOSED, "the channel ended in another way: {ended}");
        check_eq!(obey(&other, order::WRITE, 100, 1)?, 0);
        one.destroy()?;
        other.destroy()?;
    }
    audit()?;
    compare(&before)
}

fn ending(failure: Failure) -> u64 {
    match failure {
        Failure::Closed => end::CLOSED,
        // A length that is no message's is as much rubbish as a position that is nobody's.
        Failure::Broken | Failure::TooLong(_) => end::BROKEN,
        _ => end::OTHERWISE,
    }
}

/// The longest message.
const LONGEST: usize = 5000;

/// Sends back whatever comes, from a thread of its own.
pub(crate) fn serve(mut channel: Channel) -> Result<(), Error> {
    core::mem::forget(thread::spawn(move || {
        let (mut buffer, mut came) = (vec![0; LONGEST], 0);
        let failure = loop {
            let length = match channel.receive(&mut buffer, Deadline::NEVER) {
                Ok(length) => length,
                Err(failure) => break failure,
            };
            came += 1;
            if let Err(failure) = channel.send(&buffer[..length], Deadline::NEVER) {
                break failure;
            }
        };
        let _ = environment().uplink().send(SERVED, came, ending(failure), 0, 0);
    })?);
    Ok(())
}

/// Sends messages of many sizes, some ahead of what came back, and says how many came back as they were.
pub(crate) fn call(channel: Channel, messages: u64) -> u64 {
    exchange(channel, messages).unwrap_or_else(|failure| 1 << 40 | ending(failure))
}

fn exchange(mut channel: Channel, messages: u64) -> Result<u64, Failure> {
    const AHEAD: usize = 7;
    let message = |number: u64| -> Vec<u8> {
        let length = usize::try_from(number * number * 37).unwrap_or(0) % LONGEST;
        (0..length).map(|byte| (byte as u64 * 7 + number).to_le_bytes()[0]).collect()
    };
    let (mut buffer, mut same) = (vec![0; LONGEST], 0);
    let mut sent = VecDeque::new();
    for number in 0..messages {
        let next = message(number);
        channel.send(&next, time::after(PATIENCE))?;
        sent.push_back(next);
        while sent.len() > AHEAD || (number + 1 == messages && !sent.is_empty()) {
            let length = channel.receive(&mut buffer, time::after(PATIENCE))?;
            same += u64::from(sent.pop_front().is_some_and(|sent| sent == buffer[..length]));
        }
    }
    channel.close()?;
    Ok(same)
}

/// How long who flips waits for what does not come, and how often in turn before he gives the channel up.
const BRIEFLY: Duration = Duration::from_millis(2);
const OFTEN: u32 = 3;

/// Flips a bit of each byte from this one on, so many, each so far from the one before, with a message after each, until the
/// channel is of no use any more; says how many were flipped by then.
pub(crate) fn flip(
    mut channel: Channel,
    window: &Mapping,
    from: u64,
    count: u64,
    (step, seed): (u64, u64),
) -> u64 {
    let (mut random, mut buffer, mut silent) = (Random(seed | 1), vec![0; LONGEST], 0);
    let mut flipped = 0;
    while flipped < count && silent < OFTEN {
        let byte = from + flipped * step;
        let Some(word) = usize::try_from(byte / 8).ok().and_then(|index| window.word(index)) else { break };
        word.fetch_xor(1 << (byte % 8 * 8 + u64::from(random.below(8))), Ordering::Relaxed);
        flipped += 1;
        let length = random.index(200);
        let sent = channel.send(&buffer[..length], time::after(BRIEFLY));
        let came = sent.and_then(|()| channel.receive(&mut buffer, time::after(BRIEFLY)));
        match came {
            Ok(_) => silent = 0,
            Err(Failure::TimedOut) => silent += 1,
            Err(_) => break,
        }
    }
    let _ = channel.close();
    flipped
}

/// The buffers of both sides.
pub(crate) const LAYOUT: Layout = Layout { count: 8, bytes: 4096 };

/// Sends back in buffers whatever comes in buffers, from a thread of its own.
pub(crate) fn serve_buffers(mut channel: Channel) -> Result<(), Error> {
    core::mem::forget(thread::spawn(move || {
        let mut came = 0;
        let failure = loop {
            match send_back(&mut channel) {
                Ok(()) => came += 1,
                Err(failure) => break failure,
            }
        };
        let _ = environment().uplink().send(SERVED, came, ending(failure), 0, 0);
    })?);
    Ok(())
}

fn send_back(channel: &mut Channel) -> Result<(), Failure> {
    let loan = channel.take(Deadline::NEVER)?;
    let buffer = channel.buffer(Deadline::NEVER)?;
    for (to, from) in buffer.words().iter().zip(loan.words()) {
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    channel.give(buffer, loan.len())?;
    channel.give_back(loan)
}

/// Sends buffers with more and with less in them, some ahead of what came back, and says how many came back as they were.
pub(crate) fn call_buffers(mut channel: Channel, buffers: u64) -> u64 {
    let mut same = 0;
    let mut exchange = || -> Result<(), Failure> {
        const AHEAD: u64 = 5;
        let length = |number: u64| usize::try_from(number.wrapping_mul(731) % 513).unwrap_or(0) * 8;
        let word = |number: u64, place: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ place;
        for number in 0..buffers.saturating_add(AHEAD) {
            if number < buffers {
                let buffer = channel.buffer(time::after(PATIENCE))?;
                for (place, to) in (0..).zip(buffer.words()).take(length(number) / 8) {
                    to.store(word(number, place), Ordering::Relaxed);
                }
                channel.give(buffer, length(number))?;
            }
            let Some(number) = number.checked_sub(AHEAD) else { continue };
            let loan = channel.take(time::after(PATIENCE))?;
            let right =
                |(place, from): (u64, &AtomicU64)| from.load(Ordering::Relaxed) == word(number, place);
            same += u64::from(loan.len() == length(number) && (0..).zip(loan.words()).all(right));
            // Half of them go back when the channel is used next.
            if number % 2 == 0 { channel.give_back(loan)? } else { drop(loan) }
        }
        Ok(())
    };
    match exchange() {
        Ok(()) => channel.close().map_or(1 << 41, |()| same),
        Err(failure) => 1 << 40 | ending(failure),
    }
}

/// Numbers that are wrong for positions and lengths, and others, wherever the ring has them.
pub(crate) fn trash(window: &'static Mapping) -> Result<(), Error> {
    core::mem::forget(thread::spawn(move || {
        let mut random = Random(time::now().0 | 1);
        let words = window.words();
        loop {
            let place = match random.below(3) {
                0 => random.index(80),
                1 => words.len() / 2 + random.index(80),
                _ => random.index(words.len()),
            };
            let value = match random.below(4) {
                0 => u64::from(random.below(200)),
                1 => u64::MAX - u64::from(random.below(200)),
                _ => random.0,
            };
            words[place].store(value, Ordering::Relaxed);
        }
    })?);
    Ok(())
}
