//! A ring of messages of any size from one sender to one receiver, in memory that both can write.
//!
//! Positions count words from the beginning of the channel and never turn back; a message is a word that says how many
//! bytes it has, and the words that they fill. Each side keeps its own position to itself and only tells the other.
//! Whatever is read from the memory is read once and checked before it is used: if the other side writes rubbish,
//! messages are rubbish, or the ring is found [`Broken`](Refused::Broken) and stays so, and no more comes of it.
//!
//! Who finds nothing to do says in the ring that he waits, fences, looks once more and sleeps; who has changed
//! something fences and looks whether somebody waits. One of the two fences comes first, so either the sleeper sees the
//! change, or the other sees the sleeper, and wakes him.

use crate::atomic::{AtomicU64, Ordering, fence};

/// Words that one side writes are kept off the cache lines of the other (pairs of lines are fetched together).
const LINE: usize = 16;
/// Words before the messages: four lines.
pub const CONTROL: usize = 4 * LINE;
/// Bytes of a word.
const WORD: usize = 8;

/// One direction's memory. Zeroes are a ring without messages.
#[derive(Clone, Copy, Debug)]
pub struct Lane<'m> {
    /// How far the sender has written.
    written: &'m AtomicU64,
    /// Not 0 when the sender will write no more.
    over: &'m AtomicU64,
    /// How far the receiver has read.
    taken: &'m AtomicU64,
    /// Not 0 while the receiver waits for messages.
    starved: &'m AtomicU64,
    /// Not 0 while the sender waits for room.
    stuck: &'m AtomicU64,
    /// A power of two of words.
    room: &'m [AtomicU64],
}

/// Why a message did not go, or none came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no room for it now.
    Full,
    /// There is none now.
    Empty,
    /// There will be none.
    Over,
    /// It has so many bytes: more than the ring has, or than the buffer.
    TooLong(usize),
    /// The other side wrote what no sender or receiver writes.
    Broken,
}

/// Whether the other side sleeps and is to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Wake {
    /// It does not.
    Nobody,
    /// It does, or may.
    Peer,
}

impl<'m> Lane<'m> {
    /// The ring in these words, if they are enough for any message at all. Both sides give the same words.
    #[must_use]
    pub fn new(words: &'m [AtomicU64]) -> Option<Self> {
        let (control, rest) = words.split_at_checked(CONTROL)?;
        let capacity = 1_usize << rest.len().checked_ilog2()?;
        Some(Self {
            written: control.first()?,
            over: control.get(1)?,
            taken: control.get(LINE)?,
            starved: control.get(2 * LINE)?,
            stuck: control.get(3 * LINE)?,
            room: rest.get(..capacity)?,
        })
    }

    /// Words for messages and their lengths.
    const fn capacity(&self) -> u64 {
        self.room.len() as u64
    }

    #[allow(clippy::cast_possible_truncation, reason = "what is masked lies within the slice")]
    fn word(&self, position: u64) -> &'m AtomicU64 {
        &self.room[(position & (self.capacity() - 1)) as usize]
    }

    /// All words from a position on, once round: up to where the memory ends, and from where it begins.
    #[allow(clippy::cast_possible_truncation, reason = "what is masked lies within the slice")]
    fn places(&self, position: u64) -> (&'m [AtomicU64], &'m [AtomicU64]) {
        let (later, now) = self.room.split_at((position & (self.capacity() - 1)) as usize);
        (now, later)
    }
}

/// Words of a message with so many bytes, its length included.
const fn words(bytes: usize) -> u64 {
    1 + bytes.div_ceil(WORD) as u64
}

/// Announces a sleep, after which the sleeper looks once more.
fn announce(flag: &AtomicU64) {
    flag.store(1, Ordering::Relaxed);
    fence(Ordering::SeqCst);
}

/// Whether somebody sleeps who must see what was done before. Nobody takes a sleeper's announcement away without waking him.
fn sleeper(flag: &AtomicU64) -> Wake {
    fence(Ordering::SeqCst);
    if flag.load(Ordering::Relaxed) == 0 {
        return Wake::Nobody;
    }
    flag.store(0, Ordering::Relaxed);
    Wake::Peer
}

/// The sending side's own knowledge.
#[derive(Debug, Default)]
pub struct Sender {
    written: u64,
    /// How far the receiver was when last looked at.
    taken: u64,
    broken: bool,
}

