//! Memory that was lent for a call, as elements of a type.
//!
//! The lender can write it meanwhile, and can take it back before the answer. So elements are copied out and in, never
//! referred to, and any bytes are a value of their type; and what is taken back reads as zeros from then on, because
//! whoever looks after the server puts an empty page in its place ([`Process::mend`](crate::process::Process::mend)).
//! Neither can hurt the server.

use core::marker::PhantomData;

use caps::{Error, Rights};
use idl::interface::{Lent, right};
use idl::kernel::region::Region;
use zerocopy::{FromBytes, Immutable, IntoBytes};

#[cfg(not(feature = "image"))]
use super::host::Source;
#[cfg(feature = "image")]
use crate::memory::Mapping as Source;

/// Elements of `T` in memory that was lent with these rights. Dropping it unmaps the memory.
#[derive(Debug)]
pub struct View<T, const RIGHTS: u16> {
    source: Option<Source>,
    elements: PhantomData<fn() -> T>,
}

impl<T: FromBytes + IntoBytes + Immutable, const RIGHTS: u16> View<T, RIGHTS> {
    /// Maps what was lent. `RIGHTS` must have DERIVE, which mapping needs.
    ///
    /// # Errors
    /// Those of `Region.bind` and `AddressSpace.map`.
    pub fn of(memory: &Lent<Region, RIGHTS>) -> Result<Self, Error> {
        const { assert!(RIGHTS & right::DERIVE != 0, "memory is mapped with the right DERIVE: lend it with that") };
        let rights = Rights::from_bits_truncate(RIGHTS & right::WRITE) | Rights::READ;
        Ok(Self { source: Some(Source::lent(memory.cap(), rights)?), elements: PhantomData })
    }

    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.source.as_ref().map_or(0, Source::len) / size_of::<T>()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies elements out, from number `first` on; gives how many there were.
    pub fn read(&self, first: usize, elements: &mut [T]) -> usize {
        let (Some(source), Some(offset)) = (&self.source, first.checked_mul(size_of::<T>())) else {
            return 0;
        };
        let count = elements.len().min(self.len().saturating_sub(first));
        let Some(elements) = elements.get_mut(..count) else { return 0 };
        source.read(offset, elements.as_mut_bytes()) / size_of::<T>()
    }

    /// An element.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<T> {
        let mut element = [T::new_zeroed()];
        let count = self.read(index, &mut element);
        element.into_iter().take(count).next()
    }

    /// Copies elements in, from number `first` on; gives how many had room. The memory must be lent with WRITE.
    pub fn write(&mut self, first: usize, elements: &[T]) -> usize {
        const { assert!(RIGHTS & right::WRITE != 0, "this memory is lent for reading only") };
        let (Some(source), Some(offset)) = (&self.source, first.checked_mul(size_of::<T>())) else {
            return 0;
        };
        let count = elements.len().min(self.len().saturating_sub(first));
        let Some(elements) = elements.get(..count) else { return 0 };
        source.write(offset, elements.as_bytes()) / size_of::<T>()
    }
}

impl<T, const RIGHTS: u16> Drop for View<T, RIGHTS> {
    fn drop(&mut self) {
        if let Some(source) = self.source.take() {
            source.end();
        }
    }
}
