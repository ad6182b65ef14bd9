//! The word that says what is asked, and the word that says what came of it.
//!
//! | bits | op word | result word |
//! | --- | --- | --- |
//! | 0 to 7 | method | status, low half |
//! | 8 to 15 | kind | status, high half |
//! | 16 to 23 | message words | message words |
//! | 24 to 26 | capabilities | capabilities |
//! | 27 | 0 | a signal, not a message: the badge register holds the bits |
//! | 28 to 31 | 0 | 0 |
//! | 32 to 63 | label | label |

use caps::{Error, Kind};

use super::{MESSAGE_CAPS, REGISTER_WORDS};

/// The op word of the null system call: enter, leave, answer 0.
pub const NULL_CALL: u64 = 0;

const METHOD: u32 = 0;
const KIND: u32 = 8;
const WORDS: u32 = 16;
const CAPS: u32 = 24;
const CAPS_MASK: u64 = 7;
const SIGNAL: u64 = 1 << 27;
const LABEL: u32 = 32;
/// Bits of the op word that mean nothing yet.
const RESERVED: u64 = 0x1f << 27;

static_assertions::const_assert!(MESSAGE_CAPS as u64 <= CAPS_MASK);

/// What an op word or a result word says of the message that goes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct MessageTag {
    /// What it is about.
    pub label: u32,
    /// How many words it has, those in registers included.
    pub words: u8,
    /// How many capabilities it carries.
    pub caps: u8,
}

impl MessageTag {
    /// Whether it needs the message page.
    #[must_use]
    #[inline]
    pub const fn is_long(self) -> bool {
        self.words as usize > REGISTER_WORDS || self.caps > 0
    }
}

/// What is asked: rax on entry. Any 64 bits are an `OpWord`; [`OpWord::check`] says whether they are sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpWord(pub u64);

impl OpWord {
    /// An invocation without a message.
    #[must_use]
    pub const fn new(kind: Kind, method: u8) -> Self {
        Self((kind.number() as u64) << KIND | (method as u64) << METHOD)
    }

    /// The same with a message: its label, how many words it has (the first five in registers), how many
    /// capabilities it carries (at most [`MESSAGE_CAPS`]; the kernel refuses more).
    #[must_use]
    pub const fn with_message(self, label: u32, words: u8, caps: u8) -> Self {
        let caps = caps as u64 & CAPS_MASK;
        Self(self.0 & 0xffff | (words as u64) << WORDS | caps << CAPS | (label as u64) << LABEL)
    }

    /// Refuses bits that mean nothing and more capabilities than a message carries.
    ///
    /// # Errors
    /// `InvalidArgument`.
    #[inline]
    pub fn check(self) -> Result<(), Error> {
        let sound = self.0 & RESERVED == 0 && usize::from(self.caps()) <= MESSAGE_CAPS;
        if sound { Ok(()) } else { Err(Error::InvalidArgument) }
    }

    /// Whether it describes no message: a method that takes none refuses anything else.
    #[must_use]
    #[inline]
    pub const fn is_plain(self) -> bool {
        self.0 >> WORDS == 0
    }

    /// The method.
    #[must_use]
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the low byte is the field")]
    pub const fn method(self) -> u8 {
        (self.0 >> METHOD) as u8
    }

    /// The number of the kind; not every number is one.
    #[must_use]
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the second byte is the field")]
    pub const fn kind_number(self) -> u8 {
        (self.0 >> KIND) as u8
    }

    /// The kind that the caller believes the target to be.
    #[must_use]
    #[inline]
    pub fn kind(self) -> Option<Kind> {
        Kind::from_number(self.kind_number())
    }

    /// How many words the message has.
    #[must_use]
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the third byte is the field")]
    pub const fn words(self) -> u8 {
        (self.0 >> WORDS) as u8
    }

    /// What it says of the message.
    #[must_use]
    #[inline]
    pub const fn tag(self) -> MessageTag {
        MessageTag { label: self.label(), words: self.words(), caps: self.caps() }
    }

    /// How many capabilities the message carries: 0 to 7 as the bits stand, 0 to 4 once checked.
    #[must_use]
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "masked to three bits")]
    pub const fn caps(self) -> u8 {
        (self.0 >> CAPS & CAPS_MASK) as u8
    }

    /// The label of the message.
    #[must_use]
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the high half is the field")]
    pub const fn label(self) -> u32 {
        (self.0 >> LABEL) as u32
    }
}

/// What came of it: rax on return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultWord(pub u64);

impl ResultWord {
    /// Success without a message.
    pub const OK: Self = Self(0);
    /// A receiver's bound notification was signalled: the badge register holds the bits.
    pub const SIGNAL: Self = Self(SIGNAL);

    /// A refusal.
    #[must_use]
    pub const fn error(error: Error) -> Self {
        Self(error.number() as u64)
    }

    /// Success with a message.
    #[must_use]
    pub const fn message(label: u32, words: u8, caps: u8) -> Self {
        let caps = caps as u64 & CAPS_MASK;
        Self((words as u64) << WORDS | caps << CAPS | (label as u64) << LABEL)
    }

    /// Whether it succeeded.
    ///
    /// # Errors
    /// The kernel's error; a number that this build does not know reads as `UnknownMethod`.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the low half-word is the field")]
    pub fn status(self) -> Result<Self, Error> {
        match self.0 as u16 {
            0 => Ok(self),
            number => Err(Error::from_number(number).unwrap_or(Error::UnknownMethod)),
        }
    }

    /// Whether this is a signal rather than a message.
    #[must_use]
    #[inline]
    pub const fn is_signal(self) -> bool {
        self.0 & SIGNAL != 0
    }

    /// How many words the message has.
    #[must_use]
    #[inline]
    pub const fn words(self) -> u8 {
        OpWord(self.0).words()
    }

    /// How many capabilities arrived.
    #[must_use]
    #[inline]
    pub const fn caps(self) -> u8 {
        OpWord(self.0).caps()
    }

    /// The label of the message.
    #[must_use]
    #[inline]
    pub const fn label(self) -> u32 {
        OpWord(self.0).label()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fields_come_back(method: u8, kind in 0u8..16, words: u8, caps in 0u8..=4, label: u32) {
            let kind = Kind::from_number(kind).unwrap();
            let op = OpWord::new(kind, method).with_message(label, words, caps);
            prop_assert_eq!(op.check(), Ok(()));
            prop_assert_eq!((op.method(), op.kind(), op.words()), (method, Some(kind), words));
            prop_assert_eq!((op.caps(), op.label()), (caps, label));
            let result = ResultWord::message(label, words, caps);
            prop_assert_eq!((result.words(), result.caps(), result.label()), (words, caps, label));
            prop_assert_eq!(result.status(), Ok(result));
        }

        #[test]
        fn any_bits_are_judged_without_panic(bits: u64) {
            let op = OpWord(bits);
            let sound = bits >> 27 & 0x1f == 0 && op.caps() <= 4;
            prop_assert_eq!(op.check().is_ok(), sound);
            let _ = (op.kind(), op.method(), op.words(), op.label(), ResultWord(bits).status());
        }
    }

    #[test]
    fn errors_come_back() {
        for &error in Error::ALL {
            assert_eq!(ResultWord::error(error).status(), Err(error));
        }
        assert!(ResultWord::SIGNAL.is_signal() && !ResultWord::OK.is_signal());
    }
}
