//! Where a core's mailbox is: the page of its area in which the supervisor leaves orders, and in which the core answers.
//! What the words mean is [`crate::sync::mailbox`].
//!
//! The core answers on the park root alone, and only there and in subOS 0's kernel can the page be written: whoever
//! owns the core reads its orders, and can neither forge an answer nor change where the core goes next. What the core
//! notes for itself is on a page of its own. Everything is atomic.

use ::core::sync::atomic::{AtomicU64, Ordering};
use static_assertions::const_assert;

use super::area;
use crate::limits::PAGE;
use crate::types::CoreId;

pub use crate::sync::mailbox::{Command, Mailbox, Next, Sequence};

/// What a core notes while it works for an owner, on the page after its mailbox.
#[derive(Debug)]
#[repr(C)]
struct Notes {
    /// Interrupts taken while idle, one bit each; see [`super::interrupts::Pending`].
    pending: AtomicU64,
}

const_assert!(size_of::<Mailbox>() as u64 <= PAGE);

impl Mailbox {
    /// A core's mailbox. Mapped only where the core's area is: in its own subOS's kernel (to read), in subOS 0's and in
    /// the park root; elsewhere an access faults and condemns the culprit.
    #[must_use]
    pub fn of(core: CoreId) -> &'static Mailbox {
        let address = area::base(core) + area::MAILBOX_PAGE;
        // SAFETY: the page is a Mailbox from boot on (zeroes are valid), never moves, and is only used by shared
        // reference; all fields are atomic. Where it is not mapped, the access faults, which is defined by us.
        unsafe { &*(address as *const Mailbox) }
    }

    fn notes(&self) -> &'static Notes {
        let address = ::core::ptr::from_ref(self) as u64 + (area::NOTES_PAGE - area::MAILBOX_PAGE);
        // SAFETY: as in `of`: the page after the mailbox is a Notes, and all its fields are atomic.
        unsafe { &*(address as *const Notes) }
    }

    /// Notes interrupts taken while idle.
    pub(crate) fn note_pending(&self, bits: u64) {
        self.notes().pending.fetch_or(bits, Ordering::AcqRel);
    }

    /// The interrupts taken while idle; forgets them.
    pub(crate) fn take_pending(&self) -> u64 {
        self.notes().pending.swap(0, Ordering::AcqRel)
    }
}
