//! The ring against a list of messages, and against somebody who writes rubbish into it.

use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::ring::{CONTROL, Lane, Receiver, Refused, Sender};
use crate::atomic::{AtomicU64, Ordering};

/// Words for messages of the rings here.
const ROOM: usize = 16;

fn memory() -> Vec<AtomicU64> {
    (0..CONTROL + ROOM).map(|_| AtomicU64::new(0)).collect()
}

/// What is done with a ring.
#[derive(Clone, Debug)]
enum Act {
    Send(usize),
    /// Into a buffer of so many bytes.
    Receive(usize),
    /// This value into this word.
    Rubbish(usize, u64),
    Sleep,
    End,
}

fn act() -> impl Strategy<Value = Act> {
    let value = prop_oneof![
        Just(0),
        Just(1),
        Just(u64::MAX),
        Just(1 << 63),
        0..40_u64,
        (0..40_u64).prop_map(|low| u64::MAX - low),
        any::<u64>()
    ];
    prop_oneof![
        4 => (0..150_usize).prop_map(Act::Send),
        4 => (0..150_usize).prop_map(Act::Receive),
        2 => (0..CONTROL + ROOM, value).prop_map(|(word, value)| Act::Rubbish(word, value)),
        1 => Just(Act::Sleep),
        1 => Just(Act::End),
    ]
}

fn message(number: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|byte| (number * 31 + byte).to_le_bytes()[0]).collect()
}

proptest! {
    /// Without rubbish a ring is a list: in order, whole, refused only for the reason that is given.
    #[test]
    fn a_ring_is_a_list(acts in proptest::collection::vec(act(), 0..200)) {
        let words = memory();
        let lane = Lane::new(&words).unwrap();
        let (mut sender, mut receiver) = (Sender::default(), Receiver::default());
        let mut list: VecDeque<Vec<u8>> = VecDeque::new();
        let used = |list: &VecDeque<Vec<u8>>| list.iter().map(|one| 1 + one.len().div_ceil(8)).sum::<usize>();
        let mut over = false;
        for (number, act) in acts.into_iter().enumerate() {
            match act {
                Act::Send(bytes) if !over => {
                    let needed = 1 + bytes.div_ceil(8);
                    let sent = sender.send(&lane, &message(number, bytes)).map(|_| ());
                    if needed > ROOM {
                        prop_assert_eq!(sent, Err(Refused::TooLong(bytes)));
                    } else if used(&list) + needed > ROOM {
                        prop_assert_eq!(sent, Err(Refused::Full));
                    } else {
                        prop_assert_eq!(sent, Ok(()));
                        list.push_back(message(number, bytes));
                    }
                }
                Act::Receive(bytes) => {
                    let mut buffer = vec![0; bytes];
                    let received = receiver.receive(&lane, &mut buffer).map(|(length, _)| length);
                    match list.front() {
                        None => prop_assert_eq!(received, Err(if over { Refused::Over } else { Refused::Empty })),
                        Some(front) if front.len() > bytes => {
                            prop_assert_eq!(received, Err(Refused::TooLong(front.len())));
                        }
                        Some(front) => {
                            prop_assert_eq!(received, Ok(front.len()));
                            prop_assert_eq!(&buffer[..front.len()], &front[..]);
                            list.pop_front();
                        }
                    }
                }
                Act::Sleep => prop_assert_eq!(receiver.may_sleep(&lane), list.is_empty() && !over),
                Act::End => {
                    sender.end(&lane);
                    over = true;
                }
                Act::Send(_) | Act::Rubbish(..) => {}
            }
        }
    }

    /// Whatever is written into the memory at whatever time: nothing panics, nothing longer than the buffer or the ring
    /// comes, and a ring that was found broken stays so.
    #[test]
    fn rubbish_harms_the_data_only(acts in proptest::collection::vec(act(), 0..200)) {
        let words = memory();
        let lane = Lane::new(&words).unwrap();
        let (mut sender, mut receiver) = (Sender::default(), Receiver::default());
        let (mut no_sending, mut no_receiving) = (false, false);
        for (number, act) in acts.into_iter().enumerate() {
            match act {
                Act::Send(bytes) => {
                    let sent = sender.send(&lane, &message(number, bytes));
                    let long = 1 + bytes.div_ceil(8) > ROOM;
                    prop_assert!(!long || sent == Err(Refused::TooLong(bytes)));
                    prop_assert!(!no_sending || long || sent == Err(Refused::Broken));
                    no_sending |= sent == Err(Refused::Broken);
                }
                Act::Receive(bytes) => {
                    let mut buffer = vec![0; bytes];
                    let received = receiver.receive(&lane, &mut buffer);
                    match received {
                        Ok((length, _)) => prop_assert!(length <= bytes && !no_receiving),
                        Err(Refused::TooLong(length)) => prop_assert!(length > bytes && length < ROOM * 8),
                        Err(Refused::Broken) => no_receiving = true,
                        Err(_) => prop_assert!(!no_receiving),
                    }
                }
                Act::Rubbish(word, value) => words[word].store(value, Ordering::Relaxed),
                Act::Sleep => {
                    let _ = sender.may_sleep(&lane, 8);
                    let _ = receiver.may_sleep(&lane);
                }
                Act::End => sender.end(&lane),
            }
        }
    }
}

#[test]
fn rubbish_is_found_where_it_matters() {
    // A sender that says that it wrote more than fits, one that goes back, and a length beyond what was written.
    for (word, value) in [(0, ROOM as u64 + 1), (0, u64::MAX), (CONTROL, u64::MAX), (CONTROL, 64)] {
        let words = memory();
        let lane = Lane::new(&words).unwrap();
        let _ = Sender::default().send(&lane, &[1; 8]).unwrap();
        words[word].store(value, Ordering::Relaxed);
        let mut receiver = Receiver::default();
        assert_eq!(receiver.receive(&lane, &mut [0; 128]), Err(Refused::Broken), "{word} {value:#x}");
        words[word].store(2, Ordering::Relaxed);
        assert_eq!(receiver.receive(&lane, &mut [0; 128]), Err(Refused::Broken));
        assert!(!receiver.may_sleep(&lane));
    }
    // A receiver that says that it read what was not written yet.
    let words = memory();
    let lane = Lane::new(&words).unwrap();
    let mut sender = Sender::default();
    let _ = sender.send(&lane, &[1; 100]).unwrap();
    words[16].store(1000, Ordering::Relaxed);
    assert_eq!(sender.send(&lane, &[1; 100]), Err(Refused::Broken));
}

#[test]
fn too_few_words_are_no_ring() {
    let words = memory();
    assert!(Lane::new(&words[..CONTROL]).is_none());
    assert!(Lane::new(&words[..CONTROL + 1]).is_some());
}
