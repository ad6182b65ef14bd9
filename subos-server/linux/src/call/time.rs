//! Clocks, sleeping, the interval timer.

use alloc::vec::Vec;
use linux_raw_sys::general as g;

use super::records::{IntervalTimer, TimeSpec};
use crate::error::{Errno, Result};
use crate::linux::Linux;
use crate::memory::address::UserPtr;
use crate::outcome::{DONE, OnSignal, Outcome, Reply, Wait};
use crate::platform::Platform;
use crate::process::image::CLOCK_TICKS;
use crate::process::{Alarm, Pid, Tid};
use crate::signal::{Info, Signal};

/// Nanoseconds in a second and in a clock tick.
const SECOND: u64 = 1_000_000_000;
const TICK: u64 = SECOND / CLOCK_TICKS;

impl<P: Platform> Linux<P> {
    /// The moment at which a call that takes `timeout` nanoseconds from its first attempt gives up.
    pub(super) fn deadline(&mut self, t: Tid, timeout: Option<u64>) -> Option<u64> {
        let now = self.machine.platform.now();
        let timeout = timeout?;
        let deadline = now.saturating_add(timeout);
        match &mut self.task_mut(t).call {
            Some(call) => Some(*call.deadline.get_or_insert(deadline)),
            None => Some(deadline),
        }
    }

    /// Whether a deadline has come.
    pub(super) fn is_past(&self, deadline: Option<u64>) -> bool {
        deadline.is_some_and(|deadline| deadline <= self.machine.platform.now())
    }

