//! Addresses that programs give us.

use crate::error::{Errno, Result};
use crate::limits::{PAGE_U64, USER_END};

/// An address that a program claims to own. It cannot be read before it is checked against the
/// program's memory map, and only [`crate::linux::Linux`]'s copy functions do that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UserPtr(pub(crate) u64);

impl UserPtr {
    /// The null pointer.
    pub(crate) const NULL: Self = Self(0);

    pub(crate) const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The address `bytes` further on; past the end of memory it stays an address that never checks.
    pub(crate) const fn plus(self, bytes: u64) -> Self {
        Self(self.0.saturating_add(bytes))
    }

    /// The null pointer as `None`.
    pub(crate) fn non_null(self) -> Option<Self> {
        (!self.is_null()).then_some(self)
    }
}

/// A run of whole pages: `[start, end)`, in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageRange {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl PageRange {
    /// The pages that cover `length` bytes from an address on a page boundary.
    ///
    /// # Errors
    /// `EINVAL` when the address is not aligned, `ENOMEM` when the run leaves user memory.
    pub(crate) fn covering(address: u64, length: u64) -> Result<Self> {
        if !address.is_multiple_of(PAGE_U64) {
            return Err(Errno::EINVAL);
        }
        let end = address.checked_add(length).ok_or(Errno::ENOMEM)?;
        if end > USER_END {
            return Err(Errno::ENOMEM);
        }
        Ok(Self { start: address / PAGE_U64, end: end.div_ceil(PAGE_U64) })
    }

    pub(crate) const fn pages(self) -> u64 {
        self.end - self.start
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.start >= self.end
    }
}
