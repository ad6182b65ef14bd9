//! What a supervisor and the programs of a subOS say to each other over the share that every subOS is born with.
//!
//! The kernel only carries the words (`Uplink.send`, `SubOs.send`); what it reports itself is in [`crate::event`].
//! Word 0 is the number of a [`Request`] or of a [`Report`]. A subOS that says nothing of all this is a good subOS
//! too: the supervisor waits for no answer beyond a deadline.

use caps::Error;
use serde::{Deserialize, Serialize};

use crate::abi::REGISTER_WORDS;
use crate::event::Event;
use crate::plan::Name;
use crate::types::{CoreNumber, LotNumber, Pages, Ticks};
use crate::word::Word;

macro_rules! said {
    ($($(#[$meta:meta])* pub enum $enum:ident {
        $($(#[$doc:meta])* $name:ident = $number:literal { $($(#[$field_doc:meta])* $field:ident: $ty:ty),* },)+
    })+) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $enum {
            $($(#[$doc])* $name { $($(#[$field_doc])* $field: $ty),* },)+
        }

        impl $enum {
            /// The words to send.
            #[must_use]
            pub fn to_words(self) -> [u64; REGISTER_WORDS] {
                match self {
                    $(Self::$name { $($field),* } => {
                        let used = [$number, $($field.to_word()),*];
                        let mut words = [0; REGISTER_WORDS];
                        words[..used.len()].copy_from_slice(&used);
                        words
                    })+
                }
            }

            /// What these words say.
            ///
            /// # Errors
            /// `InvalidArgument` for a number that nobody knows, and what the fields' types refuse with.
            pub fn from_words(words: &[u64; REGISTER_WORDS]) -> Result<Self, Error> {
                let [number, rest @ ..] = *words;
                let mut rest = rest.into_iter();
                let said = match number {
                    $($number => Self::$name { $($field: <$ty>::from_word(rest.next().unwrap_or(0))?),* },)+
                    _ => return Err(Error::InvalidArgument),
                };
                if rest.all(|word| word == 0) { Ok(said) } else { Err(Error::InvalidArgument) }
            }
        }
    )+ };
}

said! {
    /// What the supervisor says.
    pub enum Request {
        /// Say now how far you are: [`Report::Progress`].
        SayProgress = 1 {},
        /// This lot will be taken. Say what it holds ([`Report::Lot`]) when you can do without it; at the deadline it
        /// goes in any case.
        GiveLot = 2 {
            /// Which.
            lot: LotNumber,
            /// When.
            deadline: Ticks
        },
        /// This core will be taken. Say ([`Report::Core`]) when nothing needs it any more, and it goes then; at the deadline
        /// it goes in any case.
        GiveCore = 3 {
            /// Which.
            core: CoreNumber,
            /// When.
            deadline: Ticks
        },
        /// This core was asked for ([`Request::GiveCore`]) and stays after all: it may be used again.
        KeepCore = 4 {
            /// Which.
            core: CoreNumber
        },
        /// This lot was asked for ([`Request::GiveLot`]) and stays after all: it may be used again.
        KeepLot = 5 {
            /// Which.
            lot: LotNumber
        },
        /// The window that was asked for ([`Report::WantWindow`]) is open: this lot is its side of it. The kernel has said
        /// `WindowOpened` before.
        WindowTo = 10 {
            /// Which.
            lot: LotNumber,
            /// The peer's name, its first eight bytes; see [`name_from_words`].
            peer_0: u64,
            /// The rest of it.
            peer_1: u64
        },
        /// There will be no such window.
        NoWindow = 11 {
            /// The name that was asked for.
            peer_0: u64,
            /// The rest of it.
            peer_1: u64,
            /// Why not.
            reason: Refusal
        },
    }

    /// What a subOS says.
    pub enum Report {
        /// How far it is. What is counted is its own affair, but it only grows; a supervisor that expects progress of
        /// it ([`crate::plan::Duty`]) hears of it often, and whenever it asks.
        Progress = 1 {
            /// How much it has done since it started.
            count: u64,
            /// When it read that count.
            at: Ticks,
            /// The longest time between two counts of one of those that count, of the times that ended since it said so
            /// last or still last; 0 if it does not measure that.
            longest: Ticks
        },
        /// What a lot holds: said of a new one, and of one that is asked for.
        Lot = 2 {
            /// Which.
            lot: LotNumber,
            /// How many of its pages it looked at.
            looked: Pages,
            /// How many of these held anything but zeros.
            used: Pages
        },
        /// It has done what it was for.
        Ended = 3 {
            /// With this status; 0 is success.
            status: u32
        },
        /// One of its servers crashed; its console says which and how.
        Crashed = 4 {
            /// The exception's vector.
            vector: u32,
            /// The address that faulted, or 0.
            address: u64,
            /// Where it stood.
            rip: u64,
            /// How often its servers have crashed by now.
            times: u32
        },
        /// What it did by now on one of its cores, in its own terms.
        Work = 6 {
            /// The core.
            core: CoreNumber,
            /// Processes that ran there at some time.
            processes: u64,
            /// Calls that its programs made there.
            calls: u64
        },
        /// Its programs asked for something that it does not have.
        Missing = 7 {
            /// The number of the system call.
            call: u32,
            /// How often.
            times: u64
        },
        /// It had no memory left for its programs, and ended some of them for that.
        Starved = 8 {
            /// So many by now.
            times: u64
        },
        /// What it says to [`Request::GiveCore`].
        Core = 9 {
            /// The core that was asked for.
            core: CoreNumber,
            /// The deadline that came with the request, which tells it from others for the same core.
            deadline: Ticks,
            /// What it says.
            answer: CoreAnswer
        },
        /// How many processes it has started by now.
        Processes = 5 {
            /// That many.
            started: u64
        },
        /// It asks for a window to another, which is opened when that one has asked for it too, and the supervisor's plan
        /// comes to it. Who asks again has no use any more for what it has left of the window before.
        WantWindow = 10 {
            /// The peer's name, its first eight bytes; see [`name_to_words`].
            peer_0: u64,
            /// The rest of it.
            peer_1: u64
        },
    }
}

/// What a subOS says to a request for one of its cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, idl::Word)]
pub enum CoreAnswer {
    /// Nothing needs the core any more: it may go now.
    Given = 1,
    /// It cannot be done without. It stays until the deadline, as if nothing had been said, and the subOS may think better of
    /// it until then.
    Needed,
}

/// Why there is no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, idl::Word)]
pub enum Refusal {
    /// The supervisor knows nobody of that name.
    Nobody = 1,
    /// The supervisor's plan has none between these two.
    NotPlanned,
}

/// A subOS's name in two words: its bytes in memory order, then zeros. `None` if it is too long.
#[must_use]
pub fn name_to_words(name: &str) -> Option<[u64; 2]> {
    let mut bytes = [0; 16];
    bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
    let (words, _) = bytes.as_chunks::<8>();
    Some([u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])])
}

