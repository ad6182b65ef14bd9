//! Futexes: waiting for a word of memory to be announced as changed.

use linux_raw_sys::general as g;

use super::records::TimeSpec;
use crate::error::{Errno, Result};
use crate::limits::{PAGE_U64, USER_END};
use crate::linux::Linux;
use crate::memory::address::UserPtr;
use crate::memory::areas::{Backing, Sharing};
use crate::outcome::{FutexKey, OnSignal, Outcome, Reply, Wait, WaitKey, count};
use crate::platform::Platform;
use crate::process::{State, Tid};

impl<P: Platform> Linux<P> {
    pub(super) fn call_futex(
        &mut self,
        t: Tid,
        word: UserPtr,
        operation: u32,
        value: u32,
        [timeout, second]: [u64; 2],
        compare: u32,
    ) -> Reply {
        let command = operation & !(g::FUTEX_PRIVATE_FLAG | g::FUTEX_CLOCK_REALTIME);
        match command {
            g::FUTEX_WAIT | g::FUTEX_WAIT_BITSET => {
                if command == g::FUTEX_WAIT_BITSET && compare == 0 {
                    return Err(Errno::EINVAL);
                }
                let limit = match UserPtr(timeout).non_null() {
                    Some(pointer) => Some(self.get::<TimeSpec>(t, pointer)?.to_nanos().ok_or(Errno::EINVAL)?),
                    None => None,
                };
                // FUTEX_WAIT counts from now; the other has a moment on one of two clocks.
                let now = self.machine.platform.now();
                let realtime = operation & g::FUTEX_CLOCK_REALTIME != 0;
                let zero = if realtime { self.machine.platform.epoch() } else { 0 };
                let left = limit.map(|limit| match command {
                    g::FUTEX_WAIT => limit,
                    _ => limit.saturating_sub(zero).saturating_sub(now),
                });
                self.futex_wait(t, word, value, left)
            }
            g::FUTEX_WAKE | g::FUTEX_WAKE_BITSET => {
                if command == g::FUTEX_WAKE_BITSET && compare == 0 {
                    return Err(Errno::EINVAL);
                }
                let key = self.futex_key(t, word)?;
                count(self.futex_wake(key, value))
            }
            g::FUTEX_REQUEUE | g::FUTEX_CMP_REQUEUE => {
                if command == g::FUTEX_CMP_REQUEUE && self.get::<u32>(t, word)? != compare {
                    return Err(Errno::EAGAIN);
                }
                self.futex_requeue(t, word, value, UserPtr(second), timeout)
            }
            _ => Err(Errno::ENOSYS),
        }
    }

    /// Which word is meant: private memory by its address, shared memory by its place in the file.
    fn futex_key(&self, t: Tid, word: UserPtr) -> Result<FutexKey> {
        if !word.0.is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        if word.0 >= USER_END {
            return Err(Errno::EFAULT);
        }
        let memory = self.task(t).memory;
        let area = self.memories[memory].areas.at(word.0 / PAGE_U64);
        Ok(match area.map(|area| (area.sharing, area.backing)) {
            Some((Sharing::Shared, Backing::File { ino, page })) => {
                FutexKey::Shared(ino, page * PAGE_U64 + word.0 % PAGE_U64)
            }
            _ => FutexKey::Private(memory, word.0),
        })
    }

    /// The progress of a futex wait: it has been queued, so that the next attempt is the wake-up.
    const QUEUED: u64 = 1;

    fn futex_wait(&mut self, t: Tid, word: UserPtr, value: u32, left: Option<u64>) -> Reply {
        let key = self.futex_key(t, word)?;
        if let Some(call) = self.task(t).call
            && call.progress == Self::QUEUED
        {
            // Woken, timed out, or made to look by a signal: in all cases the word's value is not
            // asked again. A wake takes the mark away.
            if self.is_past(call.deadline) {
                return self.futex_done(t, Err(Errno::ETIMEDOUT));
            }
            if self.deliverable(t) {
                self.set_futex_mark(t, 0);
            }
        } else {
            if self.task(t).call.is_some_and(|call| call.progress > Self::QUEUED) {
                return self.futex_done(t, Ok(Outcome::Value(0)));
            }
            if self.get::<u32>(t, word)? != value {
                return Err(Errno::EAGAIN);
            }
            let deadline = self.deadline(t, left);
            if self.is_past(deadline) {
                return Err(Errno::ETIMEDOUT);
            }
            if !self.deliverable(t) {
                self.set_futex_mark(t, Self::QUEUED);
            }
        }
        let deadline = self.task(t).call.and_then(|call| call.deadline);
        let keys = alloc::vec![WaitKey::Futex(key)];
        Ok(Outcome::Wait(Wait { keys, deadline, on_signal: OnSignal::Restart }))
    }

    fn futex_done(&mut self, t: Tid, reply: Reply) -> Reply {
        self.set_futex_mark(t, 0);
        reply
    }

    fn set_futex_mark(&mut self, t: Tid, mark: u64) {
        if let Some(call) = &mut self.task_mut(t).call {
            call.progress = mark;
        }
    }

    /// Wakes the first `most` tasks that wait for a word.
    fn futex_wake(&mut self, key: FutexKey, most: u32) -> usize {
        let mut woken = 0;
        for tid in self.scheduler.waiters(WaitKey::Futex(key)) {
            if woken >= usize::try_from(most).unwrap_or(usize::MAX) {
                break;
            }
            // Past QUEUED: this wait is over by a wake.
            self.set_futex_mark(tid, Self::QUEUED + 1);
            self.make_ready(tid);
            woken += 1;
        }
        woken
    }

    /// Wakes waiters of a word that the system itself changed.
    pub(crate) fn wake_futex(&mut self, t: Tid, word: UserPtr, most: u32) {
        if let Ok(key) = self.futex_key(t, word) {
            self.futex_wake(key, most);
        }
    }

    fn futex_requeue(&mut self, t: Tid, word: UserPtr, wake: u32, second: UserPtr, most: u64) -> Reply {
        let (from, to) = (self.futex_key(t, word)?, self.futex_key(t, second)?);
        let woken = self.futex_wake(from, wake);
        let mut moved = 0;
        for tid in self.scheduler.waiters(WaitKey::Futex(from)) {
            if moved as u64 >= most {
                break;
            }
            if let State::Waiting(wait) = self.task(tid).state.clone() {
                self.withdraw_wait(tid, &wait);
                self.park(tid, Wait { keys: alloc::vec![WaitKey::Futex(to)], ..wait });
                moved += 1;
            }
        }
        count(woken + moved)
    }
}
