//! The frame: a thread's (or a guest's) user registers while it does not run. Entry code stores straight into it
//! and exit code loads from it; nothing is copied on a stack.

use core::mem::offset_of;
use core::ptr::NonNull;

use bitflags::bitflags;
use static_assertions::const_assert_eq;

use super::features::mxcsr_mask;

/// The area FXSAVE writes: x87, MXCSR and XMM0 to 15 (SDM vol 1, 10.5).
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct FxArea(pub [u8; 512]);

impl FxArea {
    /// The state after FNINIT with the default MXCSR and zero registers.
    pub const INITIAL: FxArea = {
        let mut bytes = [0; 512];
        bytes[0] = 0x7f; // FCW 0x037f
        bytes[1] = 0x03;
        bytes[24] = 0x80; // MXCSR 0x1f80
        bytes[25] = 0x1f;
        FxArea(bytes)
    };

    /// Clears the bits of MXCSR that this processor does not have, which FXRSTOR would refuse with a #GP in the
    /// kernel. Needed whenever the area was written by a user (SDM vol 1, 11.6.6).
    pub fn sanitise(&mut self) {
        let word = u32::from_le_bytes([self.0[24], self.0[25], self.0[26], self.0[27]]) & mxcsr_mask();
        self.0[24..28].copy_from_slice(&word.to_le_bytes());
    }
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
        /// The trap flag may be set by the frame's owner.
        const ALLOW_TRAP_FLAG = 1 << 2;
    }
}

/// User registers. The order of the first fields is private to the kernel.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct Frame {
    /// General register.
    pub rax: u64,
    /// General register.
    pub rbx: u64,
    /// General register.
    pub rcx: u64,
    /// General register.
    pub rdx: u64,
    /// General register.
    pub rsi: u64,
    /// General register.
    pub rdi: u64,
    /// General register.
    pub rbp: u64,
    /// General register.
    pub r8: u64,
    /// General register.
    pub r9: u64,
    /// General register.
    pub r10: u64,
    /// General register.
    pub r11: u64,
    /// General register.
    pub r12: u64,
    /// General register.
    pub r13: u64,
    /// General register.
    pub r14: u64,
    /// General register.
    pub r15: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Next instruction; checked at exit.
    pub rip: u64,
    /// Flags; sanitised at exit.
    pub rflags: u64,
    /// Base of FS; only the kernel sets it, and a user who loads the selector loses it until the next switch.
    pub fs_base: u64,
    /// Base of GS; as for FS.
    pub gs_base: u64,
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
            rax: 0,
            rbx: 0,
            rcx: 0,
            rdx: 0,
            rsi: 0,
            rdi: argument,
            rbp: 0,
            r8: 0,
            r9: 0,
            r10: 0,
            r11: 0,
            r12: 0,
            r13: 0,
            r14: 0,
            r15: 0,
            rsp,
            rip,
            rflags: 0x202,
            fs_base: 0,
            gs_base: 0,
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
            self.rip = self.rip.wrapping_sub(SYSCALL_LENGTH);
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