    /// What a clock shows, in nanoseconds.
    fn clock(&self, t: Tid, clock: u32) -> Result<u64> {
        let now = self.machine.platform.now();
        match clock {
            g::CLOCK_REALTIME | g::CLOCK_REALTIME_COARSE | g::CLOCK_TAI => {
                Ok(self.machine.platform.epoch() + now)
            }
            g::CLOCK_MONOTONIC | g::CLOCK_MONOTONIC_RAW | g::CLOCK_MONOTONIC_COARSE | g::CLOCK_BOOTTIME => {
                Ok(now)
            }
            g::CLOCK_PROCESS_CPUTIME_ID | g::CLOCK_THREAD_CPUTIME_ID => {
                Ok(self.process(self.task(t).process).times.user)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    pub(super) fn call_clock_gettime(&mut self, t: Tid, clock: u32, out: UserPtr) -> Reply {
        let nanos = self.clock(t, clock)?;
        self.put(t, out, &TimeSpec::from_nanos(nanos)).and(DONE)
    }

    pub(super) fn call_clock_getres(&mut self, t: Tid, clock: u32, out: UserPtr) -> Reply {
        self.clock(t, clock)?;
        match out.non_null() {
            Some(out) => self.put(t, out, &TimeSpec::from_nanos(1)).and(DONE),
            None => DONE,
        }
    }

    pub(super) fn call_gettimeofday(&mut self, t: Tid, out: UserPtr, zone: UserPtr) -> Reply {
        let nanos = self.clock(t, g::CLOCK_REALTIME)?;
        if let Some(out) = out.non_null() {
            self.put(t, out, &TimeSpec::micros_from_nanos(nanos))?;
        }
        if let Some(zone) = zone.non_null() {
            self.put(t, zone, &0u64)?;
        }
        DONE
    }

    pub(super) fn call_time(&mut self, t: Tid, out: UserPtr) -> Reply {
        let seconds = self.clock(t, g::CLOCK_REALTIME)? / SECOND;
        if let Some(out) = out.non_null() {
            self.put(t, out, &seconds)?;
        }
        Ok(Outcome::Value(seconds))
    }

    pub(super) fn call_times(&mut self, t: Tid, out: UserPtr) -> Reply {
        let times = self.process(self.task(t).process).times;
        if let Some(out) = out.non_null() {
            self.put(t, out, &[times.user / TICK, 0, times.children_user / TICK, 0])?;
        }
        Ok(Outcome::Value(self.machine.platform.now() / TICK))
    }

    pub(super) fn call_nanosleep(
        &mut self,
        t: Tid,
        clock: u32,
        flags: u32,
        want: UserPtr,
        rest: UserPtr,
    ) -> Reply {
        let nanos = self.get::<TimeSpec>(t, want)?.to_nanos().ok_or(Errno::EINVAL)?;
        let shown = self.clock(t, clock)?;
        let absolute = flags & g::TIMER_ABSTIME != 0;
        let timeout = if absolute { nanos.saturating_sub(shown) } else { nanos };
        let deadline = self.deadline(t, Some(timeout));
        if self.is_past(deadline) {
            return DONE;
        }
        if let (false, Some(rest), Some(deadline)) = (absolute, rest.non_null(), deadline) {
            // Written at each attempt, so that it is right when a signal ends the sleep.
            let left = deadline - self.machine.platform.now();
            if self.deliverable(t) {
                self.put(t, rest, &TimeSpec::from_nanos(left))?;
            }
        }
        Ok(Outcome::Wait(Wait { keys: Vec::new(), deadline, on_signal: OnSignal::Interrupt }))
    }

    pub(super) fn call_alarm(&mut self, t: Tid, seconds: u32) -> Reply {
        let value = u64::from(seconds) * SECOND;
        let left = self.set_alarm(t, value, 0).0;
        // A timer that is about to ring counts as a second.
        Ok(Outcome::Value(left.div_ceil(SECOND)))
    }

    pub(super) fn call_setitimer(&mut self, t: Tid, which: u32, new: UserPtr, old: UserPtr) -> Reply {
        check_real(which)?;
        let timer: IntervalTimer = match new.non_null() {
            Some(new) => self.get(t, new)?,
            None => IntervalTimer::default(),
        };
        let value = timer.value.micros_to_nanos().ok_or(Errno::EINVAL)?;
        let interval = timer.interval.micros_to_nanos().ok_or(Errno::EINVAL)?;
        let before = self.set_alarm(t, value, interval);
        match old.non_null() {
            Some(old) => self.put_timer(t, old, before),
            None => DONE,
        }
    }

    pub(super) fn call_getitimer(&mut self, t: Tid, which: u32, out: UserPtr) -> Reply {
        check_real(which)?;
        let state = self.alarm_state(t);
        self.put_timer(t, out, state)
    }

    fn put_timer(&mut self, t: Tid, out: UserPtr, (left, interval): (u64, u64)) -> Reply {
        let timer = IntervalTimer {
            interval: TimeSpec::micros_from_nanos(interval),
            value: TimeSpec::micros_from_nanos(left),
        };
        self.put(t, out, &timer).and(DONE)
    }

    /// What is left of the process's timer, and its interval.
    fn alarm_state(&self, t: Tid) -> (u64, u64) {
        let now = self.machine.platform.now();
        let alarm = self.process(self.task(t).process).alarm;
        alarm.map_or((0, 0), |alarm| (alarm.at.saturating_sub(now).max(1), alarm.interval))
    }

    /// Sets the process's timer, or stops it with zero; the answer is what it was.
    fn set_alarm(&mut self, t: Tid, value: u64, interval: u64) -> (u64, u64) {
        let before = self.alarm_state(t);
        let at = self.machine.platform.now().saturating_add(value);
        let pid = self.task(t).process;
        self.process_mut(pid).alarm = (value != 0).then_some(Alarm { at, interval });
        before
    }

    /// Sends SIGALRM to every process whose timer has run out.
    pub(crate) fn ring_alarms(&mut self, now: u64) {
        let due: Vec<Pid> = self
            .processes
            .iter()
            .filter(|(_, process)| process.alarm.is_some_and(|alarm| alarm.at <= now))
            .map(|(&pid, _)| pid)
            .collect();
        for pid in due {
            let process = self.process_mut(pid);
            process.alarm = process.alarm.filter(|alarm| alarm.interval > 0).map(|alarm| Alarm {
                // Rings that were missed are not made up for.
                at: now.saturating_add(alarm.interval),
                interval: alarm.interval,
            });
            // A process that is ending needs no alarm.
            let _ = self.send_to_process(pid, Info::from_kernel(Signal::ALRM));
        }
    }
}

/// Only the timer of real time exists.
fn check_real(which: u32) -> Result<()> {
    if which == g::ITIMER_REAL { Ok(()) } else { Err(Errno::EINVAL) }
}
