//! The deadline clock: the processor's time stamp counter, in ticks.

use core::time::Duration;

use caps::Error;
use idl::types::{Deadline, Ticks};

use crate::cap::{Notification, cap};
use crate::{block, environment, thread};

const NANOSECONDS: u128 = 1_000_000_000;

/// Now.
#[inline]
#[must_use]
pub fn now() -> Ticks {
    Ticks(crate::platform::ticks())
}

/// How many ticks a second has.
#[must_use]
pub fn ticks_per_second() -> u64 {
    environment().startup().ticks_per_second.max(1)
}

/// A duration in ticks.
#[must_use]
pub fn ticks(duration: Duration) -> Ticks {
    Ticks(convert(duration, ticks_per_second()))
}

/// Ticks as a duration.
#[must_use]
pub fn duration(ticks: Ticks) -> Duration {
    let nanoseconds = u128::from(ticks.0) * NANOSECONDS / u128::from(ticks_per_second());
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

fn convert(duration: Duration, rate: u64) -> u64 {
    let ticks = duration.as_nanos().saturating_mul(u128::from(rate)) / NANOSECONDS;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// The deadline so far from now.
#[must_use]
pub fn after(duration: Duration) -> Deadline {
    Deadline(now().0.saturating_add(ticks(duration).0))
}

/// Sleeps until the deadline.
pub fn sleep_until(deadline: Deadline) {
    let notification = cap::<Notification>(block::current().notification());
    while now().0 < deadline.0 {
        match notification.wait(deadline) {
            Ok(_) | Err(Error::TimedOut) => {}
            // No notification of its own (too early, or no memory for one): let others run instead.
            Err(_) => thread::yield_now(),
        }
    }
}

/// Sleeps so long.
pub fn sleep(duration: Duration) {
    sleep_until(after(duration));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_convert() {
        assert_eq!(convert(Duration::from_millis(5), 1_000_000_000), 5_000_000);
        assert_eq!(convert(Duration::MAX, u64::MAX), u64::MAX);
        assert_eq!(convert(Duration::MAX, 1_000_000_000), u64::MAX);
        assert_eq!(convert(Duration::from_secs(3), 2_400_000_000), 7_200_000_000);
    }
}
