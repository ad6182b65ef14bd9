//! The ring of records: what is sent comes, whole, once, and announced; and nobody is told that it is full when it is
//! not.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::sync::Arc;

use kernel_loom::atomic::spin_loop;
use kernel_loom::explore::Preemptions::{self, Any, AtMost};
use kernel_loom::explore::Weakness::{Omitted, Relaxed, Torn};
use kernel_loom::explore::{Check, Mutant, Weakness, finds, finds_fault, unmissed};
use kernel_loom::machine::Line;
use kernel_loom::sync::bell::{Note, Signal, Target};
use kernel_loom::sync::ring::{Author, Full, Ring};
use kernel_loom::types::{CoreId, Ticks};
use loom::thread;

/// One direction of a share, and the receiver's core.
#[derive(Default)]
struct Direction {
    note: Note,
    target: Target,
    ring: Ring,
    line: Line,
}

impl Direction {
    fn new() -> Arc<Self> {
        let direction = Self::default();
        direction.target.set(Some(CoreId(0)));
        Arc::new(direction)
    }

    fn push(&self, word: u64) -> Result<(), Full> {
        self.ring.push([word; 5], Ticks(0), Author::Kernel)
    }

    fn ring_bell(&self) {
        if self.note.ring(&self.target).is_some() {
            self.line.send();
        }
    }

    /// The next record, if one is there, in one piece.
    fn pop(&self) -> Option<u64> {
        let words = self.ring.peek()?;
        self.ring.drop_oldest();
        assert!(words.iter().all(|word| *word == words[0]), "a record made of two: {words:?}");
        Some(words[0])
    }

    /// Receives so many records; asleep, whenever there is none, until the bell rings.
    fn receive(&self, count: usize) -> Vec<u64> {
        let mut received = Vec::new();
        while received.len() < count {
            while let Some(word) = self.pop() {
                received.push(word);
            }
            let mut heard = received.len() == count;
            while !heard {
                self.line.wait();
                self.note.announce(|| {
                    heard = true;
                    Signal::Taken
                });
            }
        }
        received
    }
}

/// When a sender rings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rings {
    Afterwards,
    /// Before the record is there.
    Before,
}

/// Two senders, one record each: the ring is never full.
fn two_senders(rings: Rings) {
    let direction = Direction::new();
    let senders = [1, 2].map(|word| {
        let direction = Arc::clone(&direction);
        thread::spawn(move || {
            if rings == Rings::Before {
                direction.ring_bell();
            }
            assert_eq!(direction.push(word), Ok(()), "the ring has a place for everybody");
            if rings == Rings::Afterwards {
                direction.ring_bell();
            }
        })
    });
    let mut received = direction.receive(2);
    for sender in senders {
        sender.join().unwrap();
    }
    received.sort_unstable();
    assert_eq!(received, [1, 2]);
    assert_eq!(direction.pop(), None);
}

/// One sender with more records than the ring has places, which tries again while it is full.
fn more_than_there_is_room_for() {
    let direction = Direction::new();
    let other = Arc::clone(&direction);
    let sender = thread::spawn(move || {
        for word in 1..=3 {
            while other.push(word) == Err(Full) {
                spin_loop();
            }
        }
    });
    for expected in 1..=3 {
        let word = loop {
            if let Some(word) = direction.pop() {
                break word;
            }
            spin_loop();
        };
        assert_eq!(word, expected);
    }
    sender.join().unwrap();
}

/// So many preemptions are tried where three cores are at it.
const BOUND: Preemptions = AtMost(2);

#[test]
fn what_is_sent_comes_whole_and_announced() {
    let model = || two_senders(Rings::Afterwards);
    Check::of("a ring of records and two senders", &[])
        .explore("two senders", BOUND, model)
        .record(env!("CARGO_TARGET_TMPDIR"));
    finds_fault("two senders", BOUND, || two_senders(Rings::Before));
    finds("two senders", BOUND, mutant("match self.reserved.0.compare_exchange(position", Torn), model);
    finds("two senders", BOUND, mutant("sequence.store(position.wrapping_add(1)", Relaxed), model);
    finds("two senders", BOUND, mutant("(sequence.load(Ordering::Acquire) == position", Relaxed), model);
}

#[test]
fn a_place_is_used_again_when_it_was_read() {
    Check::of("a ring of records and more than it holds", &[])
        .explore("more than there is room for", Any, more_than_there_is_room_for)
        .record(env!("CARGO_TARGET_TMPDIR"));
    let unread = mutant("(sequence.load(Ordering::Acquire) == position", Omitted);
    finds("more than there is room for", Any, unread, more_than_there_is_room_for);
}

#[test]
#[ignore = "takes minutes"]
fn every_order_is_needed_or_listed() {
    let models: &[(Preemptions, fn())] =
        &[(BOUND, || two_senders(Rings::Afterwards)), (Any, more_than_there_is_room_for)];
    assert_eq!(unmissed("ring.rs", models), NOT_NEEDED.iter().map(|line| (*line).to_owned()).collect());
}

/// Steps that order more than these models need. A place is handed on by its sequence number. What was taken orders a
/// read before a write that comes later, which `loom` never turns round; the memory model would let it.
const NOT_NEEDED: &[&str] = &[
    "match self.reserved.0.compare_exchange(position, next, Ordering::AcqRel, Ordering::Relaxed) {",
    "let waiting = position.wrapping_sub(self.taken.0.load(Ordering::Acquire));",
    "self.taken.0.store(position.wrapping_add(1), Ordering::Release);",
];

fn mutant(text: &'static str, weakness: Weakness) -> Mutant {
    Mutant { file: "ring.rs", text, weakness }
}
