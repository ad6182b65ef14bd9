//! What boot hands to those who build the ledger and the first kernel.

use crate::arch::x86_64::half::{CommonParts, KernelHalf};
use crate::arch::x86_64::pages::SystemPages;
use crate::limits::{AREA_STRIDE, MAX_CORES};
use crate::types::{CoreId, PhysAddr};

use super::memory::MemoryMap;

/// The cores of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    /// Memory of the first core's area; the others follow, [`AREA_STRIDE`] apart.
    pub areas: PhysAddr,
    /// How many the firmware named.
    pub count: usize,
    /// Those that answered, one bit each; the others are to be quarantined.
    pub answered: u64,
}

impl Cores {
    /// The memory of a core's area.
    #[must_use]
    pub fn area(&self, core: CoreId) -> PhysAddr {
        self.areas.plus(core.index() as u64 * AREA_STRIDE)
    }

    /// All cores, those that did not answer too.
    pub fn all(&self) -> impl Iterator<Item = CoreId> + use<> {
        (0..).take(self.count.min(MAX_CORES)).map(CoreId)
    }
}

/// All that boot found and made. Whoever gets it runs on the boot stack (64 KiB), interrupts off, with the physical map
/// as subOS 0 has it; all other cores are parked.
#[derive(Debug)]
pub struct BootInfo {
    /// The machine's memory, by chunks.
    pub memory: MemoryMap,
    /// The cores.
    pub cores: Cores,
    /// The boot module: where, and how many bytes. Its chunks belong to subOS 0.
    pub bundle: Option<(PhysAddr, u64)>,
    /// What new kernel halves are made with.
    pub common: CommonParts,
    /// The park root.
    pub park: KernelHalf,
    /// SubOS 0's half: all memory, all core areas.
    pub home: KernelHalf,
    /// What is left of the system pages.
    pub pages: SystemPages,
    /// The rate of the clock.
    pub ticks_per_second: u64,
}
