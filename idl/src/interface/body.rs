//! The words of requests and answers.

use serde::{Deserialize, Serialize};
use zerocopy::IntoBytes;

use super::{Parcel, Refusal};
use crate::abi::{MESSAGE_WORDS, REGISTER_WORDS};

/// A request or an answer that fits in registers. The first `count` words mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Short {
    /// The method, or the status.
    pub label: u32,
    /// How many words there are; at most [`REGISTER_WORDS`].
    pub count: u8,
    /// The words.
    pub words: [u64; REGISTER_WORDS],
}

/// A request or an answer of any length.
#[derive(Clone, Debug)]
pub struct Long {
    /// The method, or the status.
    pub label: u32,
    /// How many words there are.
    pub count: u8,
    /// The capabilities that go along.
    pub parcel: Parcel,
    /// The words.
    pub words: [u64; MESSAGE_WORDS],
}

impl Long {
    /// No words.
    #[must_use]
    pub const fn new(label: u32) -> Self {
        Self { label, count: 0, parcel: Parcel::new(), words: [0; MESSAGE_WORDS] }
    }

    /// The words that mean something.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        self.words.get(..usize::from(self.count)).unwrap_or(&self.words)
    }

    /// Sets all words; nothing if there are more than a message has.
    pub(super) fn set_words(&mut self, words: &[u64]) -> Option<()> {
        self.words.get_mut(..words.len())?.copy_from_slice(words);
        self.count = u8::try_from(words.len()).ok()?;
        Some(())
    }

    /// Appends a word; nothing if there is no room.
    pub(super) fn push(&mut self, word: u64) -> Option<()> {
        *self.words.get_mut(usize::from(self.count))? = word;
        self.count += 1;
        Some(())
    }

    /// Encodes a value: word 0 the number of bytes, then the bytes.
    pub(super) fn put<V: Serialize + ?Sized>(&mut self, value: &V) -> Result<(), Refusal> {
        let [length, room @ ..] = &mut self.words;
        let used = postcard::to_slice(value, room.as_mut_bytes()).map_err(|_| Refusal::TooLong)?.len();
        *length = used as u64;
        self.count = u8::try_from(1 + used.div_ceil(8)).map_err(|_| Refusal::TooLong)?;
        Ok(())
    }
}

/// Decodes what [`Long::put`] encodes.
pub(super) fn take<'a, V: Deserialize<'a>>(words: &'a [u64]) -> Option<V> {
    let (length, body) = words.split_first()?;
    let length = usize::try_from(*length).ok()?;
    if body.len() != length.div_ceil(8) {
        return None;
    }
    let (value, rest) = postcard::take_from_bytes(body.as_bytes().get(..length)?).ok()?;
    rest.is_empty().then_some(value)
}
