//! The words of requests and answers.

use serde::{Deserialize, Serialize};
use zerocopy::IntoBytes;

use super::Refusal;
use crate::abi::{MESSAGE_WORDS, REGISTER_WORDS};

/// Words of a request or an answer, with its label. The first `count` mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Short {
    /// The method, or the status.
    pub label: u32,
    /// How many words there are; at most [`REGISTER_WORDS`].
    pub count: u8,
    /// The words.
    pub words: [u64; REGISTER_WORDS],
}

/// Words of a message that may be too long for registers.
#[derive(Clone, Debug)]
pub struct Long {
    /// How many words there are.
    pub count: u8,
    /// The words.
    pub words: [u64; MESSAGE_WORDS],
}

impl Long {
    /// No words.
    #[must_use]
    pub const fn new() -> Self {
        Self { count: 0, words: [0; MESSAGE_WORDS] }
    }

    /// The words that mean something.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words[..usize::from(self.count)]
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

impl Default for Long {
    fn default() -> Self {
        Self::new()
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
