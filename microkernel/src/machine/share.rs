//! The share that every subOS is born with: what it and the supervisor can both reach, and nothing else.
//!
//! Pages, in this order: *down* (the doorbell and the ring of records towards the subOS), *up* (the same towards
//! the supervisor), the *epitaph* (what the subOS's kernel said when it died), and the *console* (bytes for
//! people). They are system pages: a subOS's kernel maps its own at an address fixed by its number, the
//! supervisor's reaches all of them through its physical map.
//!
//! The other side may be mad. Everything here is atomic, and every index read from memory is an allegation that is
//! masked or bounded before use; the worst that the other side can do is to lose its own messages.

use core::fmt::Write;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

use idl::abi::REGISTER_WORDS;
use static_assertions::const_assert;

use crate::arch::x86_64::{layout, physmap};
use crate::limits::{CONSOLE_BYTES, PAGE};
use crate::sync::bell::{Note, Target};
use crate::sync::mailbox::Line;
use crate::sync::ring::{Ring, WORDS};
use crate::types::{PhysAddr, SubOsId};

pub use crate::sync::ring::{Author, Full};

/// Pages of a share.
pub const PAGES: u64 = 3 + CONSOLE_BYTES / PAGE;
/// Its bytes.
#[allow(clippy::cast_possible_truncation, reason = "it is small")]
pub const BYTES: usize = (PAGES * PAGE) as usize;
/// Address space from one subOS's share to the next.
pub const STRIDE: u64 = 1 << 20;
/// The longest epitaph, in bytes.
pub const EPITAPH_BYTES: usize = 2048;
/// [`CONSOLE_BYTES`] as a length of arrays.
#[allow(clippy::cast_possible_truncation, reason = "it is small")]
const CONSOLE_LENGTH: usize = CONSOLE_BYTES as usize;

const_assert!(PAGES * PAGE <= STRIDE);
const_assert!(size_of::<Direction>() as u64 == PAGE);
const_assert!(size_of::<Epitaph>() as u64 <= PAGE);
const_assert!(WORDS == REGISTER_WORDS);
const_assert!(CONSOLE_BYTES.is_power_of_two());

/// One direction: a doorbell, and a ring of records. One page.
#[repr(C, align(4096))]
pub struct Direction {
    /// Set by the sender, cleared only when the receiver waits.
    pending: Line<Note>,
    /// The receiver's core that is interrupted, plus 1; 0 while it has none. Only the supervisor writes it.
    target: Line<Target>,
    /// Console bytes ever written (in the page up), or ever read (in the page down).
    console: Line<AtomicU64>,
    unused: [AtomicU64; 176],
    /// [`idl::event::Record`]s.
    pub ring: Ring,
}

/// What a subOS's kernel said when it died.
#[repr(C)]
struct Epitaph {
    /// Not 0 as soon as somebody writes here.
    taken: AtomicU64,
    /// 1 and the number of the core on which it died; 0 while it lives.
    died: AtomicU64,
    /// Bytes of text; alleged.
    length: AtomicU64,
    text: [AtomicU8; EPITAPH_BYTES],
}

/// One share, seen from either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    base: u64,
}

impl Share {
    /// The share of a subOS, for that subOS's own kernel. In any other kernel using it faults.
    #[must_use]
    pub const fn own(subos: SubOsId) -> Self {
        Self { base: address(subos) }
    }

    /// The share whose pages begin here, for the supervisor's kernel.
    #[must_use]
    pub fn at(pages: PhysAddr) -> Self {
        Self { base: physmap::pointer::<u8>(pages) as u64 }
    }

