//! What the processor holds of a program while the program does not run.

use crate::limits::USER_END;

/// General registers of a guest, in the order of Linux's `user_regs_struct` where it applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the processor register of that name")]
pub struct Registers {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rip: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub fs_base: u64,
    pub gs_base: u64,
}

/// Flags that a program may set by returning from a signal handler: the arithmetic ones, DF, TF, AC
/// and RF. IOPL, IF, NT and VM stay what the system wants.
const USER_FLAGS: u64 = 0x0005_0dd5;
/// IF, and bit 1 which is always set.
const FIXED_FLAGS: u64 = 0x202;

impl Registers {
    /// Keeps of RFLAGS what a program may choose.
    pub fn sanitise_flags(&mut self) {
        self.rflags = (self.rflags & USER_FLAGS) | FIXED_FLAGS;
    }

    /// Whether RIP lies where a program can run: otherwise resuming it could fault in the kernel.
    #[must_use]
    pub const fn can_resume(&self) -> bool {
        self.rip < USER_END
    }
}

/// The legacy vector and x87 state in FXSAVE's layout (Intel SDM volume 1, section 10.5.1).
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct FpState(pub [u8; 512]);

impl FpState {
    /// The state of a fresh program: x87 control word 0x37f, MXCSR 0x1f80, everything else zero.
    #[must_use]
    pub const fn initial() -> Self {
        let mut bytes = [0; 512];
        bytes[0] = 0x7f;
        bytes[1] = 0x03;
        bytes[24] = 0x80;
        bytes[25] = 0x1f;
        Self(bytes)
    }

    /// Clears the bits of MXCSR that would make FXRSTOR fault.
    pub fn sanitise(&mut self) {
        // Bits 16 and up are reserved; the rest exists on every x86_64 processor.
        self.0[26] = 0;
        self.0[27] = 0;
    }
}

impl Default for FpState {
    fn default() -> Self {
        Self::initial()
    }
}

impl core::fmt::Debug for FpState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("FpState")
    }
}

/// Everything an executor loads to run a task and stores when it traps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The general registers.
    pub registers: Registers,
    /// The vector and x87 registers.
    pub fp: FpState,
}

/// Why a guest stopped running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// A SYSCALL instruction; RIP is behind it.
    Syscall,
    /// A page fault at an address, for an access.
    PageFault {
        /// The address that faulted (CR2).
        address: u64,
        /// What the program tried.
        access: Access,
    },
    /// Another exception of the processor, by its vector (0 divide, 6 invalid opcode, 13 protection...).
    Exception {
        /// The vector, below 32.
        vector: u8,
    },
    /// The time slice ended, or the kernel wanted the core for a moment.
    Slice,
}

/// What a program wants of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Access {
    Read,
    Write,
    Execute,
}
