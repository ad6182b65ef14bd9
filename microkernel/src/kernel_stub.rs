//! Placeholder until the kernel proper lands: boots, and ends.

use crate::arch::{Arrival, Cause, Core, Exit, Seat};
use crate::boot::BootInfo;
use crate::panic::Epitaph;
use crate::types::{PhysAddr, SubOsId};

/// A kernel and its lock.
#[derive(Debug)]
pub struct KernelCell;

/// Makes the ledger and kernel 0.
#[must_use]
pub fn boot(info: BootInfo) -> Arrival {
    Arrival { kernel: PhysAddr(0), home_root: info.home.root(), subos: SubOsId::SUPERVISOR, seat: Seat(0) }
}

/// Treats one entry into the kernel.
pub fn entered(_core: &mut Core, cause: Cause) -> Exit {
    assert!(cause == Cause::Arrived, "{cause:?}");
    #[cfg(feature = "image")]
    crate::arch::x86_64::serial::exit(crate::arch::x86_64::serial::ExitCode::Success);
    #[cfg(not(feature = "image"))]
    Exit::Idle
}

/// Hears that this core's kernel, or the one it visits, has failed.
pub fn condemned(_core: &mut Core, _epitaph: &Epitaph) {}