    /// What goes to the subOS.
    #[must_use]
    pub fn down(&self) -> &'static Direction {
        // SAFETY: a share's pages are shares from boot on, zeroes are valid, all fields are atomic and only used
        // by shared reference; where they are not mapped, the access faults, which is defined by us.
        unsafe { &*(self.base as *const Direction) }
    }

    /// What goes to the supervisor.
    #[must_use]
    pub fn up(&self) -> &'static Direction {
        // SAFETY: as in `down`.
        unsafe { &*((self.base + PAGE) as *const Direction) }
    }

    fn epitaph(&self) -> &'static Epitaph {
        // SAFETY: as in `down`.
        unsafe { &*((self.base + 2 * PAGE) as *const Epitaph) }
    }

    fn console(&self) -> &'static [AtomicU8; CONSOLE_LENGTH] {
        // SAFETY: as in `down`.
        unsafe { &*((self.base + 3 * PAGE) as *const [AtomicU8; CONSOLE_LENGTH]) }
    }

    /// Whether so many bytes fit into the console. Until its only writer, the subOS's kernel, has written them, the
    /// room only grows.
    #[must_use]
    pub fn console_has_room(&self, bytes: usize) -> bool {
        let written = self.up().console.0.load(Ordering::Relaxed);
        let waiting = written.wrapping_sub(self.down().console.0.load(Ordering::Acquire));
        waiting <= CONSOLE_BYTES && CONSOLE_BYTES - waiting >= bytes as u64
    }

    /// Adds bytes to the console, which has room for them. Says whether the reader had read everything before them, so
    /// that it may be asleep and is to be told.
    #[must_use]
    pub fn write_console(&self, bytes: &[u8]) -> bool {
        let written = self.up().console.0.load(Ordering::Relaxed);
        let mut position = written;
        for byte in bytes {
            if let Some(place) = self.console().get((position % CONSOLE_BYTES) as usize) {
                place.store(*byte, Ordering::Relaxed);
            }
            position = position.wrapping_add(1);
        }
        self.up().console.0.store(position, Ordering::SeqCst);
        // The reader may have caught up in the meantime: what counts is what it had read when it could see the bytes.
        fence(Ordering::SeqCst);
        self.down().console.0.load(Ordering::SeqCst) == written
    }

    /// Takes at most `most` bytes off the console and hands each to `sink`; answers with how many.
    pub fn read_console(&self, most: usize, mut sink: impl FnMut(u8)) -> usize {
        let read = self.down().console.0.load(Ordering::Relaxed);
        // After the last read's index was stored: either the writer sees that index, or this sees its bytes.
        fence(Ordering::SeqCst);
        let written = self.up().console.0.load(Ordering::SeqCst);
        // More than the ring holds is a lie: then what the ring holds is what there is.
        let waiting = usize::try_from(written.wrapping_sub(read).min(CONSOLE_BYTES)).unwrap_or(0);
        let count = waiting.min(most);
        for offset in 0..count as u64 {
            let index = read.wrapping_add(offset) % CONSOLE_BYTES;
            sink(self.console().get(index as usize).map_or(0, |byte| byte.load(Ordering::Relaxed)));
        }
        self.down().console.0.store(read.wrapping_add(count as u64), Ordering::SeqCst);
        count
    }

    /// Records that the subOS's kernel died on this core (its number plus 1, never 0), with what it said, cut where the
    /// room ends. The first death counts. Says whether this was the first.
    pub fn bury(&self, core: u64, words: core::fmt::Arguments<'_>) -> bool {
        let epitaph = self.epitaph();
        let first = epitaph.taken.swap(1, Ordering::SeqCst) == 0;
        if first {
            let mut stone = Stone { epitaph, used: 0 };
            let _ = stone.write_fmt(words);
            epitaph.length.store(stone.used as u64, Ordering::Release);
            epitaph.died.store(core, Ordering::SeqCst);
        }
        first
    }

    /// On which core the subOS's kernel died, if it did; alleged.
    #[must_use]
    pub fn death(&self) -> Option<u64> {
        self.epitaph().died.load(Ordering::SeqCst).checked_sub(1)
    }

    /// Hands each byte of the epitaph of a kernel that died to `sink`; answers with how many there are.
    pub fn read_epitaph(&self, sink: impl FnMut(u8)) -> usize {
        let length = self.epitaph().length.load(Ordering::Acquire);
        let length = usize::try_from(length).unwrap_or(EPITAPH_BYTES).min(EPITAPH_BYTES);
        self.epitaph().text.iter().take(length).map(|byte| byte.load(Ordering::Relaxed)).for_each(sink);
        length
    }
}

