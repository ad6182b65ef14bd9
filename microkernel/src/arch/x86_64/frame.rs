//! The frame: a thread's (or a guest's) user registers while it does not run. Entry code stores straight into it
//! and exit code loads from it; nothing is copied on a stack.

use core::mem::offset_of;
use core::ptr::NonNull;

use bitflags::bitflags;
use static_assertions::const_assert_eq;

pub use idl::abi::FxArea;
use idl::abi::Registers;

use super::features::mxcsr_mask;

/// Clears the bits of MXCSR that this processor does not have, which FXRSTOR would refuse with a #GP in the kernel.
/// Needed whenever the area was written by a user (SDM vol 1, 11.6.6).
pub fn sanitise(FxArea(bytes): &mut FxArea) {
    let word = u32::from_le_bytes([bytes[24], bytes[25], bytes[26], bytes[27]]) & mxcsr_mask();
    bytes[24..28].copy_from_slice(&word.to_le_bytes());
}

bitflags! {
    /// How a frame was saved and how it wants to be loaded.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(transparent)]
    pub struct FrameFlags: u64 {
        /// The last entry was SYSCALL: leave by SYSRET, which needs no rcx and r11; vector registers are zeroed.
        /// Clear it after changing rcx or r11, or to have the FX area loaded.
        const VIA_SYSCALL = 1 << 0;
        /// Vector registers are kept across SYSCALL too: for guests, whose own convention says so.
        const KEEP_VECTORS = 1 << 1;
        /// The trap flag, at its place in RFLAGS, may be set by the frame's owner.
        const ALLOW_TRAP_FLAG = 1 << 8;
    }
}

/// What there is to save and load of user code.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct Frame {
    /// The general registers. rip is checked at the exit and rflags sanitised; only the kernel sets the bases of FS and
    /// GS, and a user who loads the selector loses it until the next switch.
    pub registers: Registers,
    /// The vector of the last interrupt or exception.
    pub vector: u64,
    /// Its error code, or zero.
    pub error: u64,
    /// CR2 at the last page fault.
    pub cr2: u64,
    /// How to load it.
    pub flags: FrameFlags,
    /// Vector state; current unless [`FrameFlags::VIA_SYSCALL`] is set without [`FrameFlags::KEEP_VECTORS`].
    pub fx: FxArea,
}

const_assert_eq!(offset_of!(Frame, fx) % 16, 0);

/// Bytes of the SYSCALL instruction.
const SYSCALL_LENGTH: u64 = 2;

impl Frame {
    /// A frame that starts at `rip` with a stack and one argument; everything else is zero or default.
    #[must_use]
    pub const fn new(rip: u64, rsp: u64, argument: u64) -> Frame {
        Frame {
            registers: Registers { rip, rsp, rdi: argument, rflags: 0x202, ..Registers::ZERO },
            vector: 0,
            error: 0,
            cr2: 0,
            flags: FrameFlags::empty(),
            fx: FxArea::INITIAL,
        }
    }

    /// Sets the next instruction back to the SYSCALL that was executed last. Its registers are still there.
    pub fn rewind_syscall(&mut self) {
        if self.flags.contains(FrameFlags::VIA_SYSCALL) {
            self.registers.rip = self.registers.rip.wrapping_sub(SYSCALL_LENGTH);
        }
    }
}

/// The address of a frame that stays where it is while a core runs from it or saves into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct FramePtr(NonNull<Frame>);

impl FramePtr {
    /// Names a frame as loadable.
    ///
    /// # Safety
    /// Until another frame is loaded on this core or the core is idle, the memory must stay a `Frame`, mapped in
    /// every root this core runs on, and touched by nobody else while user code runs from it.
    #[must_use]
    pub const unsafe fn new(frame: NonNull<Frame>) -> FramePtr {
        FramePtr(frame)
    }

    pub(super) fn from_raw(frame: *mut Frame) -> Option<FramePtr> {
        NonNull::new(frame).map(FramePtr)
    }

    /// The address.
    #[must_use]
    pub const fn as_ptr(self) -> *mut Frame {
        self.0.as_ptr()
    }
}
