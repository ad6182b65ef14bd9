//! Leaving the kernel: what must hold before user code runs. Step 10 of the path of a system call.

use crate::arch::x86_64::frame::{Frame, FrameFlags, FramePtr};
use crate::arch::x86_64::interrupts::Vector;
use crate::arch::x86_64::layout::{USER_END, is_canonical};
use crate::types::PhysAddr;

use super::cause::Fault;

/// How the kernel wants to be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Exit {
    /// Run user code from a frame, on a page root.
    Run {
        /// Registers to load, and where the next entry saves.
        frame: FramePtr,
        /// The page root.
        root: PhysAddr,
    },
    /// Sleep until an interrupt.
    Idle,
    /// Leave the subOS.
    Park,
    /// Leave the subOS before the system call of this entry was treated: it is made again later.
    ParkAndRedo,
}

/// Flags a user may have: CF, PF, AF, ZF, SF, DF, OF, ID.
const FREE_FLAGS: u64 = 0x20_0cd5;
const TRAP_FLAG: u64 = 1 << 8;
const INTERRUPT_FLAG: u64 = 1 << 9;
const ALWAYS_ONE: u64 = 1 << 1;

/// The flags that user code gets: interrupts on; no I/O privilege, nested task, alignment check or resume flag;
/// single step only where the kernel allowed it.
#[must_use]
pub const fn sanitise_flags(rflags: u64, how: FrameFlags) -> u64 {
    let free = if how.contains(FrameFlags::ALLOW_TRAP_FLAG) { FREE_FLAGS | TRAP_FLAG } else { FREE_FLAGS };
    rflags & free | INTERRUPT_FLAG | ALWAYS_ONE
}

/// Makes a frame loadable: sanitises flags, clears what SYSRET would leak, and checks what the processor would only
/// refuse in kernel mode.
///
/// # Errors
/// The next instruction is not in user space, or a segment base is not canonical: the fault that a processor which
/// checked in user mode would raise.
pub fn prepare(frame: &mut Frame) -> Result<(), Fault> {
    // Addresses of user space are canonical, and bases hardly ever lie anywhere else.
    let bases = frame.fs_base >= USER_END || frame.gs_base >= USER_END;
    if frame.rip >= USER_END || bases && !(is_canonical(frame.fs_base) && is_canonical(frame.gs_base)) {
        // Leave the full frame visible: what is reported now must come back whole.
        return Err(Fault { vector: Vector::GENERAL_PROTECTION, error: 0, address: 0 });
    }
    frame.rflags = sanitise_flags(frame.rflags, frame.flags);
    Ok(())
}

/// What must be done about a segment base at exit.
///
/// A user can change a base only to zero (by loading the selector), so the processor holds either what was loaded or
/// zero; whoever ran may have done it, hence a different frame always gets a non-zero base again.
#[must_use]
pub const fn base_must_be_loaded(wanted: u64, loaded: u64, frame: FrameChange) -> bool {
    wanted != loaded || (wanted != 0 && matches!(frame, FrameChange::Different))
}

/// Whether the frame to load is the one that was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameChange {
    /// The same frame.
    Same,
    /// Another one.
    Different,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_flags_are_sanitised() {
        let all = sanitise_flags(u64::MAX, FrameFlags::empty());
        assert_eq!(all & (1 << 8 | 3 << 12 | 1 << 14 | 1 << 16 | 1 << 17 | 1 << 18), 0);
        assert_ne!(all & INTERRUPT_FLAG, 0);
        assert_ne!(sanitise_flags(0, FrameFlags::empty()) & INTERRUPT_FLAG, 0);
        assert_ne!(sanitise_flags(TRAP_FLAG, FrameFlags::ALLOW_TRAP_FLAG) & TRAP_FLAG, 0);
    }

    #[test]
    fn bad_addresses_become_faults() {
        for rip in [USER_END, 0xffff_8000_0000_0000, 0x8000_0000_0000_0000, u64::MAX] {
            assert!(prepare(&mut Frame::new(rip, 0, 0)).is_err());
        }
        assert!(prepare(&mut Frame::new(USER_END - 1, 0, 0)).is_ok());
        let mut frame = Frame::new(0x1000, 0, 0);
        frame.fs_base = 0x8000_0000_0000;
        assert!(prepare(&mut frame).is_err());
    }

    #[test]
    fn a_base_is_never_inherited() {
        use FrameChange::{Different, Same};
        assert!(base_must_be_loaded(5, 0, Same));
        assert!(base_must_be_loaded(0, 5, Different));
        assert!(base_must_be_loaded(5, 5, Different), "the other may have zeroed it");
        assert!(!base_must_be_loaded(5, 5, Same));
        assert!(!base_must_be_loaded(0, 0, Different));
    }
}
