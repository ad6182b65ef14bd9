//! Frames: messages as bytes on a line.
//!
//! | bytes | what |
//! | --- | --- |
//! | 2 | how many bytes of words there are |
//! | 4 | the call's number, which its answer repeats |
//! | 4 | the label |
//! | 8 each | the words |
//! | 4 | a checksum over all that (CRC-32/ISO-HDLC) |
//!
//! All numbers are little endian. That is encoded so that it has no zero byte (COBS), and stands between two zero bytes.

use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc};
use zerocopy::IntoBytes;

use crate::abi::MESSAGE_WORDS;
use crate::interface::Long;

/// Bytes before the words.
const HEAD: usize = 10;
/// Bytes after them.
const CHECKSUM: usize = 4;
/// Bytes of the longest frame before it is encoded.
const PLAIN: usize = HEAD + MESSAGE_WORDS * 8 + CHECKSUM;
/// Bytes of the longest frame without the zeros around it: one more for each 254.
const ENCODED: usize = PLAIN + PLAIN.div_ceil(254);
/// Bytes of the longest frame on the line.
pub const FRAME_BYTES: usize = ENCODED + 2;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// What one side says.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Of which call.
    pub number: u32,
    /// The request, or the answer. It carries no capabilities.
    pub message: Long,
}

/// Why bytes between two zeros are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rubbish {
    /// They are more than any frame has.
    TooLong,
    /// No frame is encoded so.
    Encoding,
    /// They are fewer or more than they say.
    Length,
    /// Their checksum is another.
    Checksum,
}

impl fmt::Display for Rubbish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "longer than any frame",
            Self::Encoding => "not encoded as a frame is",
            Self::Length => "not as long as it says",
            Self::Checksum => "damaged: the checksum is another",
        })
    }
}

/// Writes a message as a frame with the zeros around it; the answer is how many bytes that is. A message with capabilities
/// is none that can be sent: nothing.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "at most 2040")]
pub fn encode(number: u32, message: &Long, frame: &mut [u8; FRAME_BYTES]) -> Option<usize> {
    if !message.parcel.is_empty() {
        return None;
    }
    let words = message.words().as_bytes();
    let mut plain = [0; PLAIN];
    let length = HEAD + words.len();
    plain[..2].copy_from_slice(&(words.len() as u16).to_le_bytes());
    plain[2..6].copy_from_slice(&number.to_le_bytes());
    plain[6..HEAD].copy_from_slice(&message.label.to_le_bytes());
    plain.get_mut(HEAD..length)?.copy_from_slice(words);
    let (said, rest) = plain.split_at_mut(length);
    rest.get_mut(..CHECKSUM)?.copy_from_slice(&CRC.checksum(said).to_le_bytes());
    let encoded = cobs::try_encode(plain.get(..length + CHECKSUM)?, frame.get_mut(1..)?).ok()?;
    frame[0] = 0;
    *frame.get_mut(1 + encoded)? = 0;
    Some(encoded + 2)
}

/// Reads the bytes between two zeros, in place.
///
/// # Errors
/// Why they are no frame.
fn decode(bytes: &mut [u8]) -> Result<Frame, Rubbish> {
    let length = cobs::decode_in_place(bytes).map_err(|_| Rubbish::Encoding)?;
    let plain = bytes.get(..length).ok_or(Rubbish::Encoding)?;
    let (said, checksum) = plain.split_last_chunk::<CHECKSUM>().ok_or(Rubbish::Length)?;
    let (head, words) = said.split_first_chunk::<HEAD>().ok_or(Rubbish::Length)?;
    let [l0, l1, n0, n1, n2, n3, label @ ..] = *head;
    if usize::from(u16::from_le_bytes([l0, l1])) != words.len() {
        return Err(Rubbish::Length);
    }
    if CRC.checksum(said) != u32::from_le_bytes(*checksum) {
        return Err(Rubbish::Checksum);
    }
    let mut message = Long::new(u32::from_le_bytes(label));
    let (words, rest) = words.as_chunks::<8>();
    if !rest.is_empty() || words.len() > MESSAGE_WORDS {
        return Err(Rubbish::Length);
    }
    for (to, from) in message.words.iter_mut().zip(words) {
        *to = u64::from_le_bytes(*from);
    }
    message.count = u8::try_from(words.len()).map_err(|_| Rubbish::Length)?;
    Ok(Frame { number: u32::from_le_bytes([n0, n1, n2, n3]), message })
}

/// Finds frames among bytes.
#[derive(Clone, Debug)]
pub struct Frames {
    bytes: [u8; ENCODED],
    /// How many came since the last zero; what is more than there is room for is not kept.
    count: usize,
}

impl Frames {
    /// Before the first byte.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; ENCODED], count: 0 }
    }

    /// Takes the next byte in. With the zero after a frame comes the frame, or why it is none.
    pub fn push(&mut self, byte: u8) -> Option<Result<Frame, Rubbish>> {
        if byte != 0 {
            if let Some(place) = self.bytes.get_mut(self.count) {
                *place = byte;
            }
            self.count = self.count.saturating_add(1);
            return None;
        }
        match core::mem::take(&mut self.count) {
            0 => None,
            count => Some(self.bytes.get_mut(..count).map_or(Err(Rubbish::TooLong), decode)),
        }
    }
}

impl Default for Frames {
    fn default() -> Self {
        Self::new()
    }
}
