//! The values that invocations pass: one type for each meaning.

use caps::Error;
use serde::{Deserialize, Serialize};

use crate::abi::{CHUNK_SIZE, PAGE_SIZE, USER_END};
use crate::word::Word;

/// A newtype over a number, and how it travels.
macro_rules! numbers {
    ($($(#[$meta:meta])* $name:ident($inner:ty);)+) => { $(
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        pub struct $name(pub $inner);

        impl Word for $name {
            const NAME: &'static str = stringify!($name);

            #[inline]
            fn to_word(self) -> u64 {
                self.0.to_word()
            }

            #[inline]
            fn from_word(word: u64) -> Result<Self, Error> {
                <$inner>::from_word(word).map(Self)
            }
        }
    )+ };
}

numbers! {
    /// What a capability was minted with; tells a receiver which of its capabilities was used. 0 is none.
    Badge(u64);
    /// Bits of a notification's word.
    Bits(u64);
    /// A count of 4 KiB pages.
    Pages(u32);
    /// A page of a region, counted from its start.
    PageIndex(u32);
    /// An address in user space, of no particular alignment; the kernel checks that it is canonical.
    UserAddress(u64);
    /// A core of the machine.
    CoreNumber(u32);
    /// A subOS. 0 is the supervisor's.
    SubOsNumber(u32);
    /// A lot of a subOS, as its owner counts. 0 is the home lot.
    LotNumber(u32);
    /// A count of 2 MiB chunks.
    Chunks(u32);
    /// The number by which page-table entries name the binding that allowed them.
    BindingNumber(u32);
    /// A count of bytes in the words area of the message page.
    Length(u32);
    /// A point in time, or a duration, of the deadline clock (the TSC).
    Ticks(u64);
}

impl Pages {
    /// How many bytes they are.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0 as u64 * PAGE_SIZE
    }
}

impl Chunks {
    /// How many bytes they are.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0 as u64 * CHUNK_SIZE
    }
}

/// Until when to wait, on the deadline clock. A point in the past makes a call that would wait fail at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(pub u64);

impl Deadline {
    /// Wait for ever.
    pub const NEVER: Self = Self(0);
    /// Do not wait at all.
    pub const POLL: Self = Self(1);

    /// The earlier of two.
    #[must_use]
    pub const fn earlier(self, other: Self) -> Self {
        // Never is written as zero, which is before everything; one less, it is after everything.
        if self.0.wrapping_sub(1) < other.0.wrapping_sub(1) { self } else { other }
    }
}

/// The page-aligned address of a page of user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserPage(u64);

impl UserPage {
    /// The page at this address, if it is one.
    #[must_use]
    pub const fn new(address: u64) -> Option<Self> {
        if address.is_multiple_of(PAGE_SIZE) && address < USER_END { Some(Self(address)) } else { None }
    }

    /// Its address.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0
    }

    /// The page so many pages further, if that is still in user space.
    #[must_use]
    pub const fn checked_add(self, pages: Pages) -> Option<Self> {
        match self.0.checked_add(pages.bytes()) {
            Some(address) => Self::new(address),
            None => None,
        }
    }
}

impl Word for UserPage {
    const NAME: &'static str = "UserPage";

    #[inline]
    fn to_word(self) -> u64 {
        self.0
    }

    /// `InvalidArgument` when it is not aligned, `BadRange` when it is not in user space.
    #[inline]
    fn from_word(word: u64) -> Result<Self, Error> {
        if word >= USER_END {
            return Err(Error::BadRange);
        }
        Self::new(word).ok_or(Error::InvalidArgument)
    }
}

/// How urgent a thread is: the runnable thread of the highest priority runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Priority(u8);

impl Priority {
    /// How many there are.
    pub const COUNT: u8 = 16;
    /// The lowest.
    pub const LOWEST: Self = Self(0);
    /// What init starts with.
    pub const ORDINARY: Self = Self(8);
    /// The highest.
    pub const HIGHEST: Self = Self(Self::COUNT - 1);

    /// The priority with this number, if there is one.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl Word for Priority {
    const NAME: &'static str = "Priority";

    #[inline]
    fn to_word(self) -> u64 {
        u64::from(self.0)
    }

    #[inline]
    fn from_word(word: u64) -> Result<Self, Error> {
        u8::from_word(word).ok().and_then(Self::new).ok_or(Error::InvalidArgument)
    }
}

/// An enumeration that travels as its number.
macro_rules! choices {
    ($($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal,)+ })+) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum $name {
            $($(#[$doc])* $variant = $number,)+
        }

        impl $name {
            /// Every value, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)+ }
            }
        }

        impl Word for $name {
            const NAME: &'static str = stringify!($name);

            #[inline]
            fn to_word(self) -> u64 {
                self as u64
            }

            #[inline]
            fn from_word(word: u64) -> Result<Self, Error> {
                match word { $($number => Ok(Self::$variant),)+ _ => Err(Error::InvalidArgument) }
            }
        }
    )+ };
}

