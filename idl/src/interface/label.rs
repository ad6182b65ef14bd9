//! Labels of requests and answers.
//!
//! A request's label is the method's number, the server's generation as the client knows it, and whether the last
//! word is a deadline. An answer's label is one of [`status`].

/// Which of a server's lives: it rises whenever the server is started again. 0 is none in particular.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u16);

impl Generation {
    /// Whichever life it is.
    pub const ANY: Self = Self(0);
    /// The first life.
    pub const FIRST: Self = Self(1);

    /// The life after so many ends.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "smaller than u16::MAX")]
    pub const fn after(ends: u32) -> Self {
        Self((ends % u16::MAX as u32) as u16 + 1)
    }

    /// The next life. After the last it is the first again: what matters is that two lives in a row differ.
    #[must_use]
    pub const fn next(self) -> Self {
        match self.0.wrapping_add(1) {
            0 => Self::FIRST,
            number => Self(number),
        }
    }
}

impl core::fmt::Display for Generation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The number of the method by which a connection opens. Those of an interface count from 1.
pub const CONNECT: u32 = 0;

const METHOD: u32 = 0xff;
const GENERATION_SHIFT: u32 = 8;
const HAS_DEADLINE: u32 = 1 << 24;

/// The label of a request, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Label {
    /// The method's number.
    pub method: u32,
    /// The life of the server that the client means.
    pub generation: Generation,
    /// Whether the last word is the caller's deadline.
    pub has_deadline: bool,
}

impl Label {
    /// The label of a call of this method, without a deadline.
    #[must_use]
    #[inline]
    pub const fn new(method: u32, generation: Generation) -> Self {
        Self { method, generation, has_deadline: false }
    }

    /// As a word.
    #[must_use]
    #[inline]
    pub const fn pack(self) -> u32 {
        let deadline = if self.has_deadline { HAS_DEADLINE } else { 0 };
        (self.method & METHOD) | ((self.generation.0 as u32) << GENERATION_SHIFT) | deadline
    }

    /// The inverse of [`Label::pack`]; nothing if a bit is set that means nothing.
    #[must_use]
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the field has sixteen bits")]
    pub const fn unpack(word: u32) -> Option<Self> {
        if word >> 25 != 0 {
            return None;
        }
        Some(Self {
            method: word & METHOD,
            generation: Generation((word >> GENERATION_SHIFT) as u16),
            has_deadline: word & HAS_DEADLINE != 0,
        })
    }
}

/// Labels of answers.
pub mod status {
    /// The result follows.
    pub const OK: u32 = 0;
    /// The server refused, with an error of the interface's own in word 0.
    pub const REFUSED: u32 = 1;
    /// The server has no such method.
    pub const UNKNOWN_METHOD: u32 = 2;
    /// The arguments do not decode.
    pub const MALFORMED: u32 = 3;
    /// The result does not fit in a message.
    pub const TOO_LONG: u32 = 4;
    /// The badge does not give the rights that the method requires: word 0 has those that are missing.
    pub const DENIED: u32 = 5;
    /// The server was started again since the connection opened: word 0 has its generation.
    pub const RESTARTED: u32 = 6;
    /// The server has another interface: its identity follows.
    pub const WRONG_INTERFACE: u32 = 7;
    /// A capability is missing, of the wrong kind, or without a right that the method asks of it.
    pub const WRONG_CAPABILITY: u32 = 8;
    /// There are as many subscribers as there can be.
    pub const NO_ROOM: u32 = 9;
    /// The caller is no subscriber.
    pub const NOT_SUBSCRIBED: u32 = 10;
    /// The last of them.
    pub const LAST: u32 = NOT_SUBSCRIBED;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_packed_and_strange_bits_refused() {
        for has_deadline in [false, true] {
            let label = Label { method: 255, generation: Generation(0xabcd), has_deadline };
            assert!(label.pack() < crate::message::FIRST_KERNEL_LABEL);
            assert_eq!(Label::unpack(label.pack()), Some(label));
        }
        assert_eq!(Label::unpack(1 << 25), None);
        assert_eq!(Generation(u16::MAX).next(), Generation::FIRST);
        assert_eq!(Generation::after(0), Generation::FIRST);
        assert_eq!(
            (Generation::after(65_534), Generation::after(65_535)),
            (Generation(65_535), Generation(1))
        );
    }
}
