//! Which lines of physical memory one core writes and another touches.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::log;

/// Bytes of a cache line, as a power of two.
const LINE: u32 = 6;
/// The most shared lines that are written out; how many there were is always said.
const MOST_SHOWN: usize = 1000;

/// Who touched a line: a bit for each core, and the instruction that did it first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Touched {
    readers: u64,
    writers: u64,
    read_at: u64,
    written_at: u64,
}

impl Touched {
    fn is_shared(&self) -> bool {
        self.writers != 0 && (self.readers | self.writers).count_ones() > 1
    }
}

type Lines = BTreeMap<u64, Touched>;

static LOOKING: AtomicBool = AtomicBool::new(false);
static LINES: Mutex<Lines> = Mutex::new(Lines::new());

/// An access to memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    /// Which core.
    pub(crate) core: u32,
    /// The physical address.
    pub(crate) address: u64,
    /// How many bytes, as a power of two.
    pub(crate) size: u32,
    /// Whether it writes.
    pub(crate) write: bool,
    /// The virtual address of the instruction.
    pub(crate) instruction: u64,
}

/// Whether accesses are of interest now.
#[inline]
pub(crate) fn looking() -> bool {
    LOOKING.load(Relaxed)
}

/// Forgets what was seen and begins to look.
pub(crate) fn begin() {
    LINES.lock().unwrap_or_else(PoisonError::into_inner).clear();
    LOOKING.store(true, Relaxed);
}

/// Notes an access.
pub(crate) fn touch(access: Access) {
    note(&mut LINES.lock().unwrap_or_else(PoisonError::into_inner), access);
}

fn note(lines: &mut Lines, access: Access) {
    let last = access.address.saturating_add((1 << access.size.min(LINE)) - 1);
    let bit = 1_u64.checked_shl(access.core).unwrap_or(0);
    for line in access.address >> LINE..=last >> LINE {
        let touched = lines.entry(line).or_default();
        let (mask, at) = if access.write {
            (&mut touched.writers, &mut touched.written_at)
        } else {
            (&mut touched.readers, &mut touched.read_at)
        };
        if *mask == 0 {
            *at = access.instruction;
        }
        *mask |= bit;
    }
}

/// Stops looking and writes what is shared.
pub(crate) fn end() {
    LOOKING.store(false, Relaxed);
    let lines = std::mem::take(&mut *LINES.lock().unwrap_or_else(PoisonError::into_inner));
    let shared = || lines.iter().filter(|(_, touched)| touched.is_shared());
    for (line, touched) in shared().take(MOST_SHOWN) {
        log::line(format_args!(
            "shared {:#x} readers {:#x} writers {:#x} read-at {:#x} written-at {:#x}",
            line << LINE,
            touched.readers,
            touched.writers,
            touched.read_at,
            touched.written_at
        ));
    }
    log::line(format_args!("sharing lines {} shared {}", lines.len(), shared().count()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(core: u32, address: u64, write: bool) -> Access {
        Access { core, address, size: 3, write, instruction: 0x1000 + u64::from(core) }
    }

    #[test]
    fn a_line_is_shared_when_one_writes_and_another_touches() {
        let mut lines = Lines::new();
        for (core, address, write) in
            [(0, 0x100, true), (0, 0x108, false), (1, 0x140, false), (2, 0x140, false)]
        {
            note(&mut lines, access(core, address, write));
        }
        assert!(lines.values().all(|touched| !touched.is_shared()), "own data and what all only read");
        note(&mut lines, access(1, 0x138, false));
        let shared: Vec<_> = lines.iter().filter(|(_, touched)| touched.is_shared()).collect();
        let expected = Touched { readers: 3, writers: 1, read_at: 0x1000, written_at: 0x1000 };
        assert_eq!(shared, [(&4, &expected)]);
    }

    #[test]
    fn an_access_across_two_lines_touches_both() {
        let mut lines = Lines::new();
        note(&mut lines, access(0, 0x13c, true));
        assert_eq!(lines.keys().copied().collect::<Vec<_>>(), [4, 5]);
    }
}
