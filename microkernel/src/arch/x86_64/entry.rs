//! Every way into the kernel and the one way out, in assembly. Steps 1 and 11 of the path of a system call.
//!
//! GS points to this core's [`Core`](super::core::Core) while in the kernel and to the user's base outside; exactly the
//! entries from user mode and the exit swap. What arrives in kernel mode is either an interrupt that the idle loop or
//! the park loop let in (noted and ended), or a bug (never returns). NMI, double fault and machine check
//! may come anywhere, so they find the core's area from their own stack and trust nothing else.
//!
//! References: SDM vol 2 (SYSCALL, SYSRET, SWAPGS, IRET), vol 3 chapter 6.

use core::arch::global_asm;
use core::mem::offset_of;

use super::area;
use super::core::{CORE_FRAME, CORE_SCRATCH, CORE_STACK_TOP, CORE_THIS};
use super::frame::{Frame, FrameFlags, FxArea};
use super::segments::{USER_CODE, USER_DATA};
use crate::entry::enter::{kernel_called, kernel_enter, kernel_fatal, kernel_interrupted, kernel_nmi};
use crate::limits::AREA_STRIDE;

/// What `kernel_enter` gets instead of a vector on a fresh stack after parking.
pub(crate) const ARRIVED: u64 = 256;
/// What it gets on a fresh stack after a visit failed.
pub(crate) const VISIT_FAILED: u64 = 257;

/// Distance between two entry stubs.
pub(super) const STUB_STRIDE: u64 = 16;
/// Vector and x87 state that holds nothing, with all exceptions masked.
pub(super) static INITIAL_FX: FxArea = FxArea::INITIAL;

