//! The message page: what does not fit in registers.

use core::mem::{offset_of, size_of};

use static_assertions::const_assert_eq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{FxArea, GuestFrame, MESSAGE_CAPS, PAGE_SIZE};

/// Words that the page has room for. Word n of a message lies at index n, so 0 to 4 are unused by messages.
pub const PAGE_WORDS: usize = 256;
/// Bytes that methods which pass bytes through the page can pass at once.
pub const PAGE_BYTES: usize = PAGE_WORDS * 8;

/// Where the handles to send begin, in words from the start of the page.
pub const SEND_CAPS: usize = 256;
/// Where the receive slots begin, in words; two to a word, the lower half first.
pub const RECEIVE_SLOTS: usize = 260;
/// Where the received handles begin, in words.
pub const RECEIVED_CAPS: usize = 262;
/// The word that says which of the handles to send are moved: bit n for number n.
pub const SEND_MOVES: usize = 266;
/// Where the guest frame begins, in bytes.
pub const FRAME: usize = 2176;
/// Where the vector state begins, in bytes.
pub const FX: usize = 2560;

/// One page per thread, of a region that the user bound and mapped. The kernel reaches it by its physical
/// address; the user may do with it what it likes between calls.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, align(16))]
pub struct MessagePage {
    /// The words of messages from number 5 on, and the bytes of methods that pass bytes.
    pub words: [u64; PAGE_WORDS],
    /// Handles of the capabilities to send.
    pub send_caps: [u64; MESSAGE_CAPS],
    /// Slots of the caller's own table in which to put received capabilities; 0 accepts none there.
    pub receive_slots: [u32; MESSAGE_CAPS],
    /// Handles of the capabilities received.
    pub received_caps: [u64; MESSAGE_CAPS],
    /// Which of the capabilities to send are moved instead of copied: bit n for number n.
    pub send_moves: u64,
    reserved_0: [u64; 5],
    /// The registers of a guest, or those that `read_registers` and `write_registers` pass.
    pub frame: GuestFrame,
    reserved_1: [u64; 25],
    /// Vector and x87 state that goes with [`MessagePage::frame`].
    pub fx: FxArea,
    reserved_2: [u64; 128],
}

const_assert_eq!(size_of::<MessagePage>() as u64, PAGE_SIZE);
const_assert_eq!(offset_of!(MessagePage, words), 0);
const_assert_eq!(offset_of!(MessagePage, send_caps), SEND_CAPS * 8);
const_assert_eq!(offset_of!(MessagePage, receive_slots), RECEIVE_SLOTS * 8);
const_assert_eq!(offset_of!(MessagePage, received_caps), RECEIVED_CAPS * 8);
const_assert_eq!(offset_of!(MessagePage, send_moves), SEND_MOVES * 8);
const_assert_eq!(offset_of!(MessagePage, frame), FRAME);
const_assert_eq!(offset_of!(MessagePage, fx), FX);
const_assert_eq!(offset_of!(GuestFrame, trap), 160);
const_assert_eq!(size_of::<GuestFrame>(), 184);

impl MessagePage {
    /// A page of zeros.
    #[must_use]
    pub fn new() -> Self {
        <Self as zerocopy::FromZeros>::new_zeroed()
    }

    /// The area of words, as bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.words.as_bytes()
    }

    /// The area of words, as bytes to write.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.words.as_mut_bytes()
    }
}

impl Default for MessagePage {
    fn default() -> Self {
        Self::new()
    }
}
