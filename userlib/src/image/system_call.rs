//! The instruction that enters the kernel.

use core::arch::asm;

/// What goes in and what comes back, in the order of the ABI.
pub(crate) struct Raw {
    /// rax: the op word, then the result word.
    pub(crate) op: u64,
    /// rdi: the handle, then the badge.
    pub(crate) handle: u64,
    /// rsi, rdx, r10, r8, r9.
    pub(crate) words: [u64; 5],
}

/// Enters the kernel.
#[inline(always)]
pub(crate) fn raw(call: Raw, deadline: u64, second: u64) -> Raw {
    let Raw { mut op, mut handle, words: [mut w0, mut w1, mut w2, mut w3, mut w4] } = call;
    // SAFETY: the kernel changes exactly the registers named here, as `idl::abi` says. It touches no memory of
    // this program but the message page, which is only ever reached through `page`, by raw pointers, and memory
    // that is mapped or unmapped, for which `memory` answers.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") op,
            inlateout("rdi") handle,
            inlateout("rsi") w0,
            inlateout("rdx") w1,
            inlateout("r10") w2,
            inlateout("r8") w3,
            inlateout("r9") w4,
            in("r12") deadline,
            in("r13") second,
            lateout("rcx") _,
            lateout("r11") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            options(nostack),
        );
    }
    Raw { op, handle, words: [w0, w1, w2, w3, w4] }
}

/// The deadline clock.
#[inline]
pub(crate) fn ticks() -> u64 {
    // SAFETY: RDTSC reads a counter; every x86_64 has it, and the kernel leaves it on for user mode.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Tells the processor that this is a spin loop.
#[inline]
pub(crate) fn pause() {
    core::hint::spin_loop();
}

/// Executes a marker of the counting plugin (`test-harness/plugin`): a long no-operation that changes nothing.
#[inline(always)]
pub(crate) fn mark<const ID: i32>() {
    // SAFETY: the instruction computes an address and does nothing with it. The compiler takes it for one that
    // accesses memory, so that nothing is moved across it.
    unsafe {
        core::arch::asm!(
            "nop dword ptr [rax + {marker}]",
            marker = const 0x4d4b_0000 | ID,
            options(nostack, preserves_flags)
        );
    }
}