global_asm!(
    r#"
    .text
    // stores into the frame that rax points to
    .macro SAVE_REGISTERS
    movq %rbx, {RBX}(%rax)
    movq %rbp, {RBP}(%rax)
    movq %r12, {R12}(%rax)
    movq %r13, {R13}(%rax)
    movq %r14, {R14}(%rax)
    movq %r15, {R15}(%rax)
    movq %rdi, {RDI}(%rax)
    movq %rsi, {RSI}(%rax)
    movq %rdx, {RDX}(%rax)
    movq %r10, {R10}(%rax)
    movq %r8, {R8}(%rax)
    movq %r9, {R9}(%rax)
    .endm
    // loads what SAVE_REGISTERS stored
    .macro LOAD_REGISTERS
    movq {RBX}(%rax), %rbx
    movq {RBP}(%rax), %rbp
    movq {R12}(%rax), %r12
    movq {R13}(%rax), %r13
    movq {R14}(%rax), %r14
    movq {R15}(%rax), %r15
    movq {RDI}(%rax), %rdi
    movq {RSI}(%rax), %rsi
    movq {RDX}(%rax), %rdx
    movq {R10}(%rax), %r10
    movq {R8}(%rax), %r8
    movq {R9}(%rax), %r9
    .endm
    // what a function call may clobber
    .macro PUSH_SCRATCH
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    .endm
    .macro POP_SCRATCH
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rax
    .endm

    // rdi = this core's struct, from any stack pointer inside its area
    .macro FIND_CORE
    movq %rsp, %rdi
    andq $-{STRIDE}, %rdi
    addq ${CORE_PAGE}, %rdi
    .endm
    // calls with the stack aligned as the convention demands, whatever it was
    .macro CALL_ALIGNED target
    pushq %rbp
    movq %rsp, %rbp
    andq $-16, %rsp
    call \target
    movq %rbp, %rsp
    popq %rbp
    .endm

    // ---- SYSCALL: rcx = rip, r11 = rflags, interrupts off by FMASK ----------------------------------------------
    .global syscall_entry
    .balign 64
syscall_entry:
    swapgs
    movq %rsp, %gs:{SCRATCH}
    movq %gs:{STACK_TOP}, %rsp
    pushq %rax
    movq %gs:{FRAME}, %rax
    SAVE_REGISTERS
    movq %rcx, {RIP}(%rax)
    movq %r11, {RFLAGS}(%rax)
    movq %rcx, {RCX}(%rax)
    movq %r11, {R11}(%rax)
    popq %rcx
    movq %rcx, {RAX}(%rax)
    movq %gs:{SCRATCH}, %rcx
    movq %rcx, {RSP}(%rax)
    orq ${VIA_SYSCALL}, {FLAGS}(%rax)
    testb ${KEEP_VECTORS}, {FLAGS}(%rax)
    jnz 2f
1:  movq %gs:{THIS}, %rdi
    xorl %ebp, %ebp
    call {kernel_called}
    jmp leave
2:  fxsave64 {FX}(%rax)
    jmp 1b

    // ---- one stub per vector ------------------------------------------------------------------------------------
    .global trap_stubs
    .balign 16
trap_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if (vector == 8) || (vector == 10) || (vector == 11) || (vector == 12) || (vector == 13) || (vector == 14) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
    .else
    pushq $0
    .endif
    pushq $vector
    .if vector == 2
    jmp nmi
    .elseif (vector == 8) || (vector == 18)
    jmp fatal
    .else
    jmp trap
    .endif
    .set vector, vector + 1
    .endr

    // ---- interrupts and exceptions: vector, error, rip, cs, rflags, rsp, ss on the stack --------------------------
    .balign 64
trap:
    testb $3, 24(%rsp)
    jz trap_in_kernel
    swapgs
    pushq %rax
    movq %gs:{FRAME}, %rax
    SAVE_REGISTERS
    movq %rcx, {RCX}(%rax)
    movq %r11, {R11}(%rax)
    popq %rcx
    movq %rcx, {RAX}(%rax)
    popq %rsi                       // vector
    movq %rsi, {VECTOR}(%rax)
    popq %rcx
    movq %rcx, {ERROR}(%rax)
    popq %rcx
    movq %rcx, {RIP}(%rax)
    popq %rcx                       // cs: always the user's
    popq %rcx
    movq %rcx, {RFLAGS}(%rax)
    popq %rcx
    movq %rcx, {RSP}(%rax)
    andq $~{VIA_SYSCALL}, {FLAGS}(%rax)
    fxsave64 {FX}(%rax)
    cmpl $14, %esi
    jne 1f
    movq %cr2, %rcx
    movq %rcx, {CR2}(%rax)
1:  movq %gs:{STACK_TOP}, %rsp      // off the interrupt stack, if on one
    pushq $2
    popfq                           // AC, DF, NT and the rest off: an interrupt gate leaves them
    movq %gs:{THIS}, %rdi
    xorl %ebp, %ebp
    call {kernel_enter}

    // ---- the way out: rax = frame, checked and sanitised ----------------------------------------------------------
leave:
    testb ${VIA_SYSCALL}, {FLAGS}(%rax)
    jz leave_by_iret
    testb ${KEEP_VECTORS}, {FLAGS}(%rax)
    jnz 2f
    // Whoever ran before left x87 and MMX registers too, which are not saved by a system call either.
    fxrstor64 {initial_fx}(%rip)
1:  LOAD_REGISTERS
    movq {RIP}(%rax), %rcx
    movq {RFLAGS}(%rax), %r11
    movq {RSP}(%rax), %rsp          // from here on only NMI, double fault and machine check can come, on own stacks
    movq {RAX}(%rax), %rax
    swapgs
    sysretq
2:  fxrstor64 {FX}(%rax)
    jmp 1b

leave_by_iret:
    fxrstor64 {FX}(%rax)
    movq %gs:{STACK_TOP}, %rsp
    pushq ${USER_DATA}
    pushq {RSP}(%rax)
    pushq {RFLAGS}(%rax)
    pushq ${USER_CODE}
    pushq {RIP}(%rax)
    LOAD_REGISTERS
    movq {RCX}(%rax), %rcx
    movq {R11}(%rax), %r11
    movq {RAX}(%rax), %rax
    swapgs
    iretq

    // ---- kernel mode: an interrupt that was let in, or a bug ------------------------------------------------------
trap_in_kernel:
    cmpq $32, (%rsp)
    jb fatal
    PUSH_SCRATCH
    cld
    movq 72(%rsp), %rsi
    movq %gs:{THIS}, %rdi
    CALL_ALIGNED {kernel_interrupted}
    POP_SCRATCH
    addq $16, %rsp
    iretq

    // ---- never returns: the core's area is found from the stack, GS is made right ---------------------------------
fatal:
    movq %rsp, %rbx
    FIND_CORE
    movq %rdi, %r12
    movq %rdi, %rdx
    shrq $32, %rdx
    movl %edi, %eax
    movl $0xc0000101, %ecx          // GS base
    wrmsr
    movq %r12, %rdi
    movq %rbx, %rsi                 // vector, error, rip, cs, rflags, rsp, ss
    movq %cr2, %rdx
    andq $-16, %rsp
    xorl %ebp, %ebp
    call {kernel_fatal}
    ud2

    // ---- NMI: parks if the mailbox says that this core is condemned, else it was not ours and goes back -----------
nmi:
    PUSH_SCRATCH
    cld
    FIND_CORE
    pushq %rbp
    movq %rsp, %rbp
    subq $512, %rsp
    andq $-16, %rsp
    fxsave64 (%rsp)                 // whatever was interrupted had vector registers in use
    call {kernel_nmi}
    fxrstor64 (%rsp)
    movq %rbp, %rsp
    popq %rbp
    POP_SCRATCH
    addq $16, %rsp
    iretq

    // ---- rdi = stack top, rsi = core, rdx = cause, rcx = page root --------------------------------------------------
    .global start_on_kernel_stack
start_on_kernel_stack:
    movq %rcx, %cr3
    movq %rdi, %rsp
    movq %rsi, %rdi
    movl %edx, %esi
    pushq $2
    popfq
    xorl %ebp, %ebp
    call {kernel_enter}
    jmp leave
    "#,
    RAX = const offset_of!(Frame, registers.rax),
    RBX = const offset_of!(Frame, registers.rbx),
    RCX = const offset_of!(Frame, registers.rcx),
    RDX = const offset_of!(Frame, registers.rdx),
    RSI = const offset_of!(Frame, registers.rsi),
    RDI = const offset_of!(Frame, registers.rdi),
    RBP = const offset_of!(Frame, registers.rbp),
    R8 = const offset_of!(Frame, registers.r8),
    R9 = const offset_of!(Frame, registers.r9),
    R10 = const offset_of!(Frame, registers.r10),
    R11 = const offset_of!(Frame, registers.r11),
    R12 = const offset_of!(Frame, registers.r12),
    R13 = const offset_of!(Frame, registers.r13),
    R14 = const offset_of!(Frame, registers.r14),
    R15 = const offset_of!(Frame, registers.r15),
    RSP = const offset_of!(Frame, registers.rsp),
    RIP = const offset_of!(Frame, registers.rip),
    RFLAGS = const offset_of!(Frame, registers.rflags),
    VECTOR = const offset_of!(Frame, vector),
    ERROR = const offset_of!(Frame, error),
    CR2 = const offset_of!(Frame, cr2),
    FLAGS = const offset_of!(Frame, flags),
    FX = const offset_of!(Frame, fx),
    VIA_SYSCALL = const FrameFlags::VIA_SYSCALL.bits(),
    KEEP_VECTORS = const FrameFlags::KEEP_VECTORS.bits(),
    THIS = const CORE_THIS,
    FRAME = const CORE_FRAME,
    SCRATCH = const CORE_SCRATCH,
    STACK_TOP = const CORE_STACK_TOP,
    STRIDE = const AREA_STRIDE,
    CORE_PAGE = const area::CORE_PAGE,
    initial_fx = sym INITIAL_FX,
    USER_DATA = const USER_DATA,
    USER_CODE = const USER_CODE,
    kernel_called = sym kernel_called,
    kernel_enter = sym kernel_enter,
    kernel_interrupted = sym kernel_interrupted,
    kernel_fatal = sym kernel_fatal,
    kernel_nmi = sym kernel_nmi,
    options(att_syntax)
);
