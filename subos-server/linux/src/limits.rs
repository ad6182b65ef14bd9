//! Every bound of the personality in one place, each with its reason.
//!
//! What a program can make the server hold is bounded here by a count, so that no program can
//! exhaust the server's own heap: past a bound the call answers an error that Linux knows.

/// Size of a page and of a frame, in bytes.
pub const PAGE: usize = 4096;
/// [`PAGE`] as the type that addresses have.
pub const PAGE_U64: u64 = 4096;
/// First address a program may not use. Linux leaves the last page of the lower half out as well,
/// because SYSCALL at its very end would return to a non-canonical address.
pub const USER_END: u64 = 0x7fff_ffff_f000;
/// Lowest address that a mapping may take (Linux's `vm.mmap_min_addr`): null stays unmapped.
pub const USER_START: u64 = 0x1_0000;
/// Top of a program's stack.
pub const STACK_TOP: u64 = 0x7fff_ffff_e000;
/// Room kept below the stack's top for it to grow: the default `RLIMIT_STACK`.
pub const STACK_MAX: u64 = 8 << 20;
/// Mappings are placed downwards from here: below the stack and a guard.
pub const MMAP_TOP: u64 = STACK_TOP - STACK_MAX - (1 << 20);
/// Where position-independent programs are loaded (two thirds of the lower half, as on Linux).
pub const DYN_BASE: u64 = 0x5555_5555_4000;
/// Areas in one program's memory map (Linux's `vm.max_map_count`).
pub const MAX_AREAS: usize = 65_530;
/// Page records over all programs: each costs the server about 40 bytes of heap.
pub const MAX_PAGE_RECORDS: usize = 1 << 20;
/// Tasks (threads) over all processes.
pub const MAX_TASKS: usize = 1024;
/// Process identifiers wrap here.
pub const MAX_PID: u32 = 32_768;
/// Open files over all processes.
pub const MAX_OPEN_FILES: usize = 16_384;
/// File descriptors of one process: the hard `RLIMIT_NOFILE`.
pub const MAX_FDS: usize = 1024;
/// Pipes; each may hold [`PIPE_CAPACITY`] bytes of heap.
pub const MAX_PIPES: usize = 512;
/// What a pipe holds before its writer waits, in bytes (pipe(7)).
pub const PIPE_CAPACITY: usize = 65_536;
/// Writes up to this size are not interleaved with others (pipe(7)).
pub const PIPE_BUF: usize = 4096;
/// Nodes of the file tree.
pub const MAX_INODES: usize = 65_536;
/// Largest regular file: bounds the page records one file can need.
pub const MAX_FILE_SIZE: u64 = 1 << 40;
/// Longest name of a directory entry.
pub const NAME_MAX: usize = 255;
/// Longest path, with its final NUL.
pub const PATH_MAX: usize = 4096;
/// Symbolic links followed in one walk (path_resolution(7)).
pub const MAX_LINKS: usize = 40;
/// Bytes of arguments and environment together that `execve` takes.
pub const MAX_ARG_BYTES: usize = 1 << 20;
/// Arguments and environment strings together.
pub const MAX_ARGS: usize = 65_536;
/// Depth of `#!` interpreters of interpreters.
pub const MAX_INTERPRETERS: usize = 4;
/// Program headers that the loader reads.
pub const MAX_SEGMENTS: usize = 64;
/// Real-time signals queued for one task or process.
pub const MAX_QUEUED_SIGNALS: usize = 128;
/// Vectors in one readv or writev (Linux's `UIO_MAXIOV`).
pub const MAX_IOVEC: usize = 1024;
/// Descriptors in one poll or select.
pub const MAX_POLL: usize = 1024;
/// Bytes that one call moves at most before it returns a short count; bounds the time that the
/// server's lock is held.
pub const MAX_TRANSFER: usize = 256 * 1024;
/// Executors (cores) that one server drives.
pub const MAX_EXECUTORS: usize = 64;
/// Nanoseconds that a task runs before another that is ready gets its turn.
pub const SLICE_NANOS: u64 = 10_000_000;
/// Nanoseconds after which output that the console did not take is offered again.
pub const CONSOLE_RETRY_NANOS: u64 = 1_000_000;

static_assertions::const_assert_eq!(PAGE as u64, PAGE_U64);
static_assertions::const_assert!(PIPE_BUF <= PIPE_CAPACITY);
static_assertions::const_assert!(STACK_TOP < USER_END);
static_assertions::const_assert!(MMAP_TOP < STACK_TOP - STACK_MAX);
static_assertions::const_assert!(MAX_TASKS < MAX_PID as usize);
