//! The kinds of object that a capability can name.

/// What a capability refers to. The numbers are part of the system-call ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Kind {
    /// Nothing: the slot is free.
    #[default]
    Empty = 0,
    /// Memory that has no purpose yet; every object is retyped from it.
    Untyped = 1,
    /// A table of capability slots.
    CSpace = 2,
    /// A thread of execution.
    Thread = 3,
    /// A set of page tables, with the memory for them.
    AddressSpace = 4,
    /// Memory that can be mapped.
    Region = 5,
    /// The permission to map one region in one address space.
    Binding = 6,
    /// Where synchronous calls meet.
    Endpoint = 7,
    /// A word of bits to signal and to wait for.
    Notification = 8,
    /// Room for one pending answer.
    Reply = 9,
    /// An address space whose every trap returns to the thread that entered it.
    Guest = 10,
    /// One processor core of this subOS.
    Core = 11,
    /// A subOS, as its supervisor sees it.
    SubOs = 12,
    /// A subOS's end of the share with its supervisor.
    Uplink = 13,
    /// The authority over the ledger.
    Machine = 14,
    /// Where lines for people go.
    DebugConsole = 15,
}

impl Kind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 16] = [
        Self::Empty,
        Self::Untyped,
        Self::CSpace,
        Self::Thread,
        Self::AddressSpace,
        Self::Region,
        Self::Binding,
        Self::Endpoint,
        Self::Notification,
        Self::Reply,
        Self::Guest,
        Self::Core,
        Self::SubOs,
        Self::Uplink,
        Self::Machine,
        Self::DebugConsole,
    ];

    /// The kind with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The number that the system-call ABI uses.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}
