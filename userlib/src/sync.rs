//! Locks between the threads of one program.
//!
//! A lock spins briefly, then lets others run, then sleeps between looks: under fixed priorities whoever only
//! yields can keep a holder of lower priority from ever running.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use crate::{platform, thread, time};

/// How often to look without doing anything else.
const SPINS: u32 = 100;
/// How often to let others run before sleeping.
const YIELDS: u32 = 8;
/// How long to sleep between looks.
const NAP: Duration = Duration::from_micros(50);

/// The lock itself.
#[derive(Debug)]
pub struct RawLock {
    held: AtomicBool,
}

/// A value behind a lock.
pub type Mutex<T> = lock_api::Mutex<RawLock, T>;
/// The right to use the value, until dropped.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawLock, T>;

// SAFETY: `try_lock` succeeds only by changing `held` from false to true, with acquire order, and only `unlock`
// changes it back, with release order: so at most one holds the lock, and sees what the one before it did.
unsafe impl lock_api::RawMutex for RawLock {
    #[allow(clippy::declare_interior_mutable_const, reason = "how lock_api makes a lock in a constant")]
    const INIT: Self = Self { held: AtomicBool::new(false) };
    type GuardMarker = lock_api::GuardSend;

    fn lock(&self) {
        let mut patience = Patience::default();
        while !self.try_lock() {
            patience.wait();
        }
    }

    fn try_lock(&self) -> bool {
        self.held.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    unsafe fn unlock(&self) {
        self.held.store(false, Ordering::Release);
    }
}

/// Waiting for something that another thread does, when there is nothing to sleep on.
#[derive(Debug, Default)]
pub struct Patience {
    looks: u32,
}

impl Patience {
    /// Waits a little; longer each time, up to a short sleep.
    pub fn wait(&mut self) {
        self.looks = self.looks.saturating_add(1);
        if self.looks < SPINS {
            platform::pause();
        } else if self.looks < SPINS + YIELDS {
            thread::yield_now();
        } else {
            time::sleep(NAP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Mutex;

    #[test]
    fn one_at_a_time() {
        static COUNT: Mutex<u32> = Mutex::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let mut count = COUNT.lock();
                        let seen = *count;
                        *count = seen + 1;
                    }
                });
            }
        });
        assert_eq!(*COUNT.lock(), 4000);
    }
}
