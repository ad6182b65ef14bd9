//! A register set in memory: what a guest runs on, and what a debugger reads of a thread.

use core::fmt;

use caps::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::word::Word;

/// The general registers, in the order in which the message page holds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[allow(missing_docs, reason = "the names are the processor's")]
pub struct Registers {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub fs_base: u64,
    pub gs_base: u64,
}

impl Registers {
    /// All zero.
    pub const ZERO: Self = zerocopy::transmute!([0_u8; size_of::<Self>()]);
}

/// All of them, four a line, for people.
impl fmt::Display for Registers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            [("rax", self.rax), ("rbx", self.rbx), ("rcx", self.rcx), ("rdx", self.rdx)],
            [("rsi", self.rsi), ("rdi", self.rdi), ("rbp", self.rbp), ("rsp", self.rsp)],
            [("r8", self.r8), ("r9", self.r9), ("r10", self.r10), ("r11", self.r11)],
            [("r12", self.r12), ("r13", self.r13), ("r14", self.r14), ("r15", self.r15)],
            [("rip", self.rip), ("rflags", self.rflags), ("fs", self.fs_base), ("gs", self.gs_base)],
        ];
        for (index, row) in rows.into_iter().enumerate() {
            f.write_str(if index == 0 { " " } else { "\n " })?;
            for (register, value) in row {
                write!(f, " {register:>6} {value:016x}")?;
            }
        }
        Ok(())
    }
}

/// Why a guest stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Trap {
    /// A [`TrapKind`], as its number.
    pub kind: u32,
    /// The exception's vector; 0 when it was none.
    pub vector: u32,
    /// The exception's error code; 0 when it has none.
    pub error_code: u64,
    /// The address that faulted (CR2), for a page fault; else 0.
    pub address: u64,
}

/// What made a guest or a thread stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TrapKind {
    /// It executed SYSCALL; rip is the instruction after it, rcx and r11 are as SYSCALL leaves them.
    SystemCall = 1,
    /// A page fault; address and error code say which.
    PageFault = 2,
    /// Another exception; vector and error code say which.
    Exception = 3,
    /// Nothing that it did: the deadline passed, a signal waits, or the thread that entered was preempted
    /// in a way that it must see. Enter again to go on.
    Interrupted = 4,
    /// The guest's space or the guest itself went while it ran.
    Cancelled = 5,
}

impl TrapKind {
    /// The kind with this number, if there is one.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::SystemCall),
            2 => Some(Self::PageFault),
            3 => Some(Self::Exception),
            4 => Some(Self::Interrupted),
            5 => Some(Self::Cancelled),
            _ => None,
        }
    }
}

impl Word for TrapKind {
    const NAME: &'static str = "TrapKind";

    fn to_word(self) -> u64 {
        self as u64
    }

    fn from_word(word: u64) -> Result<Self, Error> {
        u32::try_from(word).ok().and_then(Self::from_number).ok_or(Error::InvalidArgument)
    }
}

/// The register set of a guest, and why it stopped: the message page of the thread that enters holds one.
/// Entering reads [`GuestFrame::registers`]; leaving writes both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct GuestFrame {
    /// What it runs with.
    pub registers: Registers,
    /// Why it stopped.
    pub trap: Trap,
}

/// The legacy vector and x87 state in the layout of FXSAVE64 (Intel SDM volume 1, section 10.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, align(16))]
pub struct FxArea(pub [u8; 512]);

impl FxArea {
    /// The state after FNINIT, with MXCSR 0x1f80 and registers of zero, as Linux starts a program with it.
    pub const INITIAL: Self = {
        let mut bytes = [0; 512];
        [bytes[0], bytes[1]] = 0x037f_u16.to_le_bytes();
        [bytes[24], bytes[25], bytes[26], bytes[27]] = 0x1f80_u32.to_le_bytes();
        Self(bytes)
    };
}

impl Default for FxArea {
    fn default() -> Self {
        Self::INITIAL
    }
}
