//! The kernel's lock: nobody is inside together, no hand-over is lost, whoever waits can leave, a visitor is first, and
//! neither death nor rubbish of its users holds a visitor up.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::sync::Arc;

use kernel_loom::explore::Preemptions::{self, Any, AtMost};
use kernel_loom::explore::Weakness::{Omitted, Relaxed, Torn};
use kernel_loom::explore::{Check, Mutant, Weakness, abandon, finds, run_until_abandoned, strike, unmissed};
use kernel_loom::machine::{Flag, Memory};
use kernel_loom::sync::{Guard, KernelLock, Refused, Wait};
use kernel_loom::types::CoreId;
use loom::thread;

const FIRST: CoreId = CoreId(0);
const SECOND: CoreId = CoreId(1);
const THIRD: CoreId = CoreId(2);

/// A kernel behind its lock.
#[derive(Default)]
struct Kernel {
    lock: KernelLock,
    memory: Memory,
    /// Somebody has come as far as the model needs.
    ready: Flag,
    /// The visitor has been let in, or the lock spoilt.
    done: Flag,
}

impl Kernel {
    fn work(&self, guard: &Result<Guard<'_>, Refused>) {
        if guard.is_ok() {
            self.memory.write();
        }
    }

    /// Takes the lock as one of its cores, works and lets go.
    fn enter(&self, core: CoreId, service: impl FnMut() -> Wait) {
        let guard = self.lock.acquire(core, service);
        self.work(&guard);
    }

    /// The same as a visitor.
    fn visit(&self, core: CoreId, service: impl FnMut() -> Wait) {
        let guard = self.lock.visit(core, service);
        self.work(&guard);
    }

    /// Nobody has the lock, and nobody will be handed it: one can take it and give it back, twice.
    fn is_at_rest(&self) {
        for core in [FIRST, SECOND] {
            let guard = self.lock.acquire(core, || Wait::Withdraw);
            assert!(guard.is_ok(), "the lock was handed to nobody");
            self.work(&guard);
        }
    }
}

/// Patience for so many looks.
fn looks(mut left: u32) -> impl FnMut() -> Wait {
    move || match left.checked_sub(1) {
        Some(less) => {
            left = less;
            Wait::On
        }
        None => Wait::Withdraw,
    }
}

fn on() -> Wait {
    Wait::On
}

fn two_cores() {
    let kernel = Arc::new(Kernel::default());
    let other = Arc::clone(&kernel);
    let second = thread::spawn(move || other.enter(SECOND, on));
    kernel.enter(FIRST, on);
    second.join().unwrap();
    kernel.is_at_rest();
}

fn two_cores_and_a_visitor() {
    let kernel = Arc::new(Kernel::default());
    let (one, two) = (Arc::clone(&kernel), Arc::clone(&kernel));
    let second = thread::spawn(move || one.enter(SECOND, on));
    let third = thread::spawn(move || two.visit(THIRD, on));
    kernel.enter(FIRST, on);
    second.join().unwrap();
    third.join().unwrap();
    kernel.is_at_rest();
}

/// A core that loses its patience after a while, whatever the others have decided about it.
fn one_withdraws(patience: u32) {
    let kernel = Arc::new(Kernel::default());
    let (one, two) = (Arc::clone(&kernel), Arc::clone(&kernel));
    let second = thread::spawn(move || one.enter(SECOND, looks(patience)));
    let third = thread::spawn(move || two.enter(THIRD, on));
    kernel.enter(FIRST, on);
    second.join().unwrap();
    third.join().unwrap();
    kernel.is_at_rest();
}

fn one_withdraws_at_once() {
    one_withdraws(1);
}

fn one_withdraws_later() {
    one_withdraws(2);
}

/// Two cores, one of which withdraws: small enough to look at all of it.
fn a_waiter_withdraws() {
    let kernel = Arc::new(Kernel::default());
    let other = Arc::clone(&kernel);
    let second = thread::spawn(move || other.enter(SECOND, looks(2)));
    kernel.enter(FIRST, on);
    second.join().unwrap();
    kernel.is_at_rest();
}

