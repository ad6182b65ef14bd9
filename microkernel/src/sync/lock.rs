//! The lock of a kernel: fair after a short while, served round robin, visitors first, and a waiter can always
//! withdraw.
//!
//! One word says who holds the lock. One bit per core says who waits. Whoever *clears* a waiting bit decides: the
//! holder, who at release clears one bit and then names that core the holder; or the waiter itself, who withdraws. So a
//! waiter that finds its bit already gone is about to be the holder, and no hand-over is ever lost. The supervisor's
//! visitor waits in a word of its own and is served before all cores.

use crate::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, spin_loop};
use crate::limits::LOOKS;
use crate::types::CoreId;

const FREE: u32 = 0;
/// Set in the holder's word for a visitor.
const VISITOR: u32 = 1 << 8;
const NOBODY: u32 = 0;

const fn name(core: CoreId) -> u32 {
    core.0 as u32 + 1
}

/// What a waiter wants to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Go on waiting.
    On,
    /// Stop waiting.
    Withdraw,
}

/// What a waiter finds that leaves the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It is out, and nobody will hand it the lock.
    Left,
    /// A release has chosen it, and is about to hand it the lock.
    Chosen,
}

/// Why the lock was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The waiter withdrew.
    Withdrawn,
    /// The kernel behind the lock has failed; nobody gets it any more.
    Poisoned,
}

/// The lock, free by default. It guards whatever its owner says; see [`Guard`].
#[derive(Debug, Default)]
pub struct KernelLock {
    /// [`FREE`], or the [`name`] of the core that holds it, with [`VISITOR`] if that is a visitor.
    holder: AtomicU32,
    /// The [`name`] of the core from which a visitor waits.
    visitor: AtomicU32,
    poisoned: AtomicBool,
    /// Cores that wait, one bit each.
    waiting: AtomicU64,
}

