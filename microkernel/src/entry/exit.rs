//! Leaving the kernel: what must hold before user code runs. Step 10 of the path of a system call.

use crate::arch::x86_64::frame::{Frame, FrameFlags, FramePtr};
use crate::arch::x86_64::interrupts::Vector;
use crate::arch::x86_64::layout::{USER_END, canonical};

use super::cause::Fault;

/// How the kernel wants to be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Exit {
    /// Run user code from this frame, on the page root that is loaded: the registers to load, and where the next entry
    /// saves.
    Run(FramePtr),
    /// Sleep until an interrupt.
    Idle,
    /// Leave the subOS.
    Park,
    /// Leave the subOS before the system call of this entry was treated: it is made again later.
    ParkAndRedo,
}

/// Flags a user may have: CF, PF, AF, ZF, SF, DF, OF, ID.
const FREE_FLAGS: u64 = 0x20_0cd5;
const TRAP_FLAG: u64 = FrameFlags::ALLOW_TRAP_FLAG.bits();
const INTERRUPT_FLAG: u64 = 1 << 9;
const ALWAYS_ONE: u64 = 1 << 1;

/// The flags that user code gets: interrupts on; no I/O privilege, nested task, alignment check or resume flag;
/// single step only where the kernel allowed it.
#[must_use]
pub const fn sanitise_flags(rflags: u64, how: FrameFlags) -> u64 {
    let free = FREE_FLAGS | how.bits() & TRAP_FLAG;
    rflags & free | INTERRUPT_FLAG | ALWAYS_ONE
}

/// The fault that a processor would raise which checked in user mode.
const REFUSED: Fault = Fault { vector: Vector::GENERAL_PROTECTION, error: 0, address: 0 };

/// Makes a frame loadable, but for its bases: sanitises flags, and checks what the processor would only refuse in kernel
/// mode.
///
/// # Errors
/// The next instruction is not in user space. What is reported now must come back whole, so nothing has changed.
#[inline]
pub fn prepare(frame: &mut Frame) -> Result<(), Fault> {
    const { assert!(USER_END.is_power_of_two()) };
    if frame.registers.rip >> USER_END.trailing_zeros() != 0 {
        return Err(REFUSED);
    }
    frame.registers.rflags = sanitise_flags(frame.registers.rflags, frame.flags);
    Ok(())
}

/// Whether segment bases can be loaded.
///
/// # Errors
/// One is not canonical.
pub fn check_bases(fs: u64, gs: u64) -> Result<(), Fault> {
    if canonical(fs) == fs && canonical(gs) == gs { Ok(()) } else { Err(REFUSED) }
}

/// Whether the bases of FS and GS must be loaded at exit.
///
/// A user can change a base only to zero (by loading the selector), so the processor holds either what was loaded or
/// zero; whoever ran may have done it, hence a different frame always gets a non-zero base again.
#[must_use]
#[inline]
pub const fn bases_must_be_loaded(wanted: [u64; 2], loaded: [u64; 2], frame: FrameChange) -> bool {
    // Mostly nobody uses them.
    if wanted[0] | wanted[1] | loaded[0] | loaded[1] == 0 {
        return false;
    }
    let others = wanted[0] ^ loaded[0] | wanted[1] ^ loaded[1];
    let doubtful = match frame {
        FrameChange::Same => 0,
        FrameChange::Different => wanted[0] | wanted[1],
    };
    others | doubtful != 0
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
        assert!(check_bases(0x8000_0000_0000, 0).is_err() && check_bases(0, 0x8000_0000_0000).is_err());
        assert!(check_bases(USER_END - 1, 0xffff_8000_0000_0000).is_ok());
    }

    #[test]
    fn a_base_is_never_inherited() {
        use FrameChange::{Different, Same};
        for both in [|base| [base, 0], |base| [0, base], |base| [base, base]] as [fn(u64) -> [u64; 2]; 3] {
            assert!(bases_must_be_loaded(both(5), both(0), Same));
            assert!(bases_must_be_loaded(both(0), both(5), Different));
            assert!(bases_must_be_loaded(both(5), both(5), Different), "the other may have zeroed it");
            assert!(!bases_must_be_loaded(both(5), both(5), Same));
        }
        assert!(!bases_must_be_loaded([0, 0], [0, 0], Different));
    }
}
