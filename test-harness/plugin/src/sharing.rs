//! Which lines of physical memory one core writes and another touches.
//!
//! Each core has a table of its own, so cores that run at once do not wait for each other; the tables are put
//! together when the looking ends. Which core belongs to whom, and what may be shared, is for the harness to say.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{counts, log};

/// Bytes of a cache line, as a power of two.
const LINE: u32 = 6;
/// Instructions from here on are in the upper half of the address space: a kernel's.
const UPPER_HALF: u64 = 1 << 63;

/// What one core did with a line, and the instructions that did so first; 0 where none did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Touches {
    reads: u64,
    writes: u64,
    read_at: u64,
    written_at: u64,
}

/// Spreads line numbers, which are dense, over the table: nobody chooses them to collide.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_right(32);
    }
}

type Lines = HashMap<u64, Touches, BuildHasherDefault<Spread>>;

/// What one core did.
struct Table {
    lines: Lines,
    accesses: u64,
    /// Those of them that instructions of the upper half made.
    upper: u64,
}

impl Table {
    const fn new() -> Self {
        Self { lines: Lines::with_hasher(BuildHasherDefault::new()), accesses: 0, upper: 0 }
    }
}

static LOOKING: AtomicBool = AtomicBool::new(false);
static TABLES: [Mutex<Table>; counts::CORES] = [const { Mutex::new(Table::new()) }; counts::CORES];

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

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets what was seen and begins to look.
pub(crate) fn begin() {
    TABLES.iter().for_each(|table| *lock(table) = Table::new());
    LOOKING.store(true, Relaxed);
}

/// Notes an access.
pub(crate) fn touch(access: Access) {
    if let Some(table) = TABLES.get(access.core as usize) {
        note(&mut lock(table), access);
    }
}

fn note(table: &mut Table, access: Access) {
    table.accesses += 1;
    table.upper += u64::from(access.instruction >= UPPER_HALF);
    let last = access.address.saturating_add((1 << access.size.min(LINE)) - 1);
    for line in access.address >> LINE..=last >> LINE {
        let touches = table.lines.entry(line).or_default();
        let (count, at) = if access.write {
            (&mut touches.writes, &mut touches.written_at)
        } else {
            (&mut touches.reads, &mut touches.read_at)
        };
        if *count == 0 {
            *at = access.instruction;
        }
        *count += 1;
    }
}

/// Stops looking and writes what each core did with the lines that are shared, and how much it did in all.
pub(crate) fn end(cores: usize) {
    LOOKING.store(false, Relaxed);
    let tables: Vec<Table> =
        TABLES.iter().take(cores).map(|table| std::mem::replace(&mut *lock(table), Table::new())).collect();
    let (lines, shared) = shared(&tables);
    for line in &shared {
        for (core, touches) in tables.iter().map(|table| table.lines.get(line)).enumerate() {
            let Some(Touches { reads, writes, read_at, written_at }) = touches else { continue };
            log::line(format_args!(
                "shared {:#x} core {core} reads {reads} writes {writes} read-at {read_at:#x} written-at {written_at:#x}",
                line << LINE
            ));
        }
    }
    for (core, table) in tables.iter().enumerate() {
        log::line(format_args!(
            "touched core {core} lines {} accesses {} upper {}",
            table.lines.len(),
            table.accesses,
            table.upper
        ));
    }
    log::line(format_args!("sharing lines {lines} shared {}", shared.len()));
}

/// How many lines were touched, and those that one core wrote and another touched, in order.
fn shared(tables: &[Table]) -> (usize, Vec<u64>) {
    /// How many cores touched a line, and whether any of them wrote.
    #[derive(Default)]
    struct Together {
        cores: u32,
        written: bool,
    }
    let mut all: HashMap<u64, Together, BuildHasherDefault<Spread>> = HashMap::default();
    for (line, touches) in tables.iter().flat_map(|table| &table.lines) {
        let together = all.entry(*line).or_default();
        together.cores += 1;
        together.written |= touches.writes > 0;
    }
    let count = all.len();
    let is_shared =
        |(line, together): (u64, Together)| (together.written && together.cores > 1).then_some(line);
    let mut shared: Vec<u64> = all.into_iter().filter_map(is_shared).collect();
    shared.sort_unstable();
    (count, shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(core: u32, address: u64, write: bool) -> Access {
        Access { core, address, size: 3, write, instruction: 0x1000 + u64::from(core) }
    }

    fn tables(accesses: &[Access]) -> Vec<Table> {
        let mut tables: Vec<Table> = (0..4).map(|_| Table::new()).collect();
        for access in accesses {
            note(&mut tables[access.core as usize], *access);
        }
        tables
    }

    #[test]
    fn a_line_is_shared_when_one_writes_and_another_touches() {
        let own = [(0, 0x100, true), (0, 0x108, false), (1, 0x140, false), (2, 0x140, false)]
            .map(|(core, at, w)| access(core, at, w));
        assert_eq!(shared(&tables(&own)), (2, vec![]), "own data and what all only read");
        let mut all = own.to_vec();
        all.push(access(1, 0x138, false));
        let tables = tables(&all);
        assert_eq!(shared(&tables), (2, vec![4]));
        let first = Touches { reads: 1, writes: 1, read_at: 0x1000, written_at: 0x1000 };
        let second = Touches { reads: 1, writes: 0, read_at: 0x1001, written_at: 0 };
        assert_eq!((tables[0].lines.get(&4), tables[1].lines.get(&4)), (Some(&first), Some(&second)));
    }

    #[test]
    fn an_access_across_two_lines_touches_both_and_counts_once() {
        let mut table = Table::new();
        note(&mut table, access(0, 0x13c, true));
        let mut lines: Vec<u64> = table.lines.keys().copied().collect();
        lines.sort_unstable();
        assert_eq!((lines, table.accesses, table.upper), (vec![4, 5], 1, 0));
        note(&mut table, Access { instruction: UPPER_HALF, ..access(0, 0x100, false) });
        assert_eq!((table.accesses, table.upper), (2, 1));
    }
}