impl KernelLock {
    /// Takes the lock for one of the kernel's own cores, if it is free and its kernel has not failed.
    #[inline(always)]
    pub fn try_acquire(&self, core: CoreId) -> Option<Guard<'_>> {
        if self.try_take(name(core)) { self.admit(name(core)).ok() } else { None }
    }

    /// Takes the lock for one of the kernel's own cores. While it waits it calls `service` again and again, which
    /// answers flush requests and says whether to go on.
    ///
    /// # Errors
    /// [`Refused::Withdrawn`] if `service` said so, [`Refused::Poisoned`] if the kernel has failed.
    #[inline(always)]
    pub fn acquire(&self, core: CoreId, service: impl FnMut() -> Wait) -> Result<Guard<'_>, Refused> {
        if !self.try_take(name(core)) {
            self.wait_for_turn(core, service)?;
        }
        self.admit(name(core))
    }

    /// Waits until a core of the kernel's own is the holder.
    #[cold]
    #[inline(never)]
    fn wait_for_turn(&self, core: CoreId, mut service: impl FnMut() -> Wait) -> Result<(), Refused> {
        let me = name(core);
        if self.look_for_it(me, &mut service)? {
            return Ok(());
        }
        self.waiting.fetch_or(core.bit(), Ordering::SeqCst);
        self.wait(me, service, || {
            let waiting = self.waiting.fetch_and(!core.bit(), Ordering::SeqCst);
            if waiting & core.bit() != 0 { Place::Left } else { Place::Chosen }
        })
    }

    /// Looks for a free lock for a while. Says whether it got it.
    fn look_for_it(&self, me: u32, service: &mut impl FnMut() -> Wait) -> Result<bool, Refused> {
        for _ in 0..LOOKS {
            if self.poisoned.load(Ordering::Acquire) {
                return Err(Refused::Poisoned);
            }
            if service() == Wait::Withdraw {
                return Err(Refused::Withdrawn);
            }
            spin_loop();
            if self.holder.load(Ordering::Relaxed) == FREE && self.try_take(me) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes the lock for the supervisor, from the core it runs on; one visitor comes at a time. While it waits it calls
    /// `service`, which says when its patience is at an end.
    ///
    /// Whoever holds the lock may have died or gone mad, so a visitor believes nothing that it finds here and leaves at
    /// once when its patience ends, even if a release has just chosen it: the lock may then be named to it for ever. A
    /// visitor that was refused gives the kernel up.
    ///
    /// # Errors
    /// As for [`KernelLock::acquire`].
    pub fn visit(&self, core: CoreId, service: impl FnMut() -> Wait) -> Result<Guard<'_>, Refused> {
        let me = name(core) | VISITOR;
        if !self.try_take(me) {
            self.visitor.store(me, Ordering::SeqCst);
            self.wait(me, service, || {
                self.visitor.store(NOBODY, Ordering::SeqCst);
                Place::Left
            })?;
        }
        self.admit(me)
    }

    /// Waits until this waiter is the holder. `leave_queue` takes it out of the queue.
    fn wait(
        &self,
        me: u32,
        mut service: impl FnMut() -> Wait,
        leave_queue: impl Fn() -> Place,
    ) -> Result<(), Refused> {
        loop {
            if self.holder.load(Ordering::Acquire) == me {
                return Ok(());
            }
            // A release that saw nobody waiting left the lock free; nobody hands over a free lock, so the queue is ours
            // to leave.
            if self.try_take(me) {
                leave_queue();
                return Ok(());
            }
            let refused = if self.poisoned.load(Ordering::Acquire) {
                Some(Refused::Poisoned)
            } else if service() == Wait::Withdraw {
                Some(Refused::Withdrawn)
            } else {
                None
            };
            if let Some(reason) = refused {
                if leave_queue() == Place::Chosen {
                    self.pass_on(me);
                }
                return Err(reason);
            }
            spin_loop();
        }
    }

    /// A release has chosen this waiter and is about to say so: it is the holder for a moment. In a kernel that has failed
    /// whoever chose it may be dead, and nobody is let in any more.
    fn pass_on(&self, me: u32) {
        while self.holder.load(Ordering::Acquire) != me {
            if self.poisoned.load(Ordering::Acquire) {
                return;
            }
            spin_loop();
        }
        self.release();
    }

    fn try_take(&self, me: u32) -> bool {
        self.holder.compare_exchange(FREE, me, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    fn admit(&self, me: u32) -> Result<Guard<'_>, Refused> {
        debug_assert!(self.holder.load(Ordering::Relaxed) == me);
        let guard = Guard { lock: self };
        if self.poisoned.load(Ordering::Acquire) { Err(Refused::Poisoned) } else { Ok(guard) }
    }

    /// Hands the lock to a visitor if one waits, else to the next waiting core after the one that held it, else frees
    /// it.
    #[inline(always)]
    fn release(&self) {
        if self.visitor.load(Ordering::SeqCst) == NOBODY && self.waiting.load(Ordering::SeqCst) == 0 {
            // Who comes to wait now finds the lock free.
            self.holder.store(FREE, Ordering::Release);
        } else {
            self.hand_on();
        }
    }

    /// The same, when somebody may wait.
    #[cold]
    #[inline(never)]
    fn hand_on(&self) {
        let visitor = self.visitor.swap(NOBODY, Ordering::SeqCst);
        if visitor != NOBODY {
            self.holder.store(visitor, Ordering::Release);
            return;
        }
        let mut from = self.holder.load(Ordering::Relaxed) & (VISITOR - 1);
        loop {
            let waiting = self.waiting.load(Ordering::SeqCst);
            if waiting == 0 {
                self.holder.store(FREE, Ordering::SeqCst);
                return;
            }
            // `from` is a core's number plus one, so the search begins at the next core.
            let distance = waiting.rotate_right(from & 63).trailing_zeros();
            let next = (from + distance) & 63;
            let bit = 1_u64 << next;
            if self.waiting.fetch_and(!bit, Ordering::SeqCst) & bit != 0 {
                self.holder.store(next + 1, Ordering::Release);
                return;
            }
            // It withdrew between the look and the grasp.
            from = next + 1;
        }
    }

    /// Whether the kernel behind the lock has failed.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Declares the kernel behind the lock failed: everyone who asks or waits is refused from now on. The holder, if
    /// it is not the caller, finds out by itself.
    pub fn poison(&self) {
        self.poisoned.store(true, Ordering::SeqCst);
    }
}

/// The right to what the lock guards; given back when dropped.
#[derive(Debug)]
#[must_use]
pub struct Guard<'a> {
    lock: &'a KernelLock,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.lock.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::UnsafeCell;
    use std::sync::atomic::AtomicUsize;
    use std::thread;
    use std::time::{Duration, Instant};

    struct Counter(UnsafeCell<u64>);
    // SAFETY: the tests reach the cell under the lock only; that is what they test.
    unsafe impl Sync for Counter {}

    impl Counter {
        fn add(&self, _: &Guard<'_>) {
            // SAFETY: the guard shows that the lock is held.
            unsafe { *self.0.get() += 1 };
        }
    }

    fn on() -> Wait {
        thread::yield_now();
        Wait::On
    }

    #[test]
    fn nobody_is_inside_together() {
        let (lock, counter) = (KernelLock::default(), Counter(UnsafeCell::new(0)));
        thread::scope(|scope| {
            for core in 0..4 {
                let (lock, counter) = (&lock, &counter);
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        counter.add(&lock.acquire(CoreId(core), on).expect("not refused"));
                    }
                });
            }
        });
        assert_eq!(counter.0.into_inner(), 80_000);
        assert_eq!(lock.holder.into_inner(), FREE);
        assert_eq!(lock.waiting.into_inner(), 0);
    }

    #[test]
    fn waiters_may_withdraw_at_any_moment() {
        let (lock, counter) = (KernelLock::default(), Counter(UnsafeCell::new(0)));
        let taken = AtomicUsize::new(0);
        thread::scope(|scope| {
            for core in 0..4 {
                let (lock, counter, taken) = (&lock, &counter, &taken);
                scope.spawn(move || {
                    for round in 0..20_000_u32 {
                        let mut patience = round % 3 + u32::from(core);
                        let service = || match patience.checked_sub(1) {
                            Some(less) => {
                                patience = less;
                                on()
                            }
                            None => Wait::Withdraw,
                        };
                        // A visitor that withdraws gives the lock up.
                        let got = if core == 3 {
                            lock.visit(CoreId(core), on)
                        } else {
                            lock.acquire(CoreId(core), service)
                        };
                        if let Ok(guard) = got {
                            counter.add(&guard);
                            taken.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(counter.0.into_inner(), taken.into_inner() as u64);
        assert_eq!(lock.holder.into_inner(), FREE, "no hand-over was lost");
        assert_eq!(lock.waiting.into_inner(), 0);
        assert_eq!(lock.visitor.into_inner(), NOBODY);
    }

    #[test]
    fn a_visitor_is_served_before_cores_that_came_first() {
        let lock = KernelLock::default();
        let order = std::sync::Mutex::new(std::vec::Vec::new());
        thread::scope(|scope| {
            let held = lock.acquire(CoreId(0), on).expect("free");
            let (lock, order) = (&lock, &order);
            for core in [2, 1] {
                scope.spawn(move || {
                    let guard = lock.acquire(CoreId(core), on).expect("not refused");
                    order.lock().expect("order").push(core);
                    drop(guard);
                });
                while lock.waiting.load(Ordering::SeqCst) & CoreId(core).bit() == 0 {
                    thread::yield_now();
                }
            }
            scope.spawn(move || {
                let guard = lock.visit(CoreId(9), on).expect("not refused");
                order.lock().expect("order").push(9);
                drop(guard);
            });
            while lock.visitor.load(Ordering::SeqCst) == NOBODY {
                thread::yield_now();
            }
            drop(held);
        });
        // The visitor first; the cores then in order after it, round robin.
        assert_eq!(*order.lock().expect("order"), [9, 1, 2]);
    }

    #[test]
    fn a_poisoned_lock_refuses_waiters_and_newcomers() {
        let lock = KernelLock::default();
        thread::scope(|scope| {
            let held = lock.acquire(CoreId(0), on).expect("free");
            let waiter = scope.spawn(|| lock.acquire(CoreId(1), on).map(drop));
            while lock.waiting.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            lock.poison();
            assert_eq!(waiter.join().expect("no panic"), Err(Refused::Poisoned));
            drop(held);
        });
        assert_eq!(lock.acquire(CoreId(2), on).map(drop), Err(Refused::Poisoned));
        assert_eq!(lock.visit(CoreId(2), on).map(drop), Err(Refused::Poisoned));
        assert_eq!(lock.holder.into_inner(), FREE);
    }

    #[test]
    fn a_visitor_believes_nothing_and_leaves_whoever_chose_it() {
        let lock = KernelLock::default();
        let _held = lock.acquire(CoreId(0), on).expect("free");
        lock.visitor.store(77, Ordering::SeqCst);
        let mut looks = 0;
        let patience = || {
            // The holder takes the visitor out of its place, and dies before it hands over.
            lock.visitor.store(NOBODY, Ordering::SeqCst);
            looks += 1;
            if looks < 3 { Wait::On } else { Wait::Withdraw }
        };
        assert_eq!(lock.visit(CoreId(1), patience).map(drop), Err(Refused::Withdrawn));
    }

    #[test]
    fn a_visitor_gives_up_at_its_deadline() {
        let lock = KernelLock::default();
        let held = lock.acquire(CoreId(0), on).expect("free");
        let end = Instant::now() + Duration::from_millis(5);
        let patience = || if Instant::now() < end { Wait::On } else { Wait::Withdraw };
        assert_eq!(lock.visit(CoreId(1), patience).map(drop), Err(Refused::Withdrawn));
        drop(held);
        assert!(lock.acquire(CoreId(1), on).is_ok());
    }
}
