//! What goes between a subOS and its supervisor over the share that every subOS is born with: rings of
//! 64-byte records, one each way.

use core::mem::size_of;

use caps::Error;
use static_assertions::const_assert_eq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::abi::REGISTER_WORDS;
use crate::types::{Chunks, CoreNumber, LotNumber, SubOsNumber, Ticks};
use crate::word::Word;

/// Word 0 of a record from here on is the kernel's: who sends one is refused (`InvalidArgument`), so that a
/// receiver can trust what the kernel reports.
pub const FIRST_KERNEL_EVENT: u64 = 1 << 63;

/// One record of a ring, as it lies in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, align(64))]
pub struct Record {
    /// Counts the records of this ring, from 1; 0 is a record never written.
    pub sequence: u64,
    /// When it was written, on the deadline clock.
    pub ticks: u64,
    /// What it says.
    pub words: [u64; REGISTER_WORDS],
    reserved: u64,
}

const_assert_eq!(size_of::<Record>(), 64);

impl Record {
    /// A record with these words.
    #[must_use]
    pub const fn new(sequence: u64, ticks: Ticks, words: [u64; REGISTER_WORDS]) -> Self {
        Self { sequence, ticks: ticks.0, words, reserved: 0 }
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $number:literal { $($(#[$field_doc:meta])* $field:ident: $ty:ty),* },)+) => {
        /// What the kernel reports to either side. Anything else in a ring is between the two programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[$doc])* $name { $($(#[$field_doc])* $field: $ty),* },)+
        }

        impl Event {
            /// The words of the record.
            #[must_use]
            pub fn to_words(self) -> [u64; REGISTER_WORDS] {
                match self {
                    $(Self::$name { $($field),* } => {
                        let used = [FIRST_KERNEL_EVENT | $number, $($field.to_word()),*];
                        let mut words = [0; REGISTER_WORDS];
                        words[..used.len()].copy_from_slice(&used);
                        words
                    })+
                }
            }

            /// The event that these words are, when they are one.
            ///
            /// # Errors
            /// `InvalidArgument` for an application's words, and for a number that this build does not know.
            pub fn from_words(words: &[u64; REGISTER_WORDS]) -> Result<Self, Error> {
                let [number, rest @ ..] = *words;
                let mut rest = rest.into_iter();
                let _ = &mut rest;
                if number < FIRST_KERNEL_EVENT {
                    return Err(Error::InvalidArgument);
                }
                match number & !FIRST_KERNEL_EVENT {
                    $($number => Ok(Self::$name {
                        $($field: <$ty>::from_word(rest.next().unwrap_or(0))?),*
                    }),)+
                    _ => Err(Error::InvalidArgument),
                }
            }
        }
    };
}

events! {
    /// To the subOS: a core is there.
    CoreGranted = 1 {
        /// Which.
        core: CoreNumber
    },
    /// To the subOS: a core was taken; its threads run on the others.
    CoreLost = 2 {
        /// Which.
        core: CoreNumber
    },
    /// To the subOS: a lot is there, in its slot of the root table.
    LotGranted = 3 {
        /// Which.
        lot: LotNumber,
        /// How large.
        chunks: Chunks
    },
    /// To the subOS: a lot was taken, and everything in it.
    LotLost = 4 {
        /// Which.
        lot: LotNumber
    },
    /// To the subOS: a core will be taken at the deadline.
    CoreWanted = 5 {
        /// Which.
        core: CoreNumber,
        /// When.
        deadline: Ticks
    },
    /// To the subOS: a lot will be taken at the deadline.
    LotWanted = 6 {
        /// Which.
        lot: LotNumber,
        /// When.
        deadline: Ticks
    },
    /// To the subOS: a window is there, in the slot of the root table of a lot of this number.
    WindowOpened = 7 {
        /// Which.
        lot: LotNumber,
        /// How large, the doorbells' page included.
        chunks: Chunks,
        /// Who has it besides.
        peer: SubOsNumber
    },
    /// To the subOS: its side of a window was taken, and all that was mapped of it.
    WindowLost = 8 {
        /// Which.
        lot: LotNumber
    },
    /// To the subOS: it has this window alone. Nobody else can read or write it from now on, or rings.
    PeerGone = 9 {
        /// Which.
        lot: LotNumber
    },
    /// To the supervisor: the subOS's kernel was condemned; there is an epitaph.
    Condemned = 16 {
        /// The core on which it died.
        core: CoreNumber
    },
    /// To the supervisor: a thread of the subOS faulted and nobody handles it.
    Unhandled = 17 {
        /// The core on which it ran.
        core: CoreNumber,
        /// The trap's kind.
        kind: u32,
        /// The address that faulted, or 0.
        address: u64,
        /// Where it stood.
        rip: u64
    },
    /// To the supervisor: bytes wait in the console ring.
    Console = 18 {},
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_words_are_judged_and_events_come_back(mut words: [u64; 5], number in 0u64..32, kernel: bool) {
            if kernel {
                words[0] = FIRST_KERNEL_EVENT | number;
                words[1] &= 0xffff;
            }
            if let Ok(event) = Event::from_words(&words) {
                prop_assert!(kernel || words[0] >= FIRST_KERNEL_EVENT);
                prop_assert_eq!(Event::from_words(&event.to_words()), Ok(event));
            }
        }
    }
}
