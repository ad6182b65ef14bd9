//! Region: memory that can be mapped, and how it is bound to a space.

use caps::{Change, Child, Error, Handle, Kind, Rights};
use idl::kernel::region::Call;
use idl::types::PageIndex;

use super::Methods;
use crate::kernel::Kernel;
use crate::limits::PAGE;
use crate::machine::doorbell::{self, Binding, Source};
use crate::machine::windows::Window;
use crate::memory::Ref;
use crate::object::address_space::AddressSpace;
use crate::outcome::{Answer, Outcome};
use crate::syscall::{Caller, object_of};

/// A call of a Region, checked.
pub enum Request {
    /// Binds it to this space, with this number; the binding is going to have this handle.
    Bind(Child, Handle, Ref<AddressSpace>, u16),
    /// Derives a part, of which this is going to be the handle.
    Slice(Child, Handle),
    /// Says how many pages it has.
    Info(u64),
    /// Rings the doorbell at the other side of this window.
    Ring(Window),
    /// Sets what the window's own doorbell signals.
    Listen(Binding),
}

impl Methods for Call {
    type Request = Request;

    #[inline(always)]
    fn decode(self, kernel: &Kernel, caller: &Caller) -> Result<Request, Error> {
        let region = caller.found;
        Ok(match self {
            Call::Bind { space, slot } => {
                let space = kernel.argument(caller, space, Kind::AddressSpace, Rights::MANAGE)?;
                let (dest, handle) = kernel.vacant(caller.table, slot)?;
                let object = Ref::<AddressSpace>::at(object_of(&space.capability));
                let number = kernel.memory[object].free_number(&kernel.board).ok_or(Error::OutOfBindings)?;
                let binding =
                    kernel.forest.check_bind(&kernel.memory, region.slot, space.slot, dest, number)?;
                Request::Bind(binding, handle, object, number)
            }
            Call::Slice { page: PageIndex(page), pages, rights, slot } => {
                if pages.0 == 0 {
                    return Err(Error::BadSize);
                }
                let (dest, handle) = kernel.vacant(caller.table, slot)?;
                let part = Some((u64::from(page) * PAGE, pages.bytes()));
                let change = Change { rights, badge: None, part };
                let child = kernel.forest.check_derive(&kernel.memory, region.slot, dest, change)?;
                Request::Slice(child, handle)
            }
            Call::Info => Request::Info(region.capability.size / PAGE),
            Call::Ring => Request::Ring(doorbell::window(kernel, &region.capability)?.1),
            Call::Listen { notification, bits } => {
                let (lot, _) = doorbell::window(kernel, &region.capability)?;
                Request::Listen(kernel.check_doorbell(caller, Source::window(lot), notification, bits)?)
            }
        })
    }

    #[inline(always)]
    fn perform(request: Request, kernel: &mut Kernel, _: &Caller) -> Outcome {
        match request {
            Request::Bind(child, handle, space, number) => {
                let dest = child.dest();
                kernel.forest.grow(&mut kernel.memory, child);
                kernel.memory[space].take_number(number, &kernel.board);
                space.set_binding(&mut kernel.memory, number, Some(dest));
                Answer::of(handle).into()
            }
            Request::Slice(child, handle) => {
                kernel.forest.grow(&mut kernel.memory, child);
                Answer::of(handle).into()
            }
            Request::Info(pages) => Answer::of(pages).into(),
            Request::Ring(window) => {
                doorbell::ring_across(window);
                Answer::NOTHING.into()
            }
            Request::Listen(binding) => Outcome::Answered(Answer::NOTHING, doorbell::bind(kernel, binding)),
        }
    }
}
