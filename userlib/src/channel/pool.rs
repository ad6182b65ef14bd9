//! Who has which buffer: what one side of a channel knows, and what it believes of what the other says.
//!
//! Each side has buffers of its own in the window, which go round: *free*, *held* by who fills it, *lent* to the other side,
//! who says when it is done. Both is said by a [`Note`] in a ring. A note is an allegation: it must name a buffer that there
//! is, no more bytes than it has, and what its sender can mean: it lends what it has not lent already, and gives back what
//! was lent to it. Anything else and the pool is [`Rubbish`], for good.
//!
//! So there is never more than one who has a buffer by this side's books, whatever the other side does. That it reads or
//! writes one that it does not have, nobody can forbid: it has the memory. Words are therefore loaded and stored one by one, as
//! atomics ([`load`], [`store`]), and what is loaded may be anything.

use crate::atomic::{AtomicU64, Ordering};

/// Most buffers of a side.
pub const MAX_BUFFERS: usize = 64;
/// Bytes of a note.
pub const NOTE: usize = 16;
/// Words that the notes of a side take in a ring at most: one that lends and one that gives back for each buffer.
pub const NOTE_WORDS: usize = 2 * (1 + NOTE / WORD);
/// Bytes of a word.
const WORD: usize = 8;

/// A buffer of a side, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(u8);

impl Number {
    /// The number.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }

    /// The lowest one of a set.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "at most 63")]
    pub const fn first_of(set: u64) -> Option<Self> {
        if set == 0 { None } else { Some(Self(set.trailing_zeros() as u8)) }
    }

    /// Its bit.
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << self.0
    }
}

/// What one side tells the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// This buffer of mine is yours until you give it back: so many bytes of it mean something.
    Lends(Number, usize),
    /// Your buffer is yours again.
    GivesBack(Number),
}

/// The other side says what it cannot mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rubbish;

impl Note {
    /// As a message.
    #[must_use]
    pub fn to_bytes(self) -> [u8; NOTE] {
        let (kind, number, length) = match self {
            Self::Lends(number, length) => (1_u32, number, length),
            Self::GivesBack(number) => (2, number, 0),
        };
        let mut bytes = [0; NOTE];
        bytes[..4].copy_from_slice(&kind.to_le_bytes());
        bytes[4..8].copy_from_slice(&u32::from(number.0).to_le_bytes());
        bytes[8..].copy_from_slice(&(length as u64).to_le_bytes());
        bytes
    }

    /// What a message says, of buffers of which there are so many of so many bytes.
    ///
    /// # Errors
    /// [`Rubbish`].
    pub fn from_bytes(message: &[u8], count: usize, size: usize) -> Result<Self, Rubbish> {
        let (kind, rest) = message.split_first_chunk::<4>().ok_or(Rubbish)?;
        let (number, length) = rest.split_first_chunk::<4>().ok_or(Rubbish)?;
        let length = u64::from_le_bytes(length.try_into().map_err(|_| Rubbish)?);
        let number = u8::try_from(u32::from_le_bytes(*number)).map_err(|_| Rubbish)?;
        let length = usize::try_from(length).map_err(|_| Rubbish)?;
        if usize::from(number) >= count || length > size {
            return Err(Rubbish);
        }
        match u32::from_le_bytes(*kind) {
            1 => Ok(Self::Lends(Number(number), length)),
            2 if length == 0 => Ok(Self::GivesBack(Number(number))),
            _ => Err(Rubbish),
        }
    }
}

/// One side's books: a bit for each buffer.
#[derive(Clone, Debug)]
pub struct Pool {
    count: usize,
    size: usize,
    /// Its own that nobody has.
    free: u64,
    /// Its own that the other side has.
    lent: u64,
    /// The other side's that it has.
    borrowed: u64,
    broken: bool,
}

impl Pool {
    /// Books over so many buffers on each side, all free, of so many bytes; at most [`MAX_BUFFERS`].
    #[must_use]
    pub const fn new(count: usize, size: usize) -> Self {
        let count = if count < MAX_BUFFERS { count } else { MAX_BUFFERS };
        let free = if count == MAX_BUFFERS { u64::MAX } else { (1 << count) - 1 };
        Self { count, size, free, lent: 0, borrowed: 0, broken: false }
    }

    /// Takes a free buffer to fill, if there is one.
    pub fn take(&mut self) -> Option<Number> {
        let number = Number::first_of(self.free)?;
        self.free &= !number.bit();
        Some(number)
    }

    /// Puts buffers back that were taken and not lent: a bit each.
    pub const fn put_back(&mut self, numbers: u64) {
        self.free |= numbers & !self.lent & Self::new(self.count, 0).free;
    }

    /// A buffer that was taken is lent; the note is to be sent. No more of it means something than it has.
    pub fn lend(&mut self, number: Number, length: usize) -> Note {
        self.lent |= number.bit();
        Note::Lends(number, length.min(self.size))
    }

    /// A buffer that was borrowed is given back; the note is to be sent.
    pub const fn give_back(&mut self, number: Number) -> Note {
        self.borrowed &= !number.bit();
        Note::GivesBack(number)
    }

    /// Takes in what the other side says. The answer is what it lends, and how many bytes of it mean something, if it lends.
    ///
    /// # Errors
    /// [`Rubbish`], from then on always.
    pub fn hear(&mut self, message: &[u8]) -> Result<Option<(Number, usize)>, Rubbish> {
        let heard = match Note::from_bytes(message, self.count, self.size) {
            Ok(Note::Lends(number, length)) if self.borrowed & number.bit() == 0 => {
                self.borrowed |= number.bit();
                Ok(Some((number, length)))
            }
            Ok(Note::GivesBack(number)) if self.lent & number.bit() != 0 => {
                self.lent &= !number.bit();
                self.free |= number.bit();
                Ok(None)
            }
            _ => Err(Rubbish),
        };
        self.broken |= heard.is_err();
        if self.broken { Err(Rubbish) } else { heard }
    }
}

/// Copies bytes out of a buffer, from this offset on; as many as there are. Each word is loaded once.
pub fn load(words: &[AtomicU64], offset: usize, bytes: &mut [u8]) -> usize {
    let count = bytes.len().min((words.len() * WORD).saturating_sub(offset));
    let (mut place, mut done) = (offset, 0);
    while done < count {
        let word = words[place / WORD].load(Ordering::Relaxed).to_le_bytes();
        let part = &word[place % WORD..];
        let length = part.len().min(count - done);
        bytes[done..done + length].copy_from_slice(&part[..length]);
        (place, done) = (place + length, done + length);
    }
    count
}

/// Copies bytes into a buffer, from this offset on; as many as there is room for. Each word is stored once, and what is not
/// written of the first and the last is loaded before.
pub fn store(words: &[AtomicU64], offset: usize, bytes: &[u8]) -> usize {
    let count = bytes.len().min((words.len() * WORD).saturating_sub(offset));
    let (mut place, mut done) = (offset, 0);
    while done < count {
        let at = place % WORD;
        let length = (WORD - at).min(count - done);
        let to = &words[place / WORD];
        let mut word = if length == WORD { [0; WORD] } else { to.load(Ordering::Relaxed).to_le_bytes() };
        word[at..at + length].copy_from_slice(&bytes[done..done + length]);
        to.store(u64::from_le_bytes(word), Ordering::Relaxed);
        (place, done) = (place + length, done + length);
    }
    count
}