/// Writes text into the console, as far as there is room; nobody is told.
impl Write for Share {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        if !self.console_has_room(text.len()) {
            return Err(core::fmt::Error);
        }
        let _ = self.write_console(text.as_bytes());
        Ok(())
    }
}

/// Writes text into an epitaph, as far as there is room.
struct Stone {
    epitaph: &'static Epitaph,
    used: usize,
}

impl Write for Stone {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for (place, byte) in self.epitaph.text.iter().skip(self.used).zip(text.bytes()) {
            place.store(byte, Ordering::Relaxed);
            self.used += 1;
        }
        Ok(())
    }
}

/// Where a subOS's kernel maps its share.
#[must_use]
pub const fn address(subos: SubOsId) -> u64 {
    layout::SHARES + subos.index() as u64 * STRIDE
}

impl Direction {
    /// The doorbell: whether something was sent that the receiver has not waited for yet.
    #[must_use]
    pub const fn note(&self) -> &Note {
        &self.pending.0
    }

    /// The receiver's core that the doorbell interrupts; alleged.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target.0
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    fn low_byte(number: u64) -> u8 {
        number.to_le_bytes()[0]
    }

    fn share() -> Share {
        let pages = std::vec![0_u64; ((PAGES + 1) * PAGE / 8) as usize].leak();
        Share { base: (pages.as_ptr() as u64).next_multiple_of(PAGE) }
    }

    #[test]
    fn of_two_who_die_at_once_one_is_buried() {
        for _ in 0..500 {
            let (share, gate) = (share(), std::sync::Barrier::new(2));
            let die = |core: u64, letter: &str| {
                let words = letter.repeat(EPITAPH_BYTES);
                gate.wait();
                share.bury(core, format_args!("{words}"))
            };
            let first = std::thread::scope(|scope| {
                let other = scope.spawn(|| die(2, "b"));
                (die(1, "a"), other.join().unwrap())
            });
            let (core, letter) = if first.0 { (0, b'a') } else { (1, b'b') };
            assert!(first.0 != first.1, "both were first, or none");
            assert_eq!(share.death(), Some(core));
            let length = share.read_epitaph(|byte| assert_eq!(byte, letter, "of the other's words"));
            assert_eq!(length, EPITAPH_BYTES);
        }
    }

    #[test]
    fn no_byte_of_the_console_waits_unannounced() {
        let share = share();
        let bell = AtomicU64::new(0);
        let total = 200_000_u64;
        let patience = std::time::Duration::from_secs(20);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut sent = 0;
                while sent < total {
                    let count = (sent % 7 + 1).min(total - sent);
                    let bytes: std::vec::Vec<u8> = (sent..sent + count).map(low_byte).collect();
                    if !share.console_has_room(bytes.len()) {
                        std::thread::yield_now();
                        continue;
                    }
                    if share.write_console(&bytes) {
                        bell.store(1, Ordering::SeqCst);
                    }
                    sent += count;
                }
            });
            let mut received = 0_u64;
            while received < total {
                let count = share.read_console(64, |byte| {
                    assert_eq!(byte, low_byte(received));
                    received += 1;
                });
                if count == 0 && received < total {
                    let asleep = std::time::Instant::now();
                    while bell.swap(0, Ordering::SeqCst) == 0 {
                        assert!(asleep.elapsed() < patience, "asleep with {received} of {total} bytes");
                        std::thread::yield_now();
                    }
                }
            }
        });
    }
}
