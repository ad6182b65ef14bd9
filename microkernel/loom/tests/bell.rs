//! Doorbells against a moving target: no ring is lost, a flood costs one interrupt a wait, a closed one rings nowhere.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::sync::Arc;

use kernel_loom::atomic::{AtomicU64, Ordering};
use kernel_loom::explore::Preemptions::{self, Any, AtMost};
use kernel_loom::explore::Weakness::{Omitted, Relaxed, Torn};
use kernel_loom::explore::{Check, Mutant, Weakness, finds, finds_fault};
use kernel_loom::machine::{Flag, Line, Memory};
use kernel_loom::sync::bell::{Note, Signal, Target};
use kernel_loom::sync::{KernelLock, Wait};
use kernel_loom::types::CoreId;
use loom::thread;

const OLD: CoreId = CoreId(0);
const NEW: CoreId = CoreId(1);

/// One direction of a share, and the receiver's cores.
#[derive(Default)]
struct Share {
    note: Note,
    target: Target,
    /// What is sent, one word after the other.
    sent: [Memory; 2],
    count: AtomicU64,
    lines: [Line; 2],
    interrupts: Flag,
    waits: Flag,
    done: Flag,
}

impl Share {
    fn new(target: CoreId) -> Arc<Self> {
        let share = Self::default();
        share.target.set(Some(target));
        Arc::new(share)
    }

    /// Sends the next word and rings.
    fn send(&self, word: usize) {
        self.sent[word].write();
        self.count.fetch_add(1, Ordering::Release);
        self.interrupt(self.note.ring(&self.target));
    }

    fn interrupt(&self, core: Option<CoreId>) {
        if let Some(core) = core {
            self.interrupts.raise();
            self.lines[core.index()].send();
        }
    }

    /// Reads everything that has come.
    fn receive(&self) -> u64 {
        let count = self.count.load(Ordering::Acquire);
        self.sent[..usize::try_from(count).unwrap()].iter().for_each(Memory::read);
        count
    }

    /// A core of the receiver, on which a program waits whenever it has read everything, until all has come.
    fn receive_all(&self, core: CoreId, words: u64) {
        while self.receive() < words {
            let mut heard = false;
            while !heard {
                self.lines[core.index()].wait();
                self.note.announce(|| {
                    heard = true;
                    Signal::Taken
                });
            }
        }
    }
}

/// What goes wrong in a model with something wrong in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mover {
    Properly,
    /// It does not make the new target look.
    WithoutInterrupt,
    /// It makes the new target look before it is the target.
    InterruptFirst,
}

/// The target moves from a core that has parked, and hears nothing, while somebody rings.
fn the_target_moves(mover: Mover) {
    let share = Share::new(OLD);
    let (one, two) = (Arc::clone(&share), Arc::clone(&share));
    let sender = thread::spawn(move || one.send(0));
    let supervisor = thread::spawn(move || {
        if mover == Mover::InterruptFirst {
            two.interrupt(Some(NEW));
        }
        two.target.set(Some(NEW));
        if mover == Mover::Properly {
            two.interrupt(Some(NEW));
        }
    });
    share.receive_all(NEW, 1);
    sender.join().unwrap();
    supervisor.join().unwrap();
}

/// The target moves while it is in use: the old core, until it parks, hears what the new one has not yet heard.
fn the_target_moves_in_use() {
    let share = Share::new(OLD);
    let (one, two) = (Arc::clone(&share), Arc::clone(&share));
    let sender = thread::spawn(move || {
        one.send(0);
        one.send(1);
    });
    let supervisor = thread::spawn(move || {
        two.target.set(Some(NEW));
        two.interrupt(Some(NEW));
    });
    // The old core takes at most one interrupt before it is gone; it may be on behalf of nobody.
    share.note.announce(|| Signal::Taken);
    share.receive_all(NEW, 2);
    sender.join().unwrap();
    supervisor.join().unwrap();
}

/// How a program makes sure that nothing has come before it sleeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looks {
    Properly,
    /// It lets go of the lock before it has said that it waits.
    WithoutTheLock,
}

/// What a receiver's kernel knows of one of its programs.
#[derive(Default)]
struct Program {
    lock: KernelLock,
    /// 0, or 1 if the program waits; and whether a signal was kept. Under the lock.
    waits: AtomicU64,
    kept: AtomicU64,
    inside: Memory,
    /// The program is woken.
    woken: Line,
}

