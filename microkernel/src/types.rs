//! The words of the kernel: addresses, cores, subOSes, time. No bare `usize` crosses a module's border.

/// A physical address. Turning it into a pointer is the physical map's privilege.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct PhysAddr(pub u64);

impl PhysAddr {
    /// What the processor can address: 52 bits.
    const MASK: u64 = (1 << 52) - 1;

    /// The address with these bits, those beyond the 52nd dropped.
    #[must_use]
    pub const fn new_truncate(bits: u64) -> Self {
        Self(bits & Self::MASK)
    }

    /// The number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The address `bytes` further on. Physical addresses have at most 52 bits, so this cannot wrap.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }

    /// Whether the address is a multiple of `alignment`, a power of two.
    #[must_use]
    pub const fn is_aligned(self, alignment: u64) -> bool {
        self.0 & (alignment - 1) == 0
    }
}

/// A virtual address, from user space or of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct VirtAddr(pub u64);

impl VirtAddr {
    /// The address `bytes` further on.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

/// The number of a core, dense from 0, in the order in which the firmware lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct CoreId(pub u8);

impl CoreId {
    /// The core that booted; subOS 0's.
    pub const BOOT: Self = Self(0);

    /// The core with this number, if the kernel can have it.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "checked against MAX_CORES, which is at most 64")]
    pub const fn new(number: usize) -> Option<Self> {
        if number < crate::limits::MAX_CORES { Some(Self(number as u8)) } else { None }
    }

    /// For use as an index into arrays of [`crate::limits::MAX_CORES`] entries. There is no core with a higher number.
    #[must_use]
    #[inline(always)]
    pub const fn index(self) -> usize {
        self.0 as usize % crate::limits::MAX_CORES
    }

    /// The cores of a set, one bit each.
    pub fn all_in(set: u64) -> impl Iterator<Item = Self> {
        let mut left = set;
        core::iter::from_fn(move || {
            let core = Self::new(left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(core)
        })
    }

    /// The set that holds this core alone.
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << (self.0 & 63)
    }
}

impl core::fmt::Display for CoreId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a subOS; 0 is the supervisor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct SubOsId(pub u8);

impl SubOsId {
    /// The subOS in which the supervisor server runs.
    pub const SUPERVISOR: Self = Self(0);

    /// For use as an index into arrays of [`crate::limits::MAX_SUBOSES`] entries.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A moment or a span on the time-stamp counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Ticks(pub u64);

impl Ticks {
    /// Later than every moment.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `span` later, or [`Ticks::NEVER`].
    #[must_use]
    pub const fn after(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

/// How urgent a thread is; the highest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Priority(pub u8);

impl Priority {
    /// For use as an index into arrays of [`crate::limits::PRIORITIES`] entries.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
