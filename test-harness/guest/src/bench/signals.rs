//! Entering the kernel for nothing, signals, and switching between threads.

use core::sync::atomic::{AtomicU64, Ordering};

use idl::types::{Bits, Deadline, Priority};
use userlib::cap::Notification;
use userlib::{check_eq, memory, slots, thread};

use super::clock::{Clock, ROUNDS, Row, now};
use super::start_peer;
use crate::{Outcome, said};

pub(super) fn null_call(clock: &Clock) -> Outcome {
    let mut row = Row::new("null-call", ROUNDS);
    for _ in 0..ROUNDS {
        let (time, answer) = clock.time(userlib::cap::null_call);
        check_eq!(answer, 0);
        row.add(time);
    }
    row.report()
}

pub(super) fn measure(clock: &Clock) -> Outcome {
    signal(clock)?;
    wake(clock)?;
    switch(clock)
}

/// A signal for which nobody waits.
fn signal(clock: &Clock) -> Outcome {
    let notification = memory::create::<Notification>(0).map_err(said("notification"))?;
    let mut row = Row::new("signal", ROUNDS);
    for _ in 0..ROUNDS {
        let (time, answer) = clock.time(|| notification.signal(Bits(1)));
        answer.map_err(said("signal"))?;
        notification.wait(Deadline::POLL).map_err(said("wait"))?;
        row.add(time);
    }
    row.report()?;
    slots::delete(notification.handle()).map_err(said("delete"))
}

/// When the waiter woke.
static WOKEN: AtomicU64 = AtomicU64::new(0);

/// A signal that wakes a thread of higher priority, up to that thread's first instruction.
fn wake(clock: &Clock) -> Outcome {
    let notification = memory::create::<Notification>(0).map_err(said("notification"))?;
    let waiter = move || {
        loop {
            let woken = notification.wait(Deadline::NEVER);
            WOKEN.store(now(), Ordering::Relaxed);
            if woken.is_err() {
                return;
            }
        }
    };
    let waiter = thread::Builder::new().priority(Priority::HIGHEST).spawn(waiter).map_err(said("spawn"))?;
    let mut row = Row::new("signal-wake", ROUNDS);
    for _ in 0..ROUNDS {
        WOKEN.store(0, Ordering::Relaxed);
        let begin = now();
        notification.signal(Bits(1)).map_err(said("signal"))?;
        row.add(clock.between(begin, WOKEN.load(Ordering::Relaxed)));
    }
    row.report()?;
    slots::delete(notification.handle()).map_err(said("delete"))?;
    waiter.join(Deadline::NEVER).map_err(said("join"))
}

/// What the other one does.
pub(super) fn yield_for_ever() {
    loop {
        thread::yield_now();
    }
}

/// Two threads of one priority in two address spaces that do nothing but let each other run: half of a round is a
/// switch, with the call that asks for it.
fn switch(clock: &Clock) -> Outcome {
    let peer = start_peer("peer::yield", None)?;
    // It starts up the first time round.
    for _ in 0..4 {
        thread::yield_now();
    }
    let mut row = Row::new("switch", ROUNDS);
    for _ in 0..ROUNDS {
        let (time, ()) = clock.time(thread::yield_now);
        row.add(time / 2);
    }
    row.report()?;
    let budget = peer.end().map_err(said("end"))?;
    slots::delete(budget.handle()).map_err(said("delete"))
}
