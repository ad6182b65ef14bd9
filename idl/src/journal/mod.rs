//! The journal: every operation on the capability model that a test kernel carried out, as words in its memory.
//!
//! A kernel that is built with the journal keeps it in chunks that boot sets aside; the harness reads it out of the
//! machine's memory and holds it against the specification. There is one journal for the machine, in the order in
//! which things happened: an operation is written while its kernel's lock (or that of the ledger) is still held. It is
//! written from front to end and never wraps; one that ran full says so.
//!
//! | where | what |
//! | --- | --- |
//! | words 0 to 4 | [`MAGIC`], the [lock](LOCK), the [end](END) of what is written, [how many kernels](KERNELS) there were, the [state](STATE) |
//! | from [`RECORDS`] on | records, one behind the other |
//!
//! A record is its [`Head`], what was asked, what was answered; for a forest then the effects and every slot that the
//! operation could write, with its bytes afterwards; for the ledger all of it afterwards.

mod words;

pub use words::{Journaled, Reader, Tail};

/// What the journal begins with.
pub const MAGIC: u64 = u64::from_le_bytes(*b"journal1");
/// The word of the lock: 0, or 1 and the core that writes.
pub const LOCK: usize = 1;
/// The word that says how many words of the journal are written, those before [`RECORDS`] among them.
pub const END: usize = 2;
/// The word that says how many kernels have begun to write.
pub const KERNELS: usize = 3;
/// The word that says whether something is missing: 0, [`FULL`] or [`CROWDED`].
pub const STATE: usize = 4;
/// The word at which the first record begins.
pub const RECORDS: usize = 8;

/// There was no room for a record, nor is anything after it kept.
pub const FULL: u64 = 1;
/// An operation wrote more slots than a record can have.
pub const CROWDED: u64 = 2;

/// Bytes that a machine's journal has.
pub const BYTES: u64 = 256 << 20;

/// The words of a slot.
pub const SLOT_WORDS: usize = 8;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal,)+) => {
        /// What was asked. The numbers are those of records.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Code { $($(#[doc = $doc])+ $name = $number,)+ }

        impl Code {
            /// The code with this number, if there is one.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

codes! {
    /// A root: destination, capability.
    Plant = 1,
    /// A lookup for use: table, handle, kind, rights; what was found.
    Lookup = 2,
    /// The same, of any kind: table, handle; what was found.
    LookupAny = 3,
    /// A lookup on the shortest ways that found something: table, handle, kind, rights; object and word.
    Peek = 4,
    /// A lookup for removal: table, handle; what was found.
    Locate = 5,
    /// A copy: parent, destination, change.
    Derive = 6,
    /// An object: untyped, destination, kind, bytes, alignment.
    Retype = 7,
    /// A binding: region, space, destination, number.
    Bind = 8,
    /// A move: source, destination.
    Move = 9,
    /// The beginning of a flight: source; the ticket.
    Lock = 10,
    /// Its end where it began: the ticket.
    Unlock = 11,
    /// Its end elsewhere: the ticket, destination.
    Land = 12,
    /// A wish to hear of a removal: the slot.
    Watch = 13,
    /// The beginning of a revoke: the root.
    MarkRevoking = 14,
    /// A step of it: the root, the budget.
    RevokeStep = 15,
    /// A step of a deletion: the slot, the budget.
    DeleteStep = 16,
    /// A step of what is going anyway: the budget.
    SweepStep = 17,
    /// The beginning of a reset: the untyped.
    ResetBegin = 18,
    /// A step of it: the untyped, the budget.
    ResetStep = 19,
    /// Cleared memory: the untyped, bytes.
    ResetCleared = 20,
    /// A system call was answered: an [`Answer`].
    Answer = 21,
    /// A refused copy in place of what is in a slot: parent, destination.
    Replace = 22,
    /// The ledger: a core enters the pool.
    ReleaseCore = 33,
    /// The ledger: a chunk enters the pool.
    ReleaseChunk = 34,
    /// The ledger: a lot of these chunks: the first, how many, to whom, as what.
    PlaceLot = 35,
    /// The ledger: a new subOS.
    Create = 36,
    /// The ledger: a transaction.
    Apply = 37,
    /// The ledger: the end of the first phase of a reclaim.
    Revoked = 38,
    /// The ledger: of the second.
    Quiesced = 39,
    /// The ledger: of the third.
    Scrubbed = 40,
    /// The ledger: giving up.
    Quarantine = 41,
    /// The ledger: the beginning of a destruction.
    Destroy = 42,
    /// The ledger: its end.
    Destroyed = 43,
}

impl Code {
    /// Whether it is an operation on the ledger rather than on a forest.
    #[must_use]
    pub const fn is_of_ledger(self) -> bool {
        self as u8 > 32
    }
}

/// What a system call was answered, as far as a thread can sum it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The thread, by a number that no other of its kernel has at that time.
    pub thread: u32,
    /// The op word.
    pub op: u64,
    /// The result word.
    pub result: u64,
    /// The first word of the answer; 0 if it was refused.
    pub first: u64,
}

impl Answer {
    /// The sum of all answers so far and this one. The order matters; the thread does not.
    #[must_use]
    pub const fn add_to(&self, sum: u64) -> u64 {
        // Fowler, Noll and Vo's hash (FNV-1a), a word at a time.
        const PRIME: u64 = 0x0100_0000_01b3;
        let sum = (sum ^ self.op).wrapping_mul(PRIME);
        let sum = (sum ^ self.result).wrapping_mul(PRIME).rotate_left(29);
        (sum ^ self.first).wrapping_mul(PRIME)
    }
}

/// The first word of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What was asked.
    pub code: Code,
    /// The core that did it.
    pub core: u8,
    /// Which of all kernels since boot, from 1; 0 for the ledger.
    pub kernel: u16,
    /// How many words the record has, this one among them.
    pub words: u32,
}

impl Head {
    /// The word.
    #[must_use]
    pub const fn to_word(self) -> u64 {
        self.code as u64 | (self.core as u64) << 8 | (self.kernel as u64) << 16 | (self.words as u64) << 32
    }

    /// The head that a word is, if it is one.
    #[must_use]
    pub const fn from_word(word: u64) -> Option<Self> {
        let [code, core, kernel_low, kernel_high, w0, w1, w2, w3] = word.to_le_bytes();
        let Some(code) = Code::from_number(code) else { return None };
        let kernel = u16::from_le_bytes([kernel_low, kernel_high]);
        Some(Self { code, core, kernel, words: u32::from_le_bytes([w0, w1, w2, w3]) })
    }
}
