//! Cores between kernels: order, acknowledgement, grant; by request, by force, and without an answer.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::cell::Cell;
use std::sync::Arc;

use kernel_loom::atomic::spin_loop;
use kernel_loom::explore::Preemptions::{self, Any, AtMost};
use kernel_loom::explore::Weakness::{Omitted, Relaxed};
use kernel_loom::explore::{
    Check, Mutant, Weakness, abandon, finds, finds_fault, run_until_abandoned, strike,
};
use kernel_loom::machine::{Flag, Line, Memory};
use kernel_loom::sync::mailbox::{Command, Mailbox, Next, Sequence};
use kernel_loom::sync::recall::{Recall, Standing};
use kernel_loom::sync::{KernelLock, Wait};
use kernel_loom::types::{CoreId, Ticks};
use loom::thread;

/// How a core treats its orders.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manners {
    /// As the kernel does.
    Good,
    /// It sits in the first kernel with interrupts off; only what cannot be masked reaches it.
    Deaf,
    /// It answers before it has left.
    Hasty,
    /// It goes on after it was condemned and has answered.
    Undead,
}

/// How the supervisor treats the answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Supervisor {
    Careful,
    /// It uses again what it has not got back.
    Hasty,
    /// It interrupts a core before there is an order.
    InterruptsFirst,
}

/// A core, two kernels that it may work for, and what the supervisor sends it.
#[derive(Default)]
struct Machine {
    mailbox: Mailbox,
    line: Line,
    /// Interrupts that cannot be masked, sent so far.
    nmi: Flag,
    /// What only the core that works for a kernel may touch, or who has it back from it.
    kernels: [Memory; 2],
    over: Flag,
}

impl Machine {
    /// The core's life: on the park root, and in kernels in between.
    fn live(&self, manners: Manners) {
        // Whoever is condemned begins anew on the park root, wherever it was.
        while !run_until_abandoned(|| {
            while self.over.count() == 0 {
                self.stay(manners);
            }
        }) {}
    }

    /// From the park root into a kernel, and until it leaves it.
    fn stay(&self, manners: Manners) {
        loop {
            match self.mailbox.attend() {
                Next::Enter([kernel, home, subos], sequence) => {
                    assert!(kernel == home && home == subos, "an order made of two: {kernel} {home} {subos}");
                    self.mailbox.acknowledge(sequence);
                    return self.work(usize::try_from(kernel).unwrap(), manners);
                }
                Next::Look => {}
                Next::Sleep if self.over.count() > 0 => return,
                Next::Sleep => self.line.wait(),
            }
        }
    }

    fn work(&self, kernel: usize, manners: Manners) {
        loop {
            self.kernels[kernel].write();
            if manners == Manners::Deaf && kernel == 0 {
                spin_loop();
                // A step of its own, before which it can be struck.
                let _ = self.nmi.count();
                continue;
            }
            if self.mailbox.park_requested() {
                if manners == Manners::Hasty {
                    let _ = self.mailbox.attend();
                    self.kernels[kernel].write();
                }
                return;
            }
            // To user mode, until the next interrupt.
            self.line.wait();
        }
    }

    /// The supervisor's side: gives the core to a kernel. The core has answered everything before.
    fn grant(&self, kernel: u64) -> Sequence {
        let order = self.mailbox.enter([kernel; 3]);
        self.line.send();
        order
    }

    fn order(&self, order: Command, since: Ticks) -> Recall {
        let sequence = self.mailbox.command(order);
        if order == Command::Condemn {
            self.nmi.raise();
        }
        // Either kind wakes a core that sleeps.
        self.line.send();
        Recall { order, sequence, since }
    }

    /// Waits until the core has parked.
    fn await_parked(&self, recall: Recall) {
        while !recall.is_answered(&self.mailbox) {
            spin_loop();
        }
    }

    /// The core has parked: what it worked for is used again.
    fn reuse(&self, kernel: usize) {
        self.kernels[kernel].write();
    }

    fn end(&self) {
        self.over.raise();
        self.line.send();
    }
}

const NOW: Ticks = Ticks(1);

/// From one kernel to another, both times taken as soon as it was given: it may get the order to leave before it has seen
/// the one to enter.
fn from_one_to_another(manners: Manners, supervisor: Supervisor) {
    let machine = Arc::new(Machine::default());
    let other = Arc::clone(&machine);
    let core = thread::spawn(move || other.live(manners));
    machine.grant(0);
    let recall = machine.order(Command::Park, NOW);
    if supervisor != Supervisor::Hasty {
        machine.await_parked(recall);
    }
    machine.reuse(0);
    machine.grant(1);
    machine.await_parked(machine.order(Command::Park, NOW));
    machine.reuse(1);
    machine.end();
    core.join().unwrap();
}

/// Taken while it runs, or returns to user mode.
fn taken_from_user_mode(supervisor: Supervisor) {
    let machine = Arc::new(Machine::default());
    let other = Arc::clone(&machine);
    let core = thread::spawn(move || other.live(Manners::Good));
    let entered = machine.grant(0);
    while machine.mailbox.acknowledged() < entered {
        spin_loop();
    }
    let recall = if supervisor == Supervisor::InterruptsFirst {
        machine.line.send();
        let sequence = machine.mailbox.command(Command::Park);
        Recall { order: Command::Park, sequence, since: NOW }
    } else {
        machine.order(Command::Park, NOW)
    };
    machine.await_parked(recall);
    machine.reuse(0);
    machine.end();
    core.join().unwrap();
}

