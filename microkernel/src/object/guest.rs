//! Guest: an address space whose every trap returns to the thread that entered it.
//!
//! The guest's registers travel through the entering thread's message page, so one guest object serves as many
//! flows of execution as its owner likes to keep, one at a time. The kernel knows nothing of what runs inside.

use caps::bounds::GUEST_SLOTS;
use caps::{Child, Error, Kind, Rights, Slot, SlotRef, Slots};
use idl::abi::Registers;
use idl::kernel::guest::Call;

use super::Methods;
use crate::kernel::Kernel;
use crate::memory::{Header, Object, Ref, own_slot};
use crate::object::thread::Thread;
use crate::outcome::{Answer, NextThread, Outcome};
use crate::syscall::{Caller, object_of};
use crate::types::{PhysAddr, Ticks};

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
    pub const NEW: Self = Self {
        slots: [const { Slot::FREE }; GUEST_SLOTS as usize],
        header: Header::new(Kind::Guest),
        occupant: None,
    };
}

impl Ref<Guest> {
    /// The guest's own capability to its address space.
    #[must_use]
    pub fn space(self) -> SlotRef {
        own_slot(self, 1)
    }
}

/// A call of a Guest, checked.
pub enum Request {
    /// Sets the address space.
    Configure(Child),
    /// Runs the guest with these registers and the vector state in this message page.
    Enter(Ref<Guest>, Registers, PhysAddr),
}

impl Methods for Call {
    type Request = Request;

    #[inline(always)]
    fn decode(self, kernel: &Kernel, caller: &Caller) -> Result<Request, Error> {
        let guest = Ref::<Guest>::at(object_of(&caller.found.capability));
        let occupied = kernel.memory[guest].occupant.is_some();
        match self {
            Call::Configure { .. } if occupied => Err(Error::Busy),
            Call::Configure { space } => {
                let space = kernel.argument(caller, space, Kind::AddressSpace, Rights::MANAGE)?;
                Ok(Request::Configure(kernel.adoption(guest.space(), &space)?))
            }
            Call::Enter => {
                let page = kernel.page_of(caller)?;
                if kernel.memory.slot(guest.space()).kind() != Kind::AddressSpace {
                    return Err(Error::NotConfigured);
                }
                if occupied {
                    return Err(Error::Busy);
                }
                Ok(Request::Enter(guest, kernel.memory.registers_in(page)?, page))
            }
        }
    }

    #[inline(always)]
    fn perform(request: Request, kernel: &mut Kernel, caller: &Caller) -> Outcome {
        match request {
            Request::Configure(space) => {
                kernel.adopt(space);
                Answer::NOTHING.into()
            }
            Request::Enter(guest, registers, page) => {
                let fx = kernel.memory.vectors_in(page);
                let thread = &mut kernel.memory[caller.thread];
                thread.guest_frame.take_over(registers, fx);
                thread.guest = Some(guest);
                thread.guest_deadline = caller.deadline.unwrap_or(Ticks::NEVER);
                kernel.memory[guest].occupant = Some(caller.thread);
                kernel.here().counters.guests += 1;
                Outcome::Deferred(NextThread::Same)
            }
        }
    }
}
