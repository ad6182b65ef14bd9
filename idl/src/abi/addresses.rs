//! Where things lie in the address space of the first program of a subOS, and of the programs it starts.

/// The first address that user space may not use.
pub const USER_END: u64 = 0x0000_8000_0000_0000;
/// The start-up page, read-only.
pub const STARTUP_PAGE: u64 = 0x10_0000;
/// The first thread's message page.
pub const MESSAGE_PAGE: u64 = 0x11_0000;
/// The end of the first thread's stack; below the stack is a page that is never mapped.
pub const STACK_TOP: u64 = 0x18_0000;
/// Bytes of the first thread's stack.
pub const STACK_SIZE: u64 = 128 << 10;
/// Where programs are linked.
pub const PROGRAM_BASE: u64 = 0x20_0000;
/// Where a program maps memory that others lent to it: whoever looks after it knows by the address that it is no bug of
/// the program's if nothing is there any more.
pub const LENT_BASE: u64 = 0x6000_0000_0000;
/// The end of it.
pub const LENT_END: u64 = 0x7000_0000_0000;

static_assertions::const_assert!(LENT_END <= USER_END);
static_assertions::const_assert!(MESSAGE_PAGE >= STARTUP_PAGE + super::PAGE_SIZE);
// The message page, then at least one page that stays unmapped, then the stack.
static_assertions::const_assert!(STACK_TOP - STACK_SIZE >= MESSAGE_PAGE + 2 * super::PAGE_SIZE);
static_assertions::const_assert!(PROGRAM_BASE >= STACK_TOP + super::PAGE_SIZE);
