//! Every bound of the kernel, with its reason, and how the bounds relate.

use static_assertions::const_assert;

/// A page of memory, in bytes.
pub const PAGE: u64 = 4096;

/// A chunk: the unit in which the ledger gives memory out, one large page (2 MiB).
pub const CHUNK: u64 = 2 << 20;

/// Cores of a machine. One bit each in a word is what the lock, the flush board and the ledger count on.
pub const MAX_CORES: usize = 64;

/// SubOSes at a time, the supervisor's among them.
pub const MAX_SUBOSES: usize = 32;

/// Memory lots of one subOS, its home lot among them: what its root table has slots for.
pub const MAX_LOTS: usize = 32;

/// Thread priorities: enough to tell drivers, servers, programs and idle work apart, small enough that moving a
/// core's queues, which costs one step a priority, stays cheap.
pub const PRIORITIES: usize = 16;

/// How long a thread runs before another of the same priority does, in microseconds.
pub const SLICE_MICROSECONDS: u64 = 2_000;

/// Capabilities that one revoke step removes at most.
pub const REVOKE_BUDGET: u32 = 16;

/// Pages of page tables that one step of an unbinding scan visits at most.
pub const SCAN_BUDGET: u32 = 2;

/// Pages that one step of a reset clears at most.
pub const CLEAR_BUDGET: u64 = 8;

/// Pages that one map, unmap or protect call treats at most.
pub const MAP_BUDGET: u64 = 64;

/// Deadlines that one timer interrupt expires at most; the next ones follow at once.
pub const EXPIRE_BUDGET: u32 = 16;

/// Callers that the end of an endpoint wakes in one step at most.
pub const CANCEL_BUDGET: u32 = 16;

/// Slots of the table that a subOS's first server starts with.
pub const INIT_SLOTS: u32 = 1024;

/// Slots of the root table: slot 0, one a core, one a lot.
pub const ROOT_SLOTS: u32 = 128;

const_assert!(MAX_CORES <= 64);
const_assert!(1 + MAX_CORES + MAX_LOTS <= ROOT_SLOTS as usize);
const_assert!(PRIORITIES <= 16);
const_assert!(CHUNK.is_multiple_of(PAGE));
