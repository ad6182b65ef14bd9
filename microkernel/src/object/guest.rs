//! Guest: an address space whose every trap returns to the thread that entered it.
//!
//! The guest's registers travel through the entering thread's message page, so one guest object serves as many
//! flows of execution as its owner likes to keep, one at a time. The kernel knows nothing of what runs inside.

use caps::bounds::GUEST_SLOTS;
use caps::{Error, Kind, Rights, Slot, SlotRef};
use idl::kernel::guest::Call;

use crate::kernel::Kernel;
use crate::memory::{Header, Object, Ref, slot_at};
use crate::object::thread::Thread;
use crate::outcome::{Answer, Outcome};
use crate::syscall::{Caller, object_of};

/// Bytes that retype carves for a guest.
pub const SIZE: u64 = 320;

/// A guest.
#[repr(C, align(64))]
pub struct Guest {
    slots: [Slot; GUEST_SLOTS as usize],
    header: Header,
    /// The thread that is in it.
    pub occupant: Option<Ref<Thread>>,
}

const _: () = assert!(size_of::<Guest>() as u64 <= SIZE);

// SAFETY: repr(C), the header where it says, and the size fits what retype carves.
unsafe impl Object for Guest {
    const KIND: Kind = Kind::Guest;
    const HEADER: usize = core::mem::offset_of!(Self, header);
}

impl Guest {
    /// A guest without an address space.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            slots: [const { Slot::FREE }; GUEST_SLOTS as usize],
            header: Header::new(Kind::Guest),
            occupant: None,
        }
    }
}

impl Ref<Guest> {
    /// The guest's own capability to its address space.
    #[must_use]
    pub fn space(self) -> SlotRef {
        slot_at(self.address().plus(Slot::SIZE))
    }
}

impl Kernel {
    /// Carries out a call of a Guest.
    pub fn invoke_guest(&mut self, caller: &Caller, call: Call) -> Result<Outcome, Error> {
        let guest = Ref::<Guest>::at(object_of(&caller.found.capability));
        match call {
            Call::Configure { space } => {
                if self.memory[guest].occupant.is_some() {
                    return Err(Error::Busy);
                }
                let space = self.argument(caller, space, Kind::AddressSpace, Rights::MANAGE)?;
                self.adopt(guest.space(), &space)?;
                Ok(Answer::NOTHING.into())
            }
            Call::Enter => {
                let next = self.enter_guest(caller.thread, guest, caller.deadline)?;
                Ok(Outcome::Deferred(next))
            }
        }
    }
}
