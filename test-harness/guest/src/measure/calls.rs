//! The cheapest things: a system call that does nothing, a signal, a switch between threads.

use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use idl::types::{Bits, Deadline, Priority};
use userlib::cap::Notification;
use userlib::{Error, cap, memory, thread, time};

use super::meter::{report, timed};
use crate::{Outcome, said};

pub(super) fn figures() -> Outcome {
    report("null_system_call", |_| Ok::<u64, String>(timed(cap::null_call).0))?;
    let notification = memory::create::<Notification>(0).map_err(said("notification"))?;
    report("signal_without_waiter", |_| {
        let (ticks, result) = timed(|| notification.signal(Bits(1)));
        result.map(|()| ticks)
    })
    .map_err(said("signal"))?;
    report("wait_for_a_signal_that_is_there", |_| {
        notification.signal(Bits(1))?;
        let (ticks, result) = timed(|| notification.wait(Deadline::NEVER));
        result.map(|_| ticks)
    })
    .map_err(said("wait"))?;
    wake_up()?;
    switch()
}

/// From the signal to the first instruction of a waiter of higher priority.
fn wake_up() -> Outcome {
    let notification = memory::create::<Notification>(0).map_err(said("notification"))?;
    let begin = Arc::new(AtomicU64::new(0));
    let took = Arc::new(AtomicU64::new(0));
    let (seen, result) = (Arc::clone(&begin), Arc::clone(&took));
    let waiter = thread::Builder::new().priority(Priority::HIGHEST).spawn(move || -> Error {
        loop {
            if let Err(error) = notification.wait(Deadline::NEVER) {
                return error;
            }
            result.store(time::now().0 - seen.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    });
    let waiter = waiter.map_err(said("spawn"))?;
    thread::yield_now();
    report("signal_to_wake_up", |_| {
        begin.store(time::now().0, Ordering::Relaxed);
        notification.signal(Bits(1))?;
        Ok(took.load(Ordering::Relaxed))
    })
    .map_err(said("signal"))?;
    userlib::slots::delete(notification.handle()).map_err(said("delete"))?;
    waiter.join(Deadline::NEVER).map_err(said("join")).map(|_| ())
}

/// From a thread that yields to the next instruction of another of its priority.
fn switch() -> Outcome {
    let stop = Arc::new(AtomicBool::new(false));
    let begin = Arc::new(AtomicU64::new(0));
    let took = Arc::new(AtomicU64::new(0));
    let (ends, seen, result) = (Arc::clone(&stop), Arc::clone(&begin), Arc::clone(&took));
    let other = thread::spawn(move || {
        while !ends.load(Ordering::Relaxed) {
            let now = time::now().0;
            result.store(now - seen.load(Ordering::Relaxed), Ordering::Relaxed);
            thread::yield_now();
        }
    });
    let other = other.map_err(said("spawn"))?;
    thread::yield_now();
    report("context_switch", |_| {
        begin.store(time::now().0, Ordering::Relaxed);
        thread::yield_now();
        Ok::<u64, String>(took.load(Ordering::Relaxed))
    })?;
    stop.store(true, Ordering::Relaxed);
    other.join(Deadline::NEVER).map_err(said("join"))
}