/// The name in two words. `None` if they are no name.
#[must_use]
pub fn name_from_words(words: [u64; 2]) -> Option<Name> {
    let bytes = words.map(u64::to_le_bytes);
    let bytes = bytes.as_flattened();
    let length = bytes.iter().rposition(|&byte| byte != 0)? + 1;
    Name::try_from(core::str::from_utf8(&bytes[..length]).ok()?).ok()
}

/// What a supervisor may hear from a subOS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Its kernel reports.
    Kernel(Event),
    /// One of its programs reports.
    Program(Report),
}

impl Heard {
    /// What these words say.
    ///
    /// # Errors
    /// `InvalidArgument` for words that are neither.
    pub fn from_words(words: &[u64; REGISTER_WORDS]) -> Result<Self, Error> {
        if words[0] >= crate::event::FIRST_KERNEL_EVENT {
            Event::from_words(words).map(Self::Kernel)
        } else {
            Report::from_words(words).map(Self::Program)
        }
    }
}

/// What a subOS may hear from its supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The kernel tells what it has and has not.
    Kernel(Event),
    /// The supervisor asks.
    Supervisor(Request),
}

impl Told {
    /// What these words say.
    ///
    /// # Errors
    /// `InvalidArgument` for words that are neither.
    pub fn from_words(words: &[u64; REGISTER_WORDS]) -> Result<Self, Error> {
        if words[0] >= crate::event::FIRST_KERNEL_EVENT {
            Event::from_words(words).map(Self::Kernel)
        } else {
            Request::from_words(words).map(Self::Supervisor)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words() -> impl Strategy<Value = [u64; REGISTER_WORDS]> {
        (0u64..13, prop::array::uniform4(prop_oneof![Just(0u64), 0u64..100, any::<u64>()]))
            .prop_map(|(number, [a, b, c, d])| [number, a, b, c, d])
    }

    #[test]
    fn a_name_is_two_words() {
        for name in ["a", "sixteen-letters!", "eight888", "ninth9999", "zwölf"] {
            assert_eq!(name_from_words(name_to_words(name).unwrap()).as_deref(), Some(name));
        }
        assert_eq!(name_to_words("seventeen-letters"), None);
        assert_eq!(name_from_words([0, 0]), None);
        assert_eq!(name_from_words([u64::MAX, 0]), None);
    }

    proptest! {
        #[test]
        fn any_words_are_judged_and_come_back(words in words(), kernel: bool) {
            let mut words = words;
            if let Ok(report) = Report::from_words(&words) {
                prop_assert_eq!(report.to_words(), words);
                prop_assert_eq!(Heard::from_words(&words), Ok(Heard::Program(report)));
            }
            if let Ok(request) = Request::from_words(&words) {
                prop_assert_eq!(request.to_words(), words);
                prop_assert_eq!(Told::from_words(&words), Ok(Told::Supervisor(request)));
            }
            if kernel {
                words[0] |= crate::event::FIRST_KERNEL_EVENT;
                prop_assert!(!matches!(Heard::from_words(&words), Ok(Heard::Program(_))));
                prop_assert!(!matches!(Told::from_words(&words), Ok(Told::Supervisor(_))));
            }
        }
    }
}
