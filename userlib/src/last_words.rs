//! What a program that panics leaves in its message page for whoever looks after it: the message, and the calls that led to it.
//!
//! | at | what |
//! | --- | --- |
//! | 0 | magic |
//! | 8 | bytes of the text, and how many addresses (u64 each) |
//! | 24 | room for 16 addresses, innermost first |
//! | 152 | the text |
//!
//! Who reads it believes nothing: the page is the program's, which has just gone wrong.

use alloc::string::String;
use alloc::vec::Vec;

use idl::abi::PAGE_BYTES;

const MAGIC: u64 = u64::from_le_bytes(*b"LASTWORD");
/// Most addresses.
pub const CALLS: usize = 16;
const TEXT: usize = 24 + 8 * CALLS;
/// Most bytes of text; what is longer is cut.
pub const TEXT_BYTES: usize = 1024;

static_assertions::const_assert!(TEXT + TEXT_BYTES <= PAGE_BYTES);

/// The last words of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWords {
    /// Why, with the place.
    pub text: String,
    /// The addresses to which the calls that led there would have returned, innermost first.
    pub trace: Vec<u64>,
}

/// The bytes to leave.
#[cfg_attr(not(any(test, feature = "image")), allow(dead_code, reason = "only a program panics so"))]
pub(crate) fn encode(text: &str, trace: &[u64]) -> [u8; TEXT + TEXT_BYTES] {
    let mut bytes = [0; TEXT + TEXT_BYTES];
    let text = text.as_bytes().get(..TEXT_BYTES).unwrap_or(text.as_bytes());
    let trace = trace.get(..CALLS).unwrap_or(trace);
    let words = [MAGIC, text.len() as u64, trace.len() as u64];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words.iter().chain(trace)) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes[TEXT..][..text.len()].copy_from_slice(text);
    bytes
}

impl LastWords {
    /// What these bytes say, if they are somebody's last words.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (words, _) = bytes.get(..TEXT)?.as_chunks::<8>();
        let words: Vec<u64> = words.iter().copied().map(u64::from_le_bytes).collect();
        let (&[magic, length, calls], trace) = words.split_first_chunk()?;
        if magic != MAGIC {
            return None;
        }
        let length = usize::try_from(length).ok().filter(|length| *length <= TEXT_BYTES)?;
        let text = String::from_utf8_lossy(bytes.get(TEXT..TEXT + length)?).into_owned();
        Some(Self { text, trace: trace.get(..usize::try_from(calls).ok()?)?.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_too_long_is_cut() {
        let text: String = core::iter::repeat_n('x', 5000).collect();
        let words = LastWords::parse(&encode(&text, &[7; 99])).unwrap();
        assert_eq!((words.text.len(), words.trace), (TEXT_BYTES, [7; CALLS].to_vec()));
        assert_eq!(LastWords::parse(&[0; PAGE_BYTES]), None);
        assert_eq!(LastWords::parse(&encode("", &[])[..TEXT - 1]), None);
    }

    proptest! {
        #[test]
        fn words_come_back_and_any_bytes_are_judged(
            text in ".{0,200}",
            trace in prop::collection::vec(any::<u64>(), 0..=CALLS),
            places in prop::collection::vec((0..TEXT + TEXT_BYTES, any::<u8>()), 0..8),
        ) {
            let mut bytes = encode(&text, &trace);
            prop_assert_eq!(LastWords::parse(&bytes), Some(LastWords { text, trace }));
            places.iter().for_each(|(place, byte)| bytes[*place] = *byte);
            if let Some(words) = LastWords::parse(&bytes) {
                prop_assert!(words.trace.len() <= CALLS);
            }
        }
    }
}
