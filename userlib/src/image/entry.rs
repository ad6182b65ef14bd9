//! Where a program begins, and where each of its threads does.

use core::arch::{asm, global_asm};

use idl::abi::{MESSAGE_PAGE, STACK_SIZE, STACK_TOP};
use idl::startup::Startup;
use idl::{slots, startup};

use crate::block::BLOCK_BYTES;

// A stack is aligned to its size: `block` finds what belongs to a thread by rounding its stack pointer up.
static_assertions::const_assert!(STACK_TOP.is_multiple_of(STACK_SIZE));
static_assertions::const_assert!(BLOCK_BYTES.is_multiple_of(16));

// The kernel starts the first thread with rdi = the start-up page and rsp = the end of the stack. The block at
// the end of the stack gets the message page and the thread's own handle; the rest of it is zero, as fresh
// memory is.
global_asm!(
    ".section .text.entry, \"ax\"",
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "sub rsp, {block}",
    "mov qword ptr [rsp], {page}",
    "mov qword ptr [rsp + 8], {thread}",
    "call {main}",
    "ud2",
    // A thread made by `thread`: rdi = its argument, rsp = its block, which its maker has filled.
    ".globl userlib_thread_entry",
    "userlib_thread_entry:",
    "xor ebp, ebp",
    "call {body}",
    "ud2",
    ".previous",
    block = const BLOCK_BYTES,
    page = const MESSAGE_PAGE,
    thread = const slots::OWN_THREAD.0,
    main = sym first,
    body = sym crate::thread::body,
);

unsafe extern "C" {
    fn userlib_thread_entry();
}

unsafe extern "Rust" {
    /// What `main!` defines.
    safe fn userlib_program();
}

/// The first Rust code of a program.
extern "C" fn first(page: *const Startup) -> ! {
    // SAFETY: rdi at entry is the address of the start-up page, which stays mapped and unchanged.
    let startup: &'static Startup = unsafe { &*page };
    assert!(startup.magic == startup::MAGIC, "the start-up page is not one");
    start_program(startup);
    userlib_program();
    crate::thread::exit()
}

/// Sets up what the library needs before `main`.
pub fn start_program(startup: &'static Startup) {
    crate::environment::install(startup);
}

/// The address at which a thread of this program begins.
pub(crate) fn thread_entry() -> u64 {
    userlib_thread_entry as *const () as u64
}

/// The stack pointer, or something near it.
#[inline(always)]
pub(crate) fn stack_pointer() -> u64 {
    let pointer: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// Finds the calls that led here, innermost first, as the frame pointers say: for each, the address that it would return to.
/// The answer is how many there are. Code that keeps no frame pointers ends the list or is left out of it; whatever a frame
/// pointer is, nothing but this thread's own stack is read.
#[inline(never)]
pub(crate) fn calls(trace: &mut [u64]) -> usize {
    let mut frame: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    let (mut from, mut found) = (stack_pointer(), 0);
    // The block at the end of the stack is no frame.
    let end = (from | (STACK_SIZE - 1)) + 1 - BLOCK_BYTES;
    for place in trace.iter_mut() {
        if frame < from || frame > end - 16 || !frame.is_multiple_of(8) {
            break;
        }
        // SAFETY: aligned, not below the stack pointer and before the end of this stack, which is mapped; nothing else writes it
        // now, and any bits are a number.
        let [next, back] = unsafe { (frame as *const [u64; 2]).read() };
        *place = back;
        found += 1;
        (from, frame) = (frame + 16, next);
    }
    found
}

/// Ends this thread in a way that its fault handler sees: an invalid instruction.
pub(crate) fn halt() -> ! {
    // SAFETY: UD2 does nothing but raise an exception, and the kernel does not resume here unasked.
    unsafe { asm!("2: ud2", "jmp 2b", options(noreturn, nomem, nostack)) }
}

/// Writes to an address, whatever is there; `testing` lets only addresses through at which nothing is.
pub(crate) fn stray_write(address: u64) {
    // SAFETY: nothing of Rust's lies below the start-up page, so whatever this does it does to no value of ours.
    unsafe { asm!("mov qword ptr [{}], 0", in(reg) address, options(nostack, preserves_flags)) };
}
