//! Buffers that change hands over the rings of a channel: whoever has one reads what was written into it before it was given,
//! and nobody writes it again before it was given back.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::sync::Arc;

use kernel_loom::atomic::AtomicU64;
use kernel_loom::channel::{CONTROL, Lane, Receiver, Refused, Sender, Wake};
use kernel_loom::explore::Preemptions::{self, AtMost};
use kernel_loom::explore::Weakness::Relaxed;
use kernel_loom::explore::{Check, Mutant, finds, finds_fault};
use kernel_loom::machine::Line;
use kernel_loom::pool::{self, NOTE, Note, Number, Pool};
use loom::thread;

/// What two have in common: a ring each way, the doorbells, and the first one's buffers, of a word each.
struct Window {
    rings: [Vec<AtomicU64>; 2],
    bells: [Line; 2],
    buffers: Vec<AtomicU64>,
}

/// One of the two.
struct Side {
    window: Arc<Window>,
    number: usize,
    pool: Pool,
    sender: Sender,
    receiver: Receiver,
}

impl Side {
    fn new(window: &Arc<Window>, number: usize) -> Self {
        let pool = Pool::new(window.buffers.len(), 8);
        let (sender, receiver) = (Sender::default(), Receiver::default());
        Self { window: Arc::clone(window), number, pool, sender, receiver }
    }

    fn say(&mut self, note: Note) {
        let lane = Lane::new(&self.window.rings[self.number]).unwrap();
        if self.sender.send(&lane, &note.to_bytes()).unwrap() == Wake::Peer {
            self.window.bells[1 - self.number].send();
        }
    }

    /// Waits for the next note; what it lends, if it lends.
    fn hear(&mut self) -> Option<(Number, usize)> {
        let lane = Lane::new(&self.window.rings[1 - self.number]).unwrap();
        let mut note = [0; NOTE];
        loop {
            match self.receiver.receive(&lane, &mut note) {
                Ok(_) => return self.pool.hear(&note).expect("what the other says has a meaning"),
                Err(Refused::Empty) => {
                    if self.receiver.may_sleep(&lane) {
                        self.window.bells[self.number].wait();
                    }
                }
                Err(refused) => panic!("not received: {refused:?}"),
            }
        }
    }

    fn words(&self, number: Number) -> &[AtomicU64] {
        &self.window.buffers[number.get()..=number.get()]
    }
}

/// Whether the one who lends keeps his hands off what he has lent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lends {
    Honestly,
    /// It writes the buffer once more.
    AndWrites,
}

fn lend(side: &mut Side, values: u64, lends: Lends) {
    for value in 1..=values {
        let number = loop {
            match side.pool.take() {
                Some(number) => break number,
                None => assert_eq!(side.hear(), None, "the other lends nothing"),
            }
        };
        pool::store(side.words(number), 0, &value.to_le_bytes());
        let note = side.pool.lend(number, 8);
        side.say(note);
        if lends == Lends::AndWrites {
            pool::store(side.words(number), 0, &99_u64.to_le_bytes());
        }
    }
}

fn borrow(side: &mut Side, values: u64) {
    for expected in 1..=values {
        let (number, length) = side.hear().expect("the other gives nothing back");
        let mut bytes = [0; 8];
        assert_eq!((length, pool::load(side.words(number), 0, &mut bytes)), (8, 8));
        assert_eq!(u64::from_le_bytes(bytes), expected, "another value than was given");
        let note = side.pool.give_back(number);
        side.say(note);
    }
}

fn exchange(buffers: usize, values: u64, lends: Lends) {
    let ring = || (0..CONTROL + 8).map(|_| AtomicU64::new(0)).collect();
    let window = Arc::new(Window {
        rings: [ring(), ring()],
        bells: [Line::new(), Line::new()],
        buffers: (0..buffers).map(|_| AtomicU64::new(0)).collect(),
    });
    let mut other = Side::new(&window, 1);
    let borrowing = thread::spawn(move || borrow(&mut other, values));
    lend(&mut Side::new(&window, 0), values, lends);
    borrowing.join().unwrap();
}

/// The second value goes where the first was, once that came back.
fn one_buffer_goes_round() {
    exchange(1, 2, Lends::Honestly);
}

/// Two are under way at once.
fn two_buffers() {
    exchange(2, 2, Lends::Honestly);
}

/// So many preemptions are tried.
const BOUND: Preemptions = AtMost(4);

#[test]
fn who_has_a_buffer_reads_what_was_given() {
    Check::of("the buffers of a channel", &[])
        .explore("one buffer goes round", BOUND, one_buffer_goes_round)
        .explore("two buffers", BOUND, two_buffers)
        .record(env!("CARGO_TARGET_TMPDIR"));
    finds_fault("one that writes what it has lent", BOUND, || exchange(1, 1, Lends::AndWrites));
}

#[test]
fn the_orders_are_needed() {
    for text in [
        "lane.written.store(self.written, Ordering::Release)",
        "self.written = lane.written.load(Ordering::Acquire)",
    ] {
        let mutant = Mutant { file: "userlib/src/channel/ring.rs", text, weakness: Relaxed };
        finds("one buffer goes round", BOUND, mutant, one_buffer_goes_round);
    }
}
