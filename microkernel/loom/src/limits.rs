//! The kernel's bounds, as small as the models.

/// Cores of a machine.
pub const MAX_CORES: usize = 3;

/// How often a core looks for a free lock before it queues.
pub const LOOKS: u32 = 1;