choices! {
    /// Whether a long operation is at its end. The kernel does a bounded amount at a time; call again.
    pub enum Progress {
        /// Some is left: call again.
        More = 0,
        /// All is done.
        Done = 1,
    }

    /// When memory that was taken from somebody is cleared: always before anybody else can read it.
    pub enum Scrubbing {
        /// Before it is free: who takes it waits for that, and whoever gets it does not.
        AtOnce = 0,
        /// When it is granted again: who takes it has it free at once.
        AtGrant = 1,
    }

    /// What a thread is about.
    pub enum ThreadState {
        /// Not started yet, or without what it needs to start.
        Inactive = 0,
        /// Running, or about to.
        Runnable = 1,
        /// Suspended.
        Suspended = 2,
        /// Waiting to call, or for the answer.
        Calling = 3,
        /// Waiting for a message or a signal.
        Receiving = 4,
        /// Waiting for a notification.
        Waiting = 5,
        /// It faulted, and its handler has not answered; or it has no handler.
        Faulted = 6,
        /// In a guest.
        InGuest = 7,
    }

    /// What a subOS is about.
    pub enum SubOsState {
        /// Made; nothing runs yet.
        Created = 0,
        /// Loaded with a program.
        Loaded = 1,
        /// Started. It runs wherever it has cores.
        Running = 2,
        /// Condemned: its cores are leaving it or have left it. There is an epitaph.
        Condemned = 3,
        /// Being destroyed.
        Dying = 4,
    }

    /// A kind of resource that the ledger counts.
    pub enum ResourceKind {
        /// A core; its index is its number.
        Core = 0,
        /// A chunk of memory; its index is its physical address divided by 2 MiB.
        Chunk = 1,
    }

    /// Where a resource is between one owner and the next.
    pub enum LedgerState {
        /// Nobody's for good: firmware, holes, the kernel's own.
        Reserved = 0,
        /// To be granted.
        Free = 1,
        /// A subOS has it.
        Owned = 2,
        /// Capabilities to it are going.
        Revoking = 3,
        /// Cores are letting go of it.
        Quiescing = 4,
        /// It is being cleared.
        Scrubbing = 5,
        /// It did not answer and is given to nobody.
        Quarantined = 6,
        /// Several subOSes have it, by a share that names them.
        Shared = 7,
    }

    /// What to ask the machine.
    pub enum MachineQuestion {
        /// cores, chunks (of the ledger), free chunks, subOSes, ticks a second
        Totals = 0,
        /// ticks since boot, ticks a second, audit runs, core moves, lot moves
        Clock = 1,
        /// where the core areas lie, bytes of one, where the shares lie, bytes of one, where the books lie
        Places = 2,
        /// pages for tables of kernel halves of which no use was ever made
        Memory = 3,
    }

    /// What to ask about a subOS on one core.
    pub enum StatisticsQuestion {
        /// system calls, messages, signals, faults, guest entries
        Calls = 0,
        /// context switches, timer interrupts, doorbells, other interrupts, ticks idle
        Interrupts = 1,
        /// arrivals of the core, departures, ticks owned, ticks busy, objects made
        Moves = 2,
        /// ticks from entries of its kernel to their exits (of a core that it does not have: those of visits), threads
        /// started
        Kernel = 3,
        /// whichever the core: how many there are of untyped memories, tables, threads, address spaces, regions
        Memories = 4,
        /// how many there are of endpoints, notifications, replies, guests
        Meetings = 5,
        /// how many there are of cores, subOSes, uplinks, machines, consoles
        Planted = 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn total<T: Word>(word: u64) -> Result<(), TestCaseError> {
        if let Ok(value) = T::from_word(word) {
            prop_assert_eq!(value.to_word(), word);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn decoding_is_total_and_strict(word in prop_oneof![any::<u64>(), 0u64..100, any::<u64>().prop_map(|w| w & !0xfff)]) {
            total::<Pages>(word)?;
            total::<Priority>(word)?;
            total::<UserPage>(word)?;
            total::<Progress>(word)?;
            total::<ThreadState>(word)?;
            total::<LedgerState>(word)?;
            total::<StatisticsQuestion>(word)?;
            total::<caps::Rights>(word)?;
            total::<caps::Kind>(word)?;
            total::<caps::SlotIndex>(word)?;
        }
    }

    #[test]
    fn a_page_is_aligned_and_below_the_end() {
        assert_eq!(UserPage::from_word(0x1001), Err(Error::InvalidArgument));
        assert_eq!(UserPage::from_word(USER_END), Err(Error::BadRange));
        let last = UserPage::new(USER_END - PAGE_SIZE).unwrap();
        assert_eq!(last.checked_add(Pages(1)), None);
    }
}
