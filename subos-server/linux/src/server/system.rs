//! What the threads share: the personality behind its lock, and how to wake each of them.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use idl::types::Bits;
use linux::Linux;
use linux::platform::ExecutorId;
use userlib::Cap;
use userlib::cap::Notification;
use userlib::sync::Mutex;

use super::machine::Machine;

/// The bit that wakes an executor.
pub(super) const WORK: Bits = Bits(1);
/// The bit with which the uplink's doorbell wakes the manager.
pub(super) const DOORBELL: Bits = Bits(1);
/// The bit with which an executor tells the manager that the first program has ended.
pub(super) const ENDED: Bits = Bits(2);

/// Everything that is shared.
pub(super) struct System {
    pub(super) linux: Mutex<Linux<Machine>>,
    /// What wakes each executor, by its number.
    executors: Mutex<Vec<Cap<Notification>>>,
    /// A bit for each executor whose core is gone.
    dormant: AtomicU64,
    pub(super) manager: Cap<Notification>,
}

impl System {
    pub(super) fn new(linux: Linux<Machine>, manager: Cap<Notification>) -> Self {
        Self {
            linux: Mutex::new(linux),
            executors: Mutex::new(Vec::new()),
            dormant: AtomicU64::new(0),
            manager,
        }
    }

    /// Adds an executor.
    pub(super) fn enlist(&self, wake: Cap<Notification>) -> Option<ExecutorId> {
        let mut executors = self.executors.lock();
        let number = u8::try_from(executors.len()).ok().filter(|&number| u32::from(number) < u64::BITS)?;
        executors.push(wake);
        Some(ExecutorId(number))
    }

    /// Wakes an executor.
    pub(super) fn wake(&self, executor: ExecutorId) {
        let wake = self.executors.lock().get(usize::from(executor.0)).copied();
        if let Some(wake) = wake {
            // The notification lives as long as the program.
            let _ = wake.signal(WORK);
        }
    }

    /// Wakes every executor.
    pub(super) fn wake_all(&self) {
        let count = u8::try_from(self.executors.lock().len()).unwrap_or(u8::MAX);
        for number in 0..count {
            self.wake(ExecutorId(number));
        }
    }

    /// Says whether an executor has a core.
    pub(super) fn set_dormant(&self, executor: ExecutorId, dormant: bool) {
        let bit = 1 << executor.0;
        if dormant {
            self.dormant.fetch_or(bit, Ordering::AcqRel);
        } else {
            self.dormant.fetch_and(!bit, Ordering::AcqRel);
        }
    }

    pub(super) fn is_dormant(&self, executor: ExecutorId) -> bool {
        self.dormant.load(Ordering::Acquire) & 1 << executor.0 != 0
    }
}
