//! What depends on the processor. Only x86-64 exists; the names below are what the rest of the kernel uses, and the only
//! ones it should: whoever ports the kernel starts here.

pub mod x86_64;

pub use crate::entry::{Cause, Exit, Fault};
pub use x86_64::clock::{arm as set_timer, disarm as mask_timer, now, ticks_per_second};
pub use x86_64::core::{Arrival, Core};
pub use x86_64::frame::{Frame, FrameFlags, FramePtr, FxArea};
pub use x86_64::half::{Access, KernelHalf};
pub use x86_64::instructions::pause;
pub use x86_64::interrupts::{Pending, Vector};
pub use x86_64::layout::USER_END;
pub use x86_64::mailbox::{Command, Mailbox};
pub use x86_64::pages::SystemPages;
pub use x86_64::paging::{BindingNumber, Level, Pte, PteFlags, Table};
pub use x86_64::physmap;
pub use x86_64::tlb::{flush_all, flush_page};

use crate::types::{CoreId, PhysAddr};

/// Interrupts a core.
pub fn send_ipi(core: CoreId, vector: Vector) {
    x86_64::apic::send(core, vector);
}

/// Whether the supervisor wants a core of this subOS back.
#[must_use]
#[inline(always)]
pub fn park_requested(core: CoreId) -> bool {
    Mailbox::of(core).park_requested()
}

impl Core {
    /// Loads a page root if it is not loaded already.
    ///
    /// # Safety
    /// The root carries the kernel half of the subOS that this core works for, or is the park root.
    pub unsafe fn load_root(&mut self, root: PhysAddr) {
        if self.loaded_root != root.0 {
            // SAFETY: by this function's contract all that the kernel refers to stays mapped.
            unsafe { x86_64::instructions::write_cr3(root.0) };
            self.loaded_root = root.0;
        }
    }
}