impl Sender {
    /// Adds a message. The caller wakes whoever is to be woken.
    ///
    /// # Errors
    /// `Full`, `TooLong`, `Broken`.
    pub fn send(&mut self, lane: &Lane<'_>, message: &[u8]) -> Result<Wake, Refused> {
        let needed = words(message.len());
        if needed > lane.capacity() {
            return Err(Refused::TooLong(message.len()));
        }
        if self.room(lane)? < needed {
            self.taken = lane.taken.load(Ordering::Acquire);
            if self.room(lane)? < needed {
                return Err(Refused::Full);
            }
        }
        lane.word(self.written).store(message.len() as u64, Ordering::Relaxed);
        let (whole, rest) = message.as_chunks::<WORD>();
        let (now, later) = lane.places(self.written + 1);
        let (first, second) = whole.split_at(whole.len().min(now.len()));
        let put = |(place, word): (&AtomicU64, &[u8; WORD])| {
            place.store(u64::from_le_bytes(*word), Ordering::Relaxed);
        };
        now.iter().zip(first).for_each(put);
        later.iter().zip(second).for_each(put);
        if !rest.is_empty() {
            let mut word = [0; WORD];
            word[..rest.len()].copy_from_slice(rest);
            lane.word(self.written + needed - 1).store(u64::from_le_bytes(word), Ordering::Relaxed);
        }
        self.written += needed;
        lane.written.store(self.written, Ordering::Release);
        Ok(sleeper(lane.starved))
    }

    /// Announces that this side is about to sleep until there is room for so many bytes. Says whether it may: whether there
    /// is none yet.
    pub fn may_sleep(&mut self, lane: &Lane<'_>, bytes: usize) -> bool {
        announce(lane.stuck);
        self.taken = lane.taken.load(Ordering::Acquire);
        self.room(lane).is_ok_and(|room| room < words(bytes))
    }

    /// Says that no more comes. The other side is to be woken.
    pub fn end(&mut self, lane: &Lane<'_>) {
        lane.over.store(1, Ordering::Release);
    }

    fn room(&mut self, lane: &Lane<'_>) -> Result<u64, Refused> {
        // More is waiting than there is room for: the receiver lies.
        let room = lane.capacity().checked_sub(self.written.wrapping_sub(self.taken));
        self.broken |= room.is_none();
        room.filter(|_| !self.broken).ok_or(Refused::Broken)
    }
}

/// The receiving side's own knowledge.
#[derive(Debug, Default)]
pub struct Receiver {
    taken: u64,
    /// How far the sender was when last looked at.
    written: u64,
    broken: bool,
}

impl Receiver {
    /// Takes the oldest message; answers with its length. The caller wakes whoever is to be woken.
    ///
    /// # Errors
    /// `Empty`, `Over`, `Broken`; `TooLong`: it stays.
    pub fn receive(&mut self, lane: &Lane<'_>, buffer: &mut [u8]) -> Result<(usize, Wake), Refused> {
        let waiting = self.waiting(lane)?;
        let alleged = lane.word(self.taken).load(Ordering::Relaxed);
        let length = usize::try_from(alleged).ok().filter(|length| words(*length) <= waiting);
        let Some(length) = length else {
            self.broken = true;
            return Err(Refused::Broken);
        };
        let message = buffer.get_mut(..length).ok_or(Refused::TooLong(length))?;
        let (whole, rest) = message.as_chunks_mut::<WORD>();
        let (now, later) = lane.places(self.taken + 1);
        let (first, second) = whole.split_at_mut(whole.len().min(now.len()));
        let get = |(place, word): (&AtomicU64, &mut [u8; WORD])| {
            *word = place.load(Ordering::Relaxed).to_le_bytes();
        };
        now.iter().zip(first).for_each(get);
        later.iter().zip(second).for_each(get);
        self.taken += words(length);
        if !rest.is_empty() {
            let word = lane.word(self.taken - 1).load(Ordering::Relaxed).to_le_bytes();
            rest.copy_from_slice(&word[..rest.len()]);
        }
        lane.taken.store(self.taken, Ordering::Release);
        Ok((length, sleeper(lane.stuck)))
    }

    /// Announces that this side is about to sleep until a message comes. Says whether it may: whether there is none yet.
    pub fn may_sleep(&mut self, lane: &Lane<'_>) -> bool {
        announce(lane.starved);
        self.waiting(lane) == Err(Refused::Empty)
    }

    /// How many words are waiting; at least one.
    fn waiting(&mut self, lane: &Lane<'_>) -> Result<u64, Refused> {
        if self.written == self.taken && !self.broken {
            // What was written before the end is seen after it.
            let over = lane.over.load(Ordering::Acquire) != 0;
            self.written = lane.written.load(Ordering::Acquire);
            if self.written == self.taken {
                return Err(if over { Refused::Over } else { Refused::Empty });
            }
        }
        let waiting = self.written.wrapping_sub(self.taken);
        self.broken |= waiting > lane.capacity();
        if self.broken { Err(Refused::Broken) } else { Ok(waiting) }
    }
}
