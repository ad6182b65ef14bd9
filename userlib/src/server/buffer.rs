//! Memory of a program's own that it lends to servers.

use caps::Error;
use idl::kernel::region::Region;
use idl::types::Pages;

#[cfg(not(feature = "image"))]
use super::host::HostMemory as Memory;
use crate::cap::Cap;
#[cfg(feature = "image")]
use crate::memory::Mapping as Memory;

/// Memory of this program's own, to lend for a call and to copy out of and into between calls. It works on the host as on the
/// target, so that a server which calls others can be tested there.
#[derive(Debug)]
pub struct Buffer(Memory);

impl Buffer {
    /// So many pages, all zero.
    ///
    /// # Errors
    /// Those of making and mapping a region.
    pub fn new(pages: Pages) -> Result<Self, Error> {
        #[cfg(feature = "image")]
        return Memory::new(pages).map(Self);
        #[cfg(not(feature = "image"))]
        return Ok(Self(Memory::of(pages)));
    }

    /// What to lend: `client.fill(buffer.region().lend())`.
    #[must_use]
    pub const fn region(&self) -> Cap<Region> {
        self.0.region()
    }

    /// Copies bytes out, from this offset on; as many as there are.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> usize {
        self.0.read(offset, bytes)
    }

    /// Copies bytes in, from this offset on; as many as fit.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> usize {
        self.0.write(offset, bytes)
    }
}
