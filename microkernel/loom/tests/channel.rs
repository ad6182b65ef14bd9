//! The ring of a channel: messages come whole and in order, no memory is used again before it was read, and nobody sleeps
//! while there is something to do for him.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::sync::Arc;

use kernel_loom::atomic::AtomicU64;
use kernel_loom::channel::{CONTROL, Lane, Receiver, Refused, Sender, Wake};
use kernel_loom::explore::Preemptions::{self, Any, AtMost};
use kernel_loom::explore::Weakness::{Omitted, Relaxed};
use kernel_loom::explore::{Check, Mutant, Weakness, finds, finds_fault};
use kernel_loom::machine::Line;
use loom::thread;

/// The memory of one direction, and the doorbells at both ends.
struct Window {
    words: Vec<AtomicU64>,
    receivers: Line,
    senders: Line,
}

impl Window {
    /// Room for so many words of messages.
    fn new(room: usize) -> Arc<Self> {
        let words = (0..CONTROL + room).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { words, receivers: Line::new(), senders: Line::new() })
    }

    fn lane(&self) -> Lane<'_> {
        Lane::new(&self.words).unwrap()
    }
}

/// How somebody goes to sleep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sleeps {
    AfterAnotherLook,
    /// Without having said so.
    AtOnce,
}

/// Sends messages of one byte, asleep whenever there is no room.
fn send(window: &Window, messages: u8, sleeps: Sleeps) {
    let mut sender = Sender::default();
    for message in 1..=messages {
        loop {
            match sender.send(&window.lane(), &[message]) {
                Ok(Wake::Peer) => window.receivers.send(),
                Ok(Wake::Nobody) => {}
                Err(Refused::Full) => {
                    if sleeps == Sleeps::AtOnce || sender.may_sleep(&window.lane(), 1) {
                        window.senders.wait();
                    }
                    continue;
                }
                Err(refused) => panic!("not sent: {refused:?}"),
            }
            break;
        }
    }
}

/// Receives them, asleep whenever there is none.
fn receive(window: &Window, messages: u8, sleeps: Sleeps) {
    let mut receiver = Receiver::default();
    for expected in 1..=messages {
        let mut buffer = [0; 8];
        loop {
            match receiver.receive(&window.lane(), &mut buffer) {
                Ok((length, wake)) => {
                    if wake == Wake::Peer {
                        window.senders.send();
                    }
                    assert_eq!((length, buffer[0]), (1, expected), "another message than was sent");
                    break;
                }
                Err(Refused::Empty) => {
                    if sleeps == Sleeps::AtOnce || receiver.may_sleep(&window.lane()) {
                        window.receivers.wait();
                    }
                }
                Err(refused) => panic!("not received: {refused:?}"),
            }
        }
    }
}

fn talk(room: usize, messages: u8, receiver: Sleeps, sender: Sleeps) {
    let window = Window::new(room);
    let other = Arc::clone(&window);
    let sending = thread::spawn(move || send(&other, messages, sender));
    receive(&window, messages, receiver);
    sending.join().unwrap();
}

/// There is room for all: only the receiver waits.
fn a_receiver_that_sleeps() {
    talk(4, 2, Sleeps::AfterAnotherLook, Sleeps::AfterAnotherLook);
}

/// There is room for one at a time: both wait.
fn a_sender_that_sleeps() {
    talk(2, 3, Sleeps::AfterAnotherLook, Sleeps::AfterAnotherLook);
}

/// A sender that says one thing and ends.
fn the_last_words() {
    let window = Window::new(4);
    let other = Arc::clone(&window);
    let sending = thread::spawn(move || {
        let mut sender = Sender::default();
        let _ = sender.send(&other.lane(), &[7]).unwrap();
        sender.end(&other.lane());
        other.receivers.send();
    });
    let (mut receiver, mut buffer, mut heard) = (Receiver::default(), [0; 8], 0);
    loop {
        match receiver.receive(&window.lane(), &mut buffer) {
            Ok(_) => heard += 1,
            Err(Refused::Empty) => {
                if receiver.may_sleep(&window.lane()) {
                    window.receivers.wait();
                }
            }
            Err(refused) => {
                assert_eq!((refused, heard, buffer[0]), (Refused::Over, 1, 7), "the last words are lost");
                break;
            }
        }
    }
    sending.join().unwrap();
}

/// So many preemptions are tried.
const BOUND: Preemptions = AtMost(3);

#[test]
fn messages_come_whole_and_nobody_oversleeps() {
    Check::of("the ring of a channel", &[])
        .explore("a receiver that sleeps", BOUND, a_receiver_that_sleeps)
        .explore("a sender that sleeps", BOUND, a_sender_that_sleeps)
        .explore("the last words", Any, the_last_words)
        .record(env!("CARGO_TARGET_TMPDIR"));
    finds_fault("a receiver that does not look again", BOUND, || {
        talk(4, 2, Sleeps::AtOnce, Sleeps::AfterAnotherLook);
    });
    finds_fault("a sender that does not look again", BOUND, || {
        talk(2, 3, Sleeps::AfterAnotherLook, Sleeps::AtOnce);
    });
}

#[test]
fn the_orders_are_needed() {
    let receiver = "a receiver that sleeps";
    let published = "lane.written.store(self.written, Ordering::Release)";
    finds(receiver, BOUND, mutant(published, Relaxed), a_receiver_that_sleeps);
    let seen = "self.written = lane.written.load(Ordering::Acquire)";
    finds(receiver, BOUND, mutant(seen, Relaxed), a_receiver_that_sleeps);
    let announced = "flag.store(1, Ordering::Relaxed);\n    fence(Ordering::SeqCst)";
    finds(receiver, BOUND, mutant(announced, Omitted), a_receiver_that_sleeps);
    finds(
        receiver,
        BOUND,
        Mutant { text: "    fence(Ordering::SeqCst);\n    if flag", ..mutant("", Relaxed) },
        a_receiver_that_sleeps,
    );
    finds(
        receiver,
        BOUND,
        Mutant { text: "    fence(Ordering::SeqCst);\n}", ..mutant("", Relaxed) },
        a_receiver_that_sleeps,
    );
    // The end is written after the fence of the last message, so its own order is missed by nobody.
    let ended = "let over = lane.over.load(Ordering::Acquire)";
    finds("the last words", Any, mutant(ended, Relaxed), the_last_words);
}

fn mutant(text: &'static str, weakness: Weakness) -> Mutant {
    Mutant { file: "userlib/src/channel/ring.rs", text, weakness }
}