/// A visitor that waits when the lock is given back is served before a core, whichever came first.
fn a_visitor_is_first() {
    let kernel = Arc::new(Kernel::default());
    let (one, two) = (Arc::clone(&kernel), Arc::clone(&kernel));
    let held = kernel.lock.acquire(FIRST, on);
    let second = thread::spawn(move || {
        let guard = one.lock.acquire(SECOND, on).unwrap();
        assert!(one.done.count() > 0, "a core was let in before the visitor");
        drop(guard);
    });
    let third = thread::spawn(move || {
        // What it calls while it waits, it calls when it stands in the queue.
        let guard = two.lock.visit(THIRD, || {
            two.ready.raise();
            Wait::On
        });
        two.done.raise();
        drop(guard);
    });
    kernel.ready.await_raised();
    drop(held);
    second.join().unwrap();
    third.join().unwrap();
    kernel.is_at_rest();
}

/// Whoever asks after the lock was spoilt is refused; whoever waits is, too, whoever has the lock.
fn poison() {
    let kernel = Arc::new(Kernel::default());
    let (one, two) = (Arc::clone(&kernel), Arc::clone(&kernel));
    let second = thread::spawn(move || {
        let spoilt = one.done.count() > 0;
        let guard = one.lock.acquire(SECOND, on);
        assert!(guard.is_err() || !spoilt, "let in to a kernel that has failed");
        one.work(&guard);
    });
    let third = thread::spawn(move || {
        two.lock.poison();
        two.done.raise();
    });
    // It holds the lock and gives it back only when the others are through, as the dead do.
    let guard = kernel.lock.acquire(FIRST, on);
    kernel.work(&guard);
    third.join().unwrap();
    if guard.is_ok() {
        second.join().unwrap();
        drop(guard);
    } else {
        second.join().unwrap();
    }
    assert!(kernel.lock.visit(THIRD, on).is_err());
}

/// A core dies at any step of its stay, or of giving the lock back. A visitor's patience ends, and it gets away and gives the
/// kernel up; then so does a core that waits.
fn a_holder_dies(steps: u32) {
    let kernel = Arc::new(Kernel::default());
    let (one, two) = (Arc::clone(&kernel), Arc::clone(&kernel));
    let first = thread::spawn(move || {
        run_until_abandoned(|| {
            let guard = one.lock.acquire(FIRST, on);
            one.ready.raise();
            let left = std::cell::Cell::new(steps);
            strike(move || match left.get().checked_sub(1) {
                Some(less) => left.set(less),
                None => abandon(),
            });
            drop(guard);
        });
    });
    let second = thread::spawn(move || {
        two.enter(SECOND, on);
    });
    kernel.ready.await_raised();
    let visitor = kernel.lock.visit(THIRD, looks(2));
    if visitor.is_err() {
        drop(visitor);
        kernel.lock.poison();
        first.join().unwrap();
        second.join().unwrap();
    }
}

fn a_holder_dies_before_it_looks_for_a_visitor() {
    a_holder_dies(0);
}

fn a_holder_dies_before_it_hands_over() {
    a_holder_dies(2);
}

fn a_holder_dies_when_it_has_seen_who_waits() {
    a_holder_dies(5);
}

fn a_holder_dies_when_it_has_chosen() {
    a_holder_dies(6);
}

/// So many preemptions are tried where three cores are at it.
const BOUND: Preemptions = AtMost(2);

#[test]
fn nobody_is_inside_together_and_no_hand_over_is_lost() {
    Check::of("the lock is handed over", &[26])
        .explore("two cores", Any, two_cores)
        .explore("two cores and a visitor", BOUND, two_cores_and_a_visitor)
        .record(env!("CARGO_TARGET_TMPDIR"));
}

#[test]
fn waiters_withdraw_at_any_moment() {
    Check::of("the lock is left by who waits", &[26])
        .explore("a waiter withdraws", Any, a_waiter_withdraws)
        .explore("one of two waiters withdraws at once", BOUND, one_withdraws_at_once)
        .explore("one of two waiters withdraws later", BOUND, one_withdraws_later)
        .record(env!("CARGO_TARGET_TMPDIR"));
}

#[test]
fn visitors_are_first() {
    Check::of("the lock serves visitors first", &[26])
        .explore("a visitor is first", BOUND, a_visitor_is_first)
        .record(env!("CARGO_TARGET_TMPDIR"));
}

