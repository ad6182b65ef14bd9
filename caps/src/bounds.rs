//! Every bound of the model, with its reason.

/// How many capabilities a chain of derivation may have. Lookup walks this far while a revoke is in progress,
/// so it is what a lookup may cost at worst.
pub const MAX_DEPTH: u8 = 16;

/// How many effects one step may report: what the kernel keeps on its stack between deciding and performing.
pub const STEP_EFFECTS: usize = 32;

/// How many effects the removal of one capability may have: its own, and that a watched slot became empty.
pub const EFFECTS_PER_REMOVAL: usize = 2;

/// How many free slots of a dying table one unit of work passes: as many as take about as long to look at as one
/// capability takes to remove.
pub const SWEPT_SLOTS: u32 = 32;

/// The binding numbers of one address space run from 1 to this: ten spare bits of a page-table entry, and 0
/// means that no binding allowed the entry.
pub const MAX_BINDING: u16 = 1023;

/// The granule of mappable memory, in bytes.
pub const PAGE: u64 = 4096;

/// How many slots one table may have: 1 MiB of memory.
pub const MAX_TABLE_SLOTS: u32 = 1 << 14;

/// How many slots a Thread's memory begins with, the header included. The kernel keeps there what the thread
/// was configured with and what is on its way to it, since no capability exists outside a slot.
pub const THREAD_SLOTS: u32 = 16;

/// How many slots a Guest's memory begins with, the header included.
pub const GUEST_SLOTS: u32 = 4;

/// Where memory ends that can hold slots, in bytes: a slot is named by a sixty-fourth of its address, in 32 bits.
pub const MAX_MEMORY: u64 = 1 << 38;

const _: () = assert!(STEP_EFFECTS >= 2 * EFFECTS_PER_REMOVAL);
const _: () = assert!(MAX_BINDING < 1 << 10);

/// Bytes of a chunk, the unit in which memory has owners: what one entry of a page directory maps.
pub const CHUNK: u64 = 2 << 20;

/// How many subOSes there can be at once.
pub const MAX_SUBOSES: usize = 32;

/// How many cores the ledger covers.
pub const MAX_CORES: usize = 64;

/// How many lots there can be at once.
pub const MAX_LOTS: usize = 256;

/// How many lots one subOS can have: as many root slots are kept for them.
pub const MAX_LOTS_PER_SUBOS: u8 = 32;

/// How many changes one transaction of the ledger can make.
pub const MAX_CHANGES: usize = 64;

const _: () = assert!(MAX_SUBOSES <= u8::MAX as usize);
const _: () = assert!(MAX_CORES <= u8::MAX as usize);
const _: () = assert!(MAX_LOTS <= u16::MAX as usize);
