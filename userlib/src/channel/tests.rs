//! The ring against a list of messages, and against somebody who writes rubbish into it.

use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::pool::{self, NOTE, Note, Number, Pool, Rubbish};
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

/// Buffers of the pools here.
const BUFFERS: usize = 3;
/// Bytes of one.
const BYTES: usize = 64;

/// What is done with buffers, by one side or the other.
#[derive(Clone, Debug)]
enum Deed {
    Take,
    /// One that was taken, with so many bytes.
    Lend(prop::sample::Index, usize),
    /// One that was taken.
    Drop(prop::sample::Index),
    Hear,
    /// One that was borrowed.
    GiveBack(prop::sample::Index),
    /// The other side says this.
    Rubbish([u32; 2], u64),
    /// The other side says once more what it has said before.
    Repeat(prop::sample::Index),
}

fn deed() -> impl Strategy<Value = Deed> {
    let index = any::<prop::sample::Index>;
    let number = prop_oneof![0..5_u32, any::<u32>()];
    let length = prop_oneof![0..100_u64, any::<u64>()];
    prop_oneof![
        3 => Just(Deed::Take),
        3 => (index(), 0..=BYTES).prop_map(|(which, length)| Deed::Lend(which, length)),
        1 => index().prop_map(Deed::Drop),
        4 => Just(Deed::Hear),
        3 => index().prop_map(Deed::GiveBack),
        1 => (0..4_u32, number, length)
            .prop_map(|(kind, number, length)| Deed::Rubbish([kind, number], length)),
        1 => index().prop_map(Deed::Repeat),
    ]
}

/// One side, with what it has in hand and what was said to it.
#[derive(Debug)]
struct Side {
    pool: Pool,
    taken: Vec<Number>,
    borrowed: Vec<Number>,
    inbox: VecDeque<Vec<u8>>,
    /// All that it ever said.
    said: Vec<Vec<u8>>,
}

impl Side {
    fn new() -> Self {
        let pool = Pool::new(BUFFERS, BYTES);
        Self { pool, taken: Vec::new(), borrowed: Vec::new(), inbox: VecDeque::new(), said: Vec::new() }
    }

    fn say(&mut self, other: &mut Self, note: Note) {
        self.said.push(note.to_bytes().to_vec());
        other.inbox.push_back(note.to_bytes().to_vec());
    }

    /// Does it; says whether the other was found to talk rubbish.
    fn does(&mut self, other: &mut Self, deed: &Deed) -> Result<(), Rubbish> {
        match deed {
            Deed::Take => {
                if let Some(number) = self.pool.take() {
                    assert!(!self.taken.contains(&number), "{number:?} is taken twice");
                    self.taken.push(number);
                }
            }
            Deed::Lend(which, length) if !self.taken.is_empty() => {
                let number = self.taken.swap_remove(which.index(self.taken.len()));
                let note = self.pool.lend(number, *length);
                self.say(other, note);
            }
            Deed::Drop(which) if !self.taken.is_empty() => {
                let number = self.taken.swap_remove(which.index(self.taken.len()));
                self.pool.put_back(number.bit());
            }
            Deed::Hear => {
                let Some(note) = self.inbox.pop_front() else { return Ok(()) };
                if let Some((number, length)) = self.pool.hear(&note)? {
                    assert!(!self.borrowed.contains(&number), "{number:?} is borrowed twice");
                    assert!(number.get() < BUFFERS && length <= BYTES, "{number:?} of {length}");
                    self.borrowed.push(number);
                }
            }
            Deed::GiveBack(which) if !self.borrowed.is_empty() => {
                let number = self.borrowed.swap_remove(which.index(self.borrowed.len()));
                let note = self.pool.give_back(number);
                self.say(other, note);
            }
            Deed::Rubbish([kind, number], length) => {
                let words = [kind.to_le_bytes(), number.to_le_bytes()].concat();
                self.inbox.push_back([words, length.to_le_bytes().to_vec()].concat());
            }
            Deed::Repeat(which) if !other.said.is_empty() => {
                self.inbox.push_back(other.said[which.index(other.said.len())].clone());
            }
            _ => {}
        }
        Ok(())
    }
}

