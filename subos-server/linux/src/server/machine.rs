//! The platform: frames in lots, address spaces with a binding for each lot, the clock, the console.

use alloc::vec::Vec;

use idl::types::{Pages, Ticks, UserPage};
use linux::Platform;
use linux::platform::{Frame, OutOfTables, Prot, Space, Stream, VirtualPage};
use userlib::cap::{AddressSpace, Binding, DebugConsole};
use userlib::{Cap, Error, Rights, environment, memory, page, time};

use super::pool::Pools;

/// Address spaces at most. Each has page tables of its own for good.
const SPACES: usize = 48;
/// Pages for the page tables of one address space: 4 KiB each, enough for about a hundred megabytes
/// in a dozen places.
const TABLE_PAGES: u64 = 64;
/// Bytes that the console takes in one call at most.
const CONSOLE_PIECE: usize = 1024;
/// 1 January 2026, in nanoseconds since 1970. The machine has no clock that tells the date yet.
const EPOCH: u64 = 1_767_225_600 * 1_000_000_000;
/// Nanoseconds in a second.
const SECOND: u128 = 1_000_000_000;

/// One address space for guests.
struct GuestSpace {
    space: Cap<AddressSpace>,
    /// Its bindings, by the number of the pool; made at first use.
    bindings: Vec<Option<Cap<Binding>>>,
}

/// The machine as the personality sees it.
pub(super) struct Machine {
    pub(super) pools: Pools,
    spaces: Vec<GuestSpace>,
    free: Vec<Space>,
    console: Cap<DebugConsole>,
    ticks_per_second: u128,
    random: u64,
}

impl Machine {
    pub(super) fn new(pools: Pools) -> Self {
        Self {
            pools,
            spaces: Vec::new(),
            free: Vec::new(),
            console: environment().console(),
            ticks_per_second: u128::from(time::ticks_per_second()),
            random: time::now().0,
        }
    }

    /// The address space behind a number.
    pub(super) fn space(&self, space: Space) -> Option<Cap<AddressSpace>> {
        self.spaces.get(index(space)).map(|guest| guest.space)
    }

    /// A moment of the personality's clock on the kernel's.
    pub(super) fn ticks(&self, nanos: u64) -> Ticks {
        let ticks = u128::from(nanos) * self.ticks_per_second / SECOND;
        Ticks(u64::try_from(ticks).unwrap_or(u64::MAX))
    }

    /// The binding of a pool to a space.
    fn binding(&mut self, space: Space, pool: usize) -> Result<Cap<Binding>, Error> {
        let region = self.pools.region(pool).ok_or(Error::EmptySlot)?;
        let guest = self.spaces.get_mut(index(space)).ok_or(Error::OutOfRange)?;
        if guest.bindings.len() <= pool {
            guest.bindings.resize(pool + 1, None);
        }
        if let Some(Some(binding)) = guest.bindings.get(pool) {
            return Ok(*binding);
        }
        let binding = memory::bind(region, guest.space)?;
        guest.bindings[pool] = Some(binding);
        Ok(binding)
    }

    fn try_map(&mut self, space: Space, at: VirtualPage, frame: Frame, prot: Prot) -> Result<(), Error> {
        let (pool, _, page) = self.pools.find(frame).ok_or(Error::BadRange)?;
        let binding = self.binding(space, pool)?;
        let target = self.space(space).ok_or(Error::OutOfRange)?;
        let address = UserPage::new(at.address()).ok_or(Error::BadRange)?;
        memory::map_pages(target, binding, page, address, Pages(1), rights(prot))
    }
}

#[allow(clippy::cast_possible_truncation, reason = "there are few spaces")]
const fn index(space: Space) -> usize {
    space.0 as usize
}

fn rights(prot: Prot) -> Rights {
    let mut rights = Rights::READ;
    rights.set(Rights::WRITE, prot.contains(Prot::WRITE));
    rights.set(Rights::EXECUTE, prot.contains(Prot::EXECUTE));
    rights
}

/// Runs of pages as the kernel takes them: at most as many as it counts in one word.
fn runs(first: VirtualPage, count: u64, mut act: impl FnMut(UserPage, Pages)) {
    let mut done = 0;
    while done < count {
        let pages = u32::try_from(count - done).unwrap_or(u32::MAX);
        if let Some(address) = UserPage::new(VirtualPage(first.0 + done).address()) {
            act(address, Pages(pages));
        }
        done += u64::from(pages);
    }
}

impl Platform for Machine {
    fn read(&self, frame: Frame, offset: usize, out: &mut [u8]) {
        self.pools.read(frame, offset, out);
    }

    fn write(&mut self, frame: Frame, offset: usize, bytes: &[u8]) {
        self.pools.write(frame, offset, bytes);
    }

    fn lost(&self, frame: Frame) -> bool {
        self.pools.is_lost(frame)
    }

    fn new_space(&mut self) -> Option<Space> {
        if let Some(space) = self.free.pop() {
            return Some(space);
        }
        if self.spaces.len() >= SPACES {
            return None;
        }
        let space = memory::create_from::<AddressSpace>(environment().untyped(), TABLE_PAGES).ok()?;
        self.spaces.push(GuestSpace { space, bindings: Vec::new() });
        u32::try_from(self.spaces.len() - 1).ok().map(Space)
    }

    fn drop_space(&mut self, space: Space) {
        self.free.push(space);
    }

    fn map(&mut self, space: Space, page: VirtualPage, frame: Frame, prot: Prot) -> Result<(), OutOfTables> {
        self.try_map(space, page, frame, prot).map_err(|_| {
            self.pools.probe(frame);
            OutOfTables
        })
    }

    fn unmap(&mut self, space: Space, first: VirtualPage, count: u64) {
        let Some(target) = self.space(space) else { return };
        runs(first, count, |address, pages| {
            memory::unmap_pages(target, address, pages)
                .expect("unmapping within user space is never refused");
        });
    }

    fn protect(&mut self, space: Space, first: VirtualPage, count: u64, prot: Prot) {
        let Some(target) = self.space(space) else { return };
        let rights = rights(prot);
        runs(first, count, |mut address, pages| {
            let mut left = pages.0;
            while left > 0 {
                // A page whose lot was taken is not mapped any more; its fault will tell.
                let done =
                    target.protect(address, Pages(left), rights).map_or(1, |done| done.0.clamp(1, left));
                left -= done;
                match address.checked_add(Pages(done)) {
                    Some(next) => address = next,
                    None => return,
                }
            }
        });
    }

    fn now(&self) -> u64 {
        let nanos = u128::from(time::now().0) * SECOND / self.ticks_per_second;
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    fn epoch(&self) -> u64 {
        EPOCH
    }

    fn console(&mut self, _stream: Stream, bytes: &[u8]) -> usize {
        let mut taken = 0;
        for piece in bytes.chunks(CONSOLE_PIECE) {
            // A ring without room takes nothing; the personality offers the rest again.
            let Ok(length) = page::put_bytes(piece) else { break };
            if self.console.write(length).is_err() {
                break;
            }
            taken += piece.len();
        }
        taken
    }

    fn entropy(&mut self, bytes: &mut [u8]) {
        // There is no source of randomness but the clock yet: splitmix64 over it. Not for keys.
        for chunk in bytes.chunks_mut(8) {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ time::now().0;
            let mut word = self.random;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
    }
}