/// A program that waits, on one core, while its doorbell interrupts another: what it does, and what the interrupt does, is under
/// the receiver's lock, and nothing is lost between its last look and its sleep.
fn a_program_waits(looks: Looks) {
    let share = Share::new(NEW);
    let program = Arc::new(Program::default());
    let (one, two, kernel) = (Arc::clone(&share), Arc::clone(&share), Arc::clone(&program));
    let sender = thread::spawn(move || one.send(0));
    let core = thread::spawn(move || {
        two.lines[NEW.index()].wait();
        while two.done.count() == 0 {
            let held = kernel.lock.acquire(NEW, || Wait::On).unwrap();
            kernel.inside.write();
            two.note.announce(|| {
                if kernel.waits.swap(0, Ordering::Relaxed) == 1 {
                    kernel.woken.send();
                    Signal::Taken
                } else {
                    kernel.kept.store(1, Ordering::Relaxed);
                    Signal::Kept
                }
            });
            drop(held);
            two.lines[NEW.index()].wait();
        }
    });
    while share.receive() == 0 {
        let held = program.lock.acquire(OLD, || Wait::On).unwrap();
        program.inside.write();
        let kept = program.kept.swap(0, Ordering::Relaxed) == 1;
        let came = share.note.take();
        if !kept && !came {
            if looks == Looks::WithoutTheLock {
                drop(held);
                program.waits.store(1, Ordering::Relaxed);
            } else {
                program.waits.store(1, Ordering::Relaxed);
                drop(held);
            }
            program.woken.wait();
        }
    }
    share.done.raise();
    share.lines[NEW.index()].send();
    sender.join().unwrap();
    core.join().unwrap();
}

/// Two senders ring as fast as they can. However often, the receiver is interrupted once for each of its waits, and once
/// before.
fn a_flood() {
    let share = Share::new(NEW);
    let senders = [0, 1].map(|word| {
        let share = Arc::clone(&share);
        thread::spawn(move || {
            share.interrupt(share.note.ring(&share.target));
            share.sent[word].write();
            share.count.fetch_add(1, Ordering::AcqRel);
            share.interrupt(share.note.ring(&share.target));
        })
    });
    while share.count.load(Ordering::Acquire) < 2 {
        share.lines[NEW.index()].wait();
        if share.note.take() {
            share.waits.raise();
        }
    }
    for sender in senders {
        sender.join().unwrap();
    }
    let (interrupts, waits) = (share.interrupts.count(), share.waits.count());
    assert!(interrupts <= waits + 1, "{interrupts} interrupts for {waits} waits");
}

/// A doorbell is closed while somebody rings: who rings afterwards interrupts nobody.
fn closing() {
    let share = Share::new(OLD);
    let other = Arc::clone(&share);
    let sender = thread::spawn(move || {
        let closed = other.done.count() > 0;
        let core = other.note.ring(&other.target);
        assert!(core.is_none() || !closed, "a closed doorbell rings");
    });
    share.target.set(None);
    share.done.raise();
    sender.join().unwrap();
}

/// So many preemptions are tried where three cores are at it.
const BOUND: Preemptions = AtMost(2);

#[test]
fn no_ring_is_lost_while_the_target_moves() {
    let moving = || the_target_moves(Mover::Properly);
    Check::of("a doorbell while its target moves", &[])
        .explore("the target moves", Any, moving)
        .explore("the target moves in use", BOUND, the_target_moves_in_use)
        .record(env!("CARGO_TARGET_TMPDIR"));
    finds_fault("the target moves", Any, || the_target_moves(Mover::WithoutInterrupt));
    finds_fault("the target moves", Any, || the_target_moves(Mover::InterruptFirst));
    finds("the target moves", Any, mutant("fence(Ordering::SeqCst);\n        target.get()", Relaxed), moving);
    finds("the target moves", Any, mutant("fence(Ordering::SeqCst);\n    }", Relaxed), moving);
    finds("the target moves", Any, mutant("self.0.swap(1, Ordering::AcqRel)", Omitted), moving);
}

#[test]
fn nothing_comes_between_the_last_look_and_the_sleep() {
    Check::of("a doorbell and a program that waits", &[])
        .explore("a program waits", BOUND, || a_program_waits(Looks::Properly))
        .record(env!("CARGO_TARGET_TMPDIR"));
    finds_fault("a program waits", BOUND, || a_program_waits(Looks::WithoutTheLock));
    let unseen = mutant("self.0.load(Ordering::Acquire) != 0", Relaxed);
    finds("a program waits", BOUND, unseen, || a_program_waits(Looks::Properly));
}

#[test]
fn a_flood_costs_one_interrupt_a_wait() {
    Check::of("a doorbell and a flood", &[])
        .explore("a flood", BOUND, a_flood)
        .record(env!("CARGO_TARGET_TMPDIR"));
    finds("a flood", BOUND, mutant("self.0.swap(1, Ordering::AcqRel)", Torn), a_flood);
}

#[test]
fn a_closed_doorbell_rings_nowhere() {
    Check::of("a doorbell that is closed", &[])
        .explore("closing", Any, closing)
        .record(env!("CARGO_TARGET_TMPDIR"));
}

fn mutant(text: &'static str, weakness: Weakness) -> Mutant {
    Mutant { file: "bell.rs", text, weakness }
}
