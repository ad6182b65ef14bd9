//! How long a run may take on this host, now.
//!
//! A deadline in plain seconds is too short on a busy laptop and too long on a fast one. So each run measures itself:
//! the time from QEMU's start to the guest's first line, which is the same work in every run, is compared with what
//! it took on the machine where the deadlines were chosen, and the deadline is stretched by that.

use std::time::Duration;

/// What the start took where the deadlines were chosen.
const NOMINAL_BOOT: Duration = Duration::from_millis(200);
/// How long to wait for the first line, whatever the host.
const BOOT_PATIENCE: Duration = Duration::from_secs(60);
/// The most that a deadline is stretched.
const MOST: f64 = 12.0;

/// The time a run may take from its start, once its boot took `boot`; before that, how long the boot may take.
pub(super) fn allowed(nominal: Duration, boot: Option<Duration>) -> Duration {
    let Some(boot) = boot else { return BOOT_PATIENCE };
    let stretch = (boot.as_secs_f64() / NOMINAL_BOOT.as_secs_f64()).clamp(1.0, MOST);
    boot + nominal.mul_f64(stretch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_boot_stretches_and_a_fast_one_does_not_shrink() {
        let nominal = Duration::from_secs(10);
        let at = |milliseconds| allowed(nominal, Some(Duration::from_millis(milliseconds))).as_secs();
        assert_eq!(at(100), 10);
        assert_eq!(at(400), 20);
        assert_eq!(at(50_000), 50 + 120);
        assert_eq!(allowed(nominal, None), BOOT_PATIENCE);
    }
}