proptest! {
    /// As long as both are honest, nobody is found to talk rubbish, nobody has what the other has, and no buffer is lost.
    #[test]
    fn buffers_change_hands(deeds in proptest::collection::vec((any::<bool>(), deed()), 0..200)) {
        let (mut one, mut other) = (Side::new(), Side::new());
        for (who, deed) in deeds {
            if matches!(deed, Deed::Rubbish(..) | Deed::Repeat(_)) {
                continue;
            }
            let (doer, peer) = if who { (&mut one, &mut other) } else { (&mut other, &mut one) };
            prop_assert_eq!(doer.does(peer, &deed), Ok(()));
            let both = |a: &Side, b: &Side| a.taken.iter().any(|number| b.borrowed.contains(number));
            prop_assert!(!both(&one, &other) && !both(&other, &one));
        }
        // All that is under way arrives and goes back; then all are free again.
        for turn in 0..8 * BUFFERS {
            let (doer, peer) = if turn % 2 == 0 { (&mut one, &mut other) } else { (&mut other, &mut one) };
            while let Some(number) = doer.taken.pop() {
                doer.pool.put_back(number.bit());
            }
            while !doer.inbox.is_empty() {
                prop_assert_eq!(doer.does(peer, &Deed::Hear), Ok(()));
            }
            while let Some(number) = doer.borrowed.pop() {
                let note = doer.pool.give_back(number);
                doer.say(peer, note);
            }
        }
        for side in [&mut one, &mut other] {
            prop_assert_eq!(core::iter::from_fn(|| side.pool.take()).count(), BUFFERS);
        }
    }

    /// Whatever the other side says: no buffer is in two hands by this side's books (see the assertions of `does`), none is
    /// longer than it is, and who was found to talk rubbish is not believed again.
    #[test]
    fn who_lies_about_buffers_harms_himself(deeds in proptest::collection::vec(deed(), 0..200)) {
        let (mut one, mut liar) = (Side::new(), Side::new());
        for number in (0..3).filter_map(|bit| Number::first_of(1 << bit)) {
            liar.said.extend([Note::Lends(number, 8), Note::GivesBack(number)].map(|note| note.to_bytes().to_vec()));
        }
        let mut found = false;
        for deed in deeds {
            let heard = matches!(deed, Deed::Hear) && !one.inbox.is_empty();
            let done = one.does(&mut liar, &deed);
            prop_assert!(!(found && heard) || done == Err(Rubbish));
            found |= done.is_err();
        }
    }

    /// Words that are shared hold bytes as a slice does, at any offset.
    #[test]
    fn bytes_go_into_words_and_come_out(
        writes in proptest::collection::vec((0..80_usize, proptest::collection::vec(any::<u8>(), 0..80)), 0..20),
        (offset, length) in (0..80_usize, 0..80_usize),
    ) {
        let words: Vec<AtomicU64> = (0..BYTES / 8).map(|_| AtomicU64::new(0)).collect();
        let mut bytes = [0; BYTES];
        for (offset, written) in writes {
            let count = written.len().min(BYTES.saturating_sub(offset));
            prop_assert_eq!(pool::store(&words, offset, &written), count);
            if count > 0 {
                bytes[offset..offset + count].copy_from_slice(&written[..count]);
            }
        }
        let mut read = vec![0; length];
        let count = pool::load(&words, offset, &mut read);
        prop_assert_eq!(count, length.min(BYTES.saturating_sub(offset)));
        prop_assert_eq!(&read[..count], bytes.get(offset..offset + count).unwrap_or(&[]));
    }
}

#[test]
fn notes_are_read_strictly() {
    let read = |bytes: &[u8]| Note::from_bytes(bytes, BUFFERS, BYTES);
    let good = Note::Lends(Number::first_of(4).unwrap(), BYTES).to_bytes();
    assert_eq!(read(&good).map(Note::to_bytes), Ok(good));
    for (byte, value) in [(0, 0), (0, 3), (1, 1), (4, 3), (5, 1), (7, 255), (8, 65), (15, 1)] {
        let mut bad = good;
        bad[byte] = value;
        assert_eq!(read(&bad), Err(Rubbish), "byte {byte} is {value}");
    }
    assert_eq!(read(&good[..NOTE - 1]), Err(Rubbish));
    assert_eq!(read(&[&good[..], &[0]].concat()), Err(Rubbish));
    // What gives back says nothing of bytes.
    let mut back = Note::GivesBack(Number::first_of(1).unwrap()).to_bytes();
    assert!(read(&back).is_ok());
    back[8] = 1;
    assert_eq!(read(&back), Err(Rubbish));
}
