//! Every bound of the kernel, with its reason, and how the bounds relate.

use static_assertions::const_assert;

/// A page of memory, in bytes.
pub const PAGE: u64 = 4096;

/// The same as a length of slices.
#[allow(clippy::cast_possible_truncation, reason = "4096 fits")]
pub const PAGE_BYTES: usize = PAGE as usize;

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
pub const REVOKE_BUDGET: u32 = 10;

/// Removals that can be under way in one kernel. One that does not end in a step is remembered, so that somebody ends it.
pub const REMOVALS: usize = 24;

/// Of those, how many programs may begin, so that the supervisor's have room. It may ask for more at once than that, a lot
/// or a core each: those are not begun before others have ended, and go on when it asks again.
pub const PROGRAM_REMOVALS: usize = 16;

/// Entries of a page table that one step of an unbinding scan looks at.
pub const SCAN_BUDGET: usize = 128;

/// Pages that one step of a reset clears at most.
pub const CLEAR_BUDGET: u64 = 4;

/// Pages that one map or unmap call treats at most.
pub const MAP_BUDGET: u64 = 64;

/// The same of a protect call, which looks at the binding of each.
pub const PROTECT_BUDGET: u64 = 16;

/// Deadlines that one timer interrupt expires at most; the next ones follow at once.
pub const EXPIRE_BUDGET: u32 = 16;

/// Callers that the end of an endpoint wakes in one step at most.
pub const CANCEL_BUDGET: u32 = 16;

/// Slots of the table that a subOS's first server starts with.
pub const INIT_SLOTS: u32 = 1024;

/// Pages for page tables that the space of a subOS's first program gets, beyond what its program takes: 256 MiB
/// of mappings.
pub const SPACE_PAGES: u64 = 128 + 32;

/// Bytes of the console that every subOS is born with.
pub const CONSOLE_BYTES: u64 = 16 * PAGE;

/// Records of each ring between a subOS and its supervisor.
pub const RING_RECORDS: u64 = 32;

/// Of those, the last ones that only kernels write, so that no program can keep events out.
pub const RING_RESERVE: u64 = 8;

/// How often a sender tries for a place in a ring while others are quicker. Two or three cores send into one; somebody
/// who changes the ring all the time is mad, and is not waited for.
pub const RING_PATIENCE: u32 = 64;

/// Memory lots of all subOSes together.
pub const LEDGER_LOTS: usize = caps::bounds::MAX_LOTS;

/// Chunks of subOS 0's home lot: 64 MiB.
pub const HOME_CHUNKS: u32 = 32;

/// On a small machine the home lot of subOS 0 is this part of what is free.
pub const HOME_SHARE: u32 = 4;

/// How long a visitor waits for a kernel's lock, in microseconds. A kernel holds its lock for a bounded number of
/// instructions, some ten microseconds; the rest is for an emulator on a busy host, which stops cores for long.
pub const VISIT_MICROSECONDS: u64 = 1_000_000;

/// How often a core looks for a free lock before it queues. Handing the lock over at every release, to a core that
/// may not even run, makes a convoy of virtual cores: measured, two cores of 25,000 calls a second fell to 100
/// when the host had fewer cores free than the machine has. Who merely looks leaves the others going; who has looked for
/// so long queues, and is served in its turn.
pub const LOOKS: u32 = 20_000;

/// How long a core has to answer an interrupt that takes it away, in microseconds; for the same reason.
pub const PARK_MICROSECONDS: u64 = 1_000_000;

/// How much of that counts at most between two looks of who waits, in microseconds: more, and he did not run himself. Who
/// waits for a lock looks all the time, who waits for a core that is to park with each call of the supervisor's.
pub const LOOK_MICROSECONDS: u64 = 1_000;

/// How long an operation waits for another core before it lets its caller ask again, in microseconds.
pub const BRIEF_MICROSECONDS: u64 = 50;

/// Steps of a reclaim that one call takes at most.
pub const VISIT_STEPS: u32 = 16;

/// Pages that an operation of the supervisor clears or copies before interrupts are looked for: 16 KiB.
pub const SCRUB_BUDGET: u64 = 4;

/// Pages that one call clears at most, if no interrupt comes: 64 MiB, some milliseconds.
pub const SCRUB_MOST: u64 = 4096 * SCRUB_BUDGET;

/// Pages that one call copies to a new subOS at most.
pub const COPY_BUDGET: u64 = 64;

/// Slots of the root table: slot 0, one a core, one a lot.
pub const ROOT_SLOTS: u32 = 128;

/// Most usable or reserved ranges taken from the firmware's memory map; real machines have 10 to 40.
pub const MAX_RANGES: usize = 64;

/// Chunks set aside at boot for tables of kernel halves, share pages and the ledger. A subOS needs about a dozen
/// such pages and the ledger a few words a chunk, so this is ample.
pub const SYSTEM_PAGE_CHUNKS: u64 = 4;

/// Address space from one core's area to the next; a power of two, so that an area is found from any stack
/// pointer inside it.
pub const AREA_STRIDE: u64 = 128 << 10;

/// The kernel stack of a core.
pub const KERNEL_STACK: u64 = 16 << 10;

/// Each interrupt stack of a core.
pub const INTERRUPT_STACK: u64 = 8 << 10;

/// The stack that boot runs on, in the image.
pub const BOOT_STACK: u64 = 64 << 10;

/// Physical memory that the kernel can address: one entry of the page root.
pub const MAX_PHYSICAL: u64 = 512 << 30;

/// Physical memory that the boot page tables map: boot allocates only below it.
pub const BOOT_MAPPED: u64 = 4 << 30;

/// Trace events kept per core.
pub const TRACE_EVENTS: usize = 64;

const_assert!(MAX_CORES <= 64 && MAX_CORES.is_power_of_two());
const_assert!(TRACE_EVENTS.is_power_of_two());
const_assert!(1 + MAX_CORES + MAX_LOTS <= ROOT_SLOTS as usize);
const_assert!(PRIORITIES <= 16);
const_assert!(PROGRAM_REMOVALS < REMOVALS);
const_assert!(RING_RECORDS.is_power_of_two() && RING_RESERVE < RING_RECORDS);
const_assert!(CHUNK.is_multiple_of(PAGE));
const_assert!(AREA_STRIDE.is_power_of_two());
const_assert!(CHUNK.is_multiple_of(AREA_STRIDE));
const_assert!(BOOT_MAPPED <= MAX_PHYSICAL);
// An area holds the kernel stack, four interrupt stacks and four data pages, each with guard pages around it.
const_assert!(KERNEL_STACK + 4 * INTERRUPT_STACK + 13 * PAGE <= AREA_STRIDE);