/// Asked, and condemned at once, while the core may be on its way out, on the park root, or deaf: whatever the order in which the
/// two arrive, it answers, and the interrupt that cannot be masked, if it comes late, does its next owner no harm.
fn condemned_while_it_parks(manners: Manners) {
    let machine = Arc::new(Machine::default());
    let other = Arc::clone(&machine);
    let core = thread::spawn(move || {
        let taken = Cell::new(0);
        let machine = Arc::clone(&other);
        strike(move || {
            if machine.nmi.count() > taken.get() {
                taken.set(taken.get() + 1);
                if machine.mailbox.is_condemned() {
                    if manners == Manners::Undead {
                        let _ = machine.mailbox.attend();
                        machine.kernels[0].write();
                    }
                    abandon();
                }
            }
        });
        other.live(manners);
    });
    machine.grant(0);
    let asked = machine.order(Command::Park, NOW);
    // The time to answer is over as soon as it has begun.
    if asked.standing(&machine.mailbox, Ticks(9), Ticks(1)) != Standing::Parked {
        let condemned = machine.order(Command::Condemn, NOW);
        machine.await_parked(condemned);
    }
    machine.reuse(0);
    if manners == Manners::Good {
        machine.grant(1);
        machine.await_parked(machine.order(Command::Park, NOW));
        machine.reuse(1);
    }
    machine.end();
    core.join().unwrap();
}

/// The core waits for its kernel's lock, which another one holds for ever.
fn taken_from_the_locks_queue() {
    let machine = Arc::new(Machine::default());
    let lock = Arc::new(KernelLock::default());
    let (other, wanted) = (Arc::clone(&machine), Arc::clone(&lock));
    let held = lock.acquire(CoreId(1), || Wait::On).unwrap();
    let core = thread::spawn(move || {
        let leaves = || if other.mailbox.park_requested() { Wait::Withdraw } else { Wait::On };
        assert!(wanted.acquire(CoreId(0), leaves).is_err());
        assert_eq!(other.mailbox.attend(), Next::Look);
    });
    machine.await_parked(machine.order(Command::Park, NOW));
    core.join().unwrap();
    drop(held);
    assert!(lock.acquire(CoreId(2), || Wait::Withdraw).is_ok(), "handed to a core that has left");
}

/// So many preemptions are tried where one does not end.
const BOUND: Preemptions = AtMost(2);

#[test]
fn a_core_is_never_in_two_kernels() {
    let model = || from_one_to_another(Manners::Good, Supervisor::Careful);
    Check::of("a core from kernel to kernel", &[11, 21])
        .explore("from one to another", BOUND, model)
        .record(env!("CARGO_TARGET_TMPDIR"));
    finds_fault("from one to another", BOUND, || from_one_to_another(Manners::Hasty, Supervisor::Careful));
    finds_fault("from one to another", BOUND, || from_one_to_another(Manners::Good, Supervisor::Hasty));
    for (text, weakness) in [
        ("self.acknowledged.0.store(sequence.0, Ordering::Release)", Relaxed),
        ("Sequence(self.acknowledged.0.load(Ordering::Acquire))", Relaxed),
        ("self.supervisor.0.command.store(command.encode(next), Ordering::Release)", Relaxed),
        ("let word = self.supervisor.0.command.load(Ordering::Acquire)", Relaxed),
        ("self.acknowledged.0.store(sequence.0, Ordering::Release)", Omitted),
    ] {
        finds("from one to another", BOUND, mutant(text, weakness), model);
    }
}

#[test]
fn an_order_is_not_lost_on_the_way_to_user_mode() {
    Check::of("a core taken from user mode", &[26])
        .explore("taken from user mode", Any, || taken_from_user_mode(Supervisor::Careful))
        .record(env!("CARGO_TARGET_TMPDIR"));
    finds_fault("taken from user mode", Any, || taken_from_user_mode(Supervisor::InterruptsFirst));
}

#[test]
fn force_and_request_may_meet() {
    Check::of("a core taken by force", &[11, 26])
        .explore("condemned while it parks", AtMost(1), || condemned_while_it_parks(Manners::Good))
        .explore("condemned while deaf", BOUND, || condemned_while_it_parks(Manners::Deaf))
        .record(env!("CARGO_TARGET_TMPDIR"));
    finds_fault("condemned while it parks", BOUND, || condemned_while_it_parks(Manners::Undead));
}

#[test]
fn a_core_leaves_the_queue_of_a_lock() {
    Check::of("a core taken from the queue of a lock", &[26])
        .explore("taken from the lock's queue", Any, taken_from_the_locks_queue)
        .record(env!("CARGO_TARGET_TMPDIR"));
}

fn mutant(text: &'static str, weakness: Weakness) -> Mutant {
    Mutant { file: "mailbox.rs", text, weakness }
}