#[test]
fn a_failed_kernel_lets_nobody_in() {
    Check::of("the lock of a kernel that failed", &[26])
        .explore("poison", BOUND, poison)
        .record(env!("CARGO_TARGET_TMPDIR"));
}

#[test]
fn the_dead_hold_nobody_up() {
    Check::of("the lock whose holder dies", &[26])
        .explore("at once", BOUND, a_holder_dies_before_it_looks_for_a_visitor)
        .explore("before it hands over", BOUND, a_holder_dies_before_it_hands_over)
        .explore("having seen who waits", BOUND, a_holder_dies_when_it_has_seen_who_waits)
        .explore("having chosen", BOUND, a_holder_dies_when_it_has_chosen)
        .record(env!("CARGO_TARGET_TMPDIR"));
}

#[test]
#[ignore = "takes minutes"]
fn every_order_is_needed_or_listed() {
    let models: &[(Preemptions, fn())] = &[
        (Any, two_cores),
        (Any, a_waiter_withdraws),
        (BOUND, two_cores_and_a_visitor),
        (BOUND, one_withdraws_at_once),
        (BOUND, poison),
        (BOUND, a_visitor_is_first),
    ];
    assert_eq!(unmissed("lock.rs", models), NOT_NEEDED.iter().map(|line| (*line).to_owned()).collect());
}

/// Steps that order more than these models need. What one holder leaves to the next is ordered by the holder's word; who
/// waits, by the swaps of each other's bits, one of which is enough; and poison is a word that says all there is to say.
const NOT_NEEDED: &[&str] = &[
    "self.waiting.fetch_or(core.bit(), Ordering::SeqCst);",
    "let waiting = self.waiting.fetch_and(!core.bit(), Ordering::SeqCst);",
    "let waiting = self.waiting.load(Ordering::SeqCst);",
    "if self.waiting.fetch_and(!bit, Ordering::SeqCst) & bit != 0 {",
    "let visitor = self.visitor.swap(NOBODY, Ordering::SeqCst);",
    "self.visitor.store(me, Ordering::SeqCst);",
    "self.visitor.store(NOBODY, Ordering::SeqCst);",
    "while self.holder.load(Ordering::Acquire) != me {",
    "self.poisoned.store(true, Ordering::SeqCst);",
    "let refused = if self.poisoned.load(Ordering::Acquire) {",
    "if self.poisoned.load(Ordering::Acquire) {",
    "if self.poisoned.load(Ordering::Acquire) { Err(Refused::Poisoned) } else { Ok(guard) }",
];

fn mutant(text: &'static str, weakness: Weakness) -> Mutant {
    Mutant { file: "lock.rs", text, weakness }
}

#[test]
fn weaker_steps_are_found() {
    let taken = "self.holder.compare_exchange(FREE, me";
    let handed = "self.holder.store(next + 1, Ordering::Release)";
    finds("two cores", Any, mutant(taken, Relaxed), two_cores);
    finds("two cores", Any, mutant(taken, Torn), two_cores);
    finds("two cores", Any, mutant("self.holder.store(FREE, Ordering::Release)", Relaxed), two_cores);
    finds("two cores", Any, mutant(handed, Omitted), two_cores);
    finds("two cores", Any, mutant(handed, Relaxed), two_cores);
    finds("two cores", Any, mutant(handed, Omitted), two_cores);
    finds("two cores", Any, mutant("if self.holder.load(Ordering::Acquire) == me", Relaxed), two_cores);
    let visitor = "self.holder.store(visitor, Ordering::Release)";
    finds("a visitor", BOUND, mutant(visitor, Relaxed), two_cores_and_a_visitor);
    // Both the waiter and the holder believe that they have decided.
    let withdrawn = "let waiting = self.waiting.fetch_and(!core.bit()";
    let chosen = "if self.waiting.fetch_and(!bit, Ordering::SeqCst) & bit != 0";
    finds("withdrawing", Any, mutant(withdrawn, Torn), a_waiter_withdraws);
    finds("withdrawing", Any, mutant(chosen, Torn), a_waiter_withdraws);
    finds("a visitor", BOUND, mutant("let visitor = self.visitor.swap(NOBODY", Omitted), a_visitor_is_first);
    finds("poison", BOUND, mutant("self.poisoned.store(true, Ordering::SeqCst)", Omitted), poison);
}
