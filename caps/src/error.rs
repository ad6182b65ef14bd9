//! Why an operation was refused. One cause, one error.

macro_rules! errors {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal,)+) => {
        /// Why an operation was refused. An operation that answers with an error has changed nothing.
        /// The numbers are part of the system-call ABI; 0 means success and is not among them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Error {
            $($(#[doc = $doc])+ $name = $number,)+
        }

        impl Error {
            /// Every error, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name, as the documents write it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// What it means, for people.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)+ }
            }

            /// The error with this number, if there is one.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$name),)+ _ => None }
            }

            /// The number that the system-call ABI uses.
            #[must_use]
            pub const fn number(self) -> u16 { self as u16 }
        }
    };
}

errors! {
    /// The slot that the handle names is empty.
    EmptySlot = 1,
    /// The slot was emptied since the handle was made.
    StaleHandle = 2,
    /// The capability is of another kind than the operation needs.
    WrongKind = 3,
    /// The capability lacks a right that the operation needs.
    MissingRight = 4,
    /// The slot index lies outside the table.
    OutOfRange = 5,
    /// The capability, or one that it derives from, is being revoked.
    BeingRevoked = 6,
    /// The capability is locked in its slot while it is being moved.
    Locked = 7,
    /// There is no such method.
    UnknownMethod = 8,
    /// An argument has a value that the method does not accept.
    InvalidArgument = 9,
    /// The destination slot holds a capability already.
    SlotOccupied = 10,
    /// The destination slot has been used too often and has retired.
    SlotRetired = 11,
    /// The derivation would be deeper than the bound.
    DepthExceeded = 12,
    /// The untyped memory has no room for the object.
    OutOfMemory = 13,
    /// The size is zero, too large, or not a multiple of what the kind needs.
    BadSize = 14,
    /// The range does not lie within the region, or not within user space.
    BadRange = 15,
    /// A page of the range is mapped already.
    AlreadyMapped = 16,
    /// No page of the range is mapped.
    NotMapped = 17,
    /// The address space has no memory left for page tables.
    OutOfTables = 18,
    /// The address space has no binding number left.
    OutOfBindings = 19,
    /// The deadline passed.
    TimedOut = 20,
    /// The operation was ended from outside: the object went, or the thread was stopped.
    Cancelled = 21,
    /// The thread lacks something that it needs for this: a table, a space, a message page.
    NotConfigured = 22,
    /// The object is at work and cannot do this now; try again when it is not.
    Busy = 23,
    /// The object is in a state in which the method makes no sense.
    WrongState = 24,
    /// Nothing is there to receive.
    Empty = 25,
    /// There is no room to send.
    Full = 26,
    /// Nobody waits for this reply.
    NotPending = 27,
    /// It is bound to something already.
    AlreadyBound = 28,
    /// The ledger has no such resource, or not enough of it free.
    NoResource = 29,
    /// The resource belongs to somebody else.
    NotOwner = 30,
    /// The home lot can only be taken by destroying the subOS.
    HomeLot = 31,
    /// The program image is malformed.
    BadImage = 32,
    /// The subOS has been condemned.
    Condemned = 33,
    /// The core did not answer and is quarantined.
    CoreSilent = 34,
    /// The message carries more than fits.
    TooLong = 35,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}
