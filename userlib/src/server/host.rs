//! Memory to lend on the host, where there are no regions: bytes, by a number that is as good as a handle.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use caps::{Error, Handle, Rights};
use idl::kernel::region::Region;
use idl::types::Pages;

use crate::cap::{Cap, cap};
use crate::sync::Mutex;

type Bytes = Arc<Mutex<Vec<u8>>>;

static LENDABLE: Mutex<Vec<(Handle, Bytes)>> = Mutex::new(Vec::new());

/// Memory that a test lends to a server in its own process. Dropping it is taking it back.
#[derive(Debug)]
pub struct HostMemory {
    handle: Handle,
    bytes: Bytes,
}

impl HostMemory {
    /// Memory with these bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let handle = Handle(NEXT.fetch_add(1, Ordering::Relaxed));
        let bytes = Arc::new(Mutex::new(bytes));
        LENDABLE.lock().push((handle, Arc::clone(&bytes)));
        Self { handle, bytes }
    }

    /// Pages of zeros.
    pub(super) fn of(pages: Pages) -> Self {
        Self::new(vec![0; usize::try_from(pages.bytes()).unwrap_or(0)])
    }

    pub(super) fn read(&self, offset: usize, to: &mut [u8]) -> usize {
        Source(Arc::clone(&self.bytes)).read(offset, to)
    }

    pub(super) fn write(&self, offset: usize, from: &[u8]) -> usize {
        Source(Arc::clone(&self.bytes)).write(offset, from)
    }

    /// What stands for the region: `client.fill(memory.region().lend())`.
    #[must_use]
    pub const fn region(&self) -> Cap<Region> {
        cap(self.handle)
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().clone()
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        LENDABLE.lock().retain(|(handle, _)| *handle != self.handle);
        // As on the machine: whoever still reads it reads zeros.
        self.bytes.lock().fill(0);
    }
}

/// What a view looks at.
#[derive(Debug)]
pub(super) struct Source(Bytes);

impl Source {
    pub(super) fn lent(region: Cap<Region>, _: Rights) -> Result<Self, Error> {
        let lendable = LENDABLE.lock();
        let found = lendable.iter().find(|(handle, _)| *handle == region.handle());
        found.map(|(_, bytes)| Self(Arc::clone(bytes))).ok_or(Error::EmptySlot)
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }

    pub(super) fn read(&self, offset: usize, to: &mut [u8]) -> usize {
        let bytes = self.0.lock();
        let from = bytes.get(offset..).unwrap_or(&[]);
        let count = from.len().min(to.len());
        to[..count].copy_from_slice(&from[..count]);
        count
    }

    pub(super) fn write(&self, offset: usize, from: &[u8]) -> usize {
        let mut bytes = self.0.lock();
        let to = bytes.get_mut(offset..).unwrap_or(&mut []);
        let count = to.len().min(from.len());
        to[..count].copy_from_slice(&from[..count]);
        count
    }

    #[allow(clippy::unused_self, reason = "as on the target")]
    pub(super) fn end(self) {}
}

#[cfg(test)]
mod tests {
    use idl::interface::{Caller, InProcess, Lent, right};
    use idl::types::Badge;

    use super::super::View;
    use super::*;

    const READ: u16 = right::READ | right::DERIVE;
    const WRITE: u16 = READ | right::WRITE;

    /// Works on memory.
    #[idl::interface]
    trait Worker {
        /// The sum of all numbers; nothing if there is no memory.
        fn sum(&self, numbers: Lent<Region, READ>) -> u64;
        /// Doubles each number.
        fn double(&self, numbers: Lent<Region, WRITE>) -> u64;
    }

    struct Work;

    impl WorkerServer for Work {
        fn sum(&mut self, _: Caller<Worker>, numbers: Lent<Region, READ>) -> u64 {
            let Ok(numbers) = View::<u32, READ>::of(&numbers) else { return u64::MAX };
            (0..numbers.len()).filter_map(|index| numbers.get(index)).map(u64::from).sum()
        }

        fn double(&mut self, _: Caller<Worker>, numbers: Lent<Region, WRITE>) -> u64 {
            let Ok(mut numbers) = View::<u32, WRITE>::of(&numbers) else { return u64::MAX };
            let mut all = vec![0; numbers.len() + 5];
            let count = numbers.read(0, &mut all);
            let doubled: Vec<u32> = all.iter().map(|number| number * 2).collect();
            assert_eq!(numbers.write(count, &doubled), 0, "there is no room behind the end");
            numbers.write(0, &doubled) as u64
        }
    }

    #[test]
    fn a_server_works_on_memory_that_is_lent() {
        let client = WorkerClient::connect(InProcess::new(WorkerDispatch(Work), Badge(0))).unwrap();
        let memory = HostMemory::new(vec![1, 0, 0, 0, 2, 1, 0, 0, 9]);
        assert_eq!(client.sum(memory.region().lend()), Ok(1 + 258));
        assert_eq!(client.double(memory.region().lend()), Ok(2));
        assert_eq!(memory.bytes(), [2, 0, 0, 0, 4, 2, 0, 0, 9]);
        let gone = memory.region();
        drop(memory);
        assert_eq!(client.sum(gone.lend()), Ok(u64::MAX));
    }
}
