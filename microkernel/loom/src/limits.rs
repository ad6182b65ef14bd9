//! The kernel's bounds, as small as the models.

/// Cores of a machine.
pub const MAX_CORES: usize = 3;

/// Records of a ring.
pub const RING_RECORDS: u64 = 2;

/// Of those, the ones that only kernels write.
pub const RING_RESERVE: u64 = 1;

/// How often a sender tries for a place while others are quicker.
pub const RING_PATIENCE: u32 = 4;

/// How often a core looks for a free lock before it queues.
pub const LOOKS: u32 = 1;
