//! The wall towards the machine: what the personality needs of whoever runs it.
//!
//! On the target it is the kernel's Region, AddressSpace and Guest objects; in host tests a tracer.
//! Everything here is bounded and answers at once; the personality never waits inside a call.

use bitflags::bitflags;

use crate::limits::PAGE;

/// A 4 KiB frame of the server's pool, by its place in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frame(pub u32);

/// An address space that guests run in, from the platform's bounded stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Space(pub u32);

/// A thread of the server that runs guests; there is one for each core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExecutorId(pub u8);

/// A page of a guest's address space: its address divided by 4096.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VirtualPage(pub u64);

impl VirtualPage {
    /// The address of the page's first byte.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0 * crate::limits::PAGE_U64
    }
}

bitflags! {
    /// Rights to a page.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Prot: u8 {
        /// Loads.
        const READ = 1;
        /// Stores.
        const WRITE = 2;
        /// Instruction fetches.
        const EXECUTE = 4;
    }
}

/// Which of a program's two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Descriptor 1 of the first process.
    Output,
    /// Descriptor 2 of the first process.
    Error,
}

/// The platform had no memory for a page table, or none behind the frame any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfTables;

/// What runs the personality.
///
/// Contract of the mapping calls: when `unmap` or `protect` returns, no core can use the translation
/// that was there before, whichever executor runs a guest in that space meanwhile.
pub trait Platform {
    /// Copies bytes of a frame out, from an offset on. The range lies in the frame. Guests that run
    /// meanwhile may be writing it; then the bytes are torn, as they would be on any machine.
    fn read(&self, frame: Frame, offset: usize, out: &mut [u8]);
    /// Copies bytes into a frame, from an offset on. The range lies in the frame.
    fn write(&mut self, frame: Frame, offset: usize, bytes: &[u8]);
    /// Whether the memory behind a frame is gone: it can be taken at any moment, also in the middle of a copy, and does
    /// not come back. Asked after a copy, or after a mapping that failed, it says whether that is why: what was read
    /// then is nothing, and what was written is nowhere.
    fn lost(&self, _frame: Frame) -> bool {
        false
    }
    /// An empty address space, or `None` when the stock is used up.
    fn new_space(&mut self) -> Option<Space>;
    /// Gives a space back. Nothing is mapped in it any more, and no guest runs in it.
    fn drop_space(&mut self, space: Space);
    /// Makes `page` of `space`, which shows nothing, show `frame`.
    fn map(&mut self, space: Space, page: VirtualPage, frame: Frame, prot: Prot) -> Result<(), OutOfTables>;
    /// Takes `count` pages out; those that show nothing are passed over.
    fn unmap(&mut self, space: Space, first: VirtualPage, count: u64);
    /// Changes the rights of `count` pages, all of which show something.
    fn protect(&mut self, space: Space, first: VirtualPage, count: u64, prot: Prot);
    /// Nanoseconds since some fixed moment; never goes back.
    fn now(&self) -> u64;
    /// Nanoseconds since 1970 at the moment where [`Self::now`] was zero.
    fn epoch(&self) -> u64;
    /// Offers output; the answer is how many bytes were taken.
    fn console(&mut self, stream: Stream, bytes: &[u8]) -> usize;
    /// Fills `bytes` with what nobody can guess, as far as the machine can.
    fn entropy(&mut self, bytes: &mut [u8]);

    /// Copies one frame to another.
    fn copy_frame(&mut self, from: Frame, to: Frame) {
        let mut bytes = [0; PAGE];
        self.read(from, 0, &mut bytes);
        self.write(to, 0, &bytes);
    }

    /// Fills a frame with zeros.
    fn clear_frame(&mut self, frame: Frame) {
        self.write(frame, 0, &[0; PAGE]);
    }
}
