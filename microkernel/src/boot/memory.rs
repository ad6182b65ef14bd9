//! The machine's memory by chunks: which are free, which are not and why.

use heapless::Vec;

use crate::limits::{BOOT_MAPPED, CHUNK, MAX_PHYSICAL, MAX_RANGES};
use crate::types::PhysAddr;

use super::firmware::{Range, RangeKind};

/// What a chunk is at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkClass {
    /// No memory there at all.
    Absent,
    /// Partly used by firmware, or the image's, or the first chunk with the trampoline: reserved for ever.
    Reserved,
    /// Set aside for core areas and system pages.
    System,
    /// Holds the boot module: subOS 0's.
    Bundle,
    /// Free.
    Free,
}

/// The machine's memory.
#[derive(Clone, Debug)]
pub struct MemoryMap {
    ranges: Vec<Range, MAX_RANGES>,
    image: (u64, u64),
    system: (u64, u64),
    bundle: (u64, u64),
}

const fn overlaps(chunk: u64, range: (u64, u64)) -> bool {
    range.0 < range.1 && chunk < range.1 && range.0 < chunk + CHUNK
}

impl MemoryMap {
    /// A map of the firmware's ranges, with what the image and the boot module take.
    #[must_use]
    pub fn new(
        ranges: Vec<Range, MAX_RANGES>,
        image: (PhysAddr, PhysAddr),
        bundle: Option<(PhysAddr, u64)>,
    ) -> MemoryMap {
        let bundle = bundle.map_or((0, 0), |(start, length)| (start.0, start.0.saturating_add(length)));
        MemoryMap { ranges, image: (image.0.0, image.1.0), system: (0, 0), bundle }
    }

    /// How many chunks the map speaks of: those up to the last usable byte.
    #[must_use]
    pub fn chunk_count(&self) -> u64 {
        let usable = self.ranges.iter().filter(|range| range.kind == RangeKind::Usable);
        let end = usable.map(|range| range.end).max().unwrap_or(0);
        end.min(MAX_PHYSICAL).div_ceil(CHUNK)
    }

    /// What the chunk with this number is.
    #[must_use]
    pub fn class_of(&self, number: u64) -> ChunkClass {
        let start = number * CHUNK;
        let usable: u64 = self.covered(start, RangeKind::Usable);
        let tables = self.covered(start, RangeKind::Acpi);
        let reserved = self.covered(start, RangeKind::Reserved);
        if usable + tables == 0 {
            ChunkClass::Absent
        } else if number == 0 || overlaps(start, self.image) {
            ChunkClass::Reserved
        } else if overlaps(start, self.system) {
            ChunkClass::System
        } else if overlaps(start, self.bundle) {
            // Also where firmware has the rest of the chunk: it is memory, and the module must stay reachable.
            ChunkClass::Bundle
        } else if usable == CHUNK && reserved == 0 && tables == 0 {
            ChunkClass::Free
        } else {
            ChunkClass::Reserved
        }
    }

    fn covered(&self, chunk: u64, kind: RangeKind) -> u64 {
        let of_kind = self.ranges.iter().filter(|range| range.kind == kind);
        of_kind
            .map(|range| range.end.min(chunk + CHUNK).saturating_sub(range.start.max(chunk)))
            .sum::<u64>()
            .min(CHUNK)
    }

    /// Sets aside the first free run of so many chunks among those that boot maps, as system chunks. Once.
    pub fn set_aside(&mut self, chunks: u64) -> Option<PhysAddr> {
        let last = self.chunk_count().min(BOOT_MAPPED / CHUNK);
        let mut run = 0;
        for number in 0..last {
            run = if self.class_of(number) == ChunkClass::Free { run + 1 } else { 0 };
            if run == chunks {
                let start = (number + 1 - chunks) * CHUNK;
                self.system = (start, start + chunks * CHUNK);
                return Some(PhysAddr(start));
            }
        }
        None
    }

    /// How many bytes of memory there are, all classes but absent.
    #[must_use]
    pub fn total(&self) -> u64 {
        let usable = self.ranges.iter().filter(|range| range.kind != RangeKind::Reserved);
        usable.map(|range| range.end.saturating_sub(range.start)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(ranges: &[(u64, u64, RangeKind)], bundle: Option<(PhysAddr, u64)>) -> MemoryMap {
        let ranges = ranges.iter().map(|&(start, end, kind)| Range { start, end, kind }).collect();
        MemoryMap::new(ranges, (PhysAddr(CHUNK), PhysAddr(CHUNK + 0x40000)), bundle)
    }

    #[test]
    fn chunks_are_classed_as_a_pc_has_them() {
        use RangeKind::{Acpi, Reserved, Usable};
        let bundle = Some((PhysAddr(8 * CHUNK + 0x1000), CHUNK));
        let mut map = map(
            &[
                (0, 0x9fc00, Usable),
                (0x9fc00, 0x100000, Reserved),
                (0x100000, 10 * CHUNK - 0x21000, Usable),
                (10 * CHUNK - 0x21000, 10 * CHUNK, Acpi),
                (0xfff0_0000, 0x1_0000_0000, Reserved),
            ],
            bundle,
        );
        assert_eq!(map.chunk_count(), 10);
        assert_eq!(map.set_aside(3), Some(PhysAddr(2 * CHUNK)));
        let classes: std::vec::Vec<_> = (0..11).map(|number| map.class_of(number)).collect();
        use ChunkClass::{Absent, Bundle, Free, Reserved as R, System};
        assert_eq!(classes, [R, R, System, System, System, Free, Free, Free, Bundle, Bundle, Absent]);
        assert_eq!(map.set_aside(100), None);
    }
}
