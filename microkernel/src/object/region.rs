//! Region: memory that can be mapped, and how it is bound to a space.

use caps::{Change, Error, Kind, Rights};
use idl::kernel::region::Call;
use idl::types::PageIndex;

use crate::kernel::Kernel;
use crate::limits::PAGE;
use crate::memory::Ref;
use crate::object::address_space::AddressSpace;
use crate::outcome::{Answer, Outcome};
use crate::syscall::{Caller, object_of};

impl Kernel {
    /// Carries out a call of a Region.
    pub fn invoke_region(&mut self, caller: &Caller, call: Call) -> Result<Outcome, Error> {
        let region = caller.found;
        match call {
            Call::Bind { space, slot } => {
                let space = self.argument(caller, space, Kind::AddressSpace, Rights::MANAGE)?;
                let dest = caller.table.vacant(&self.memory, slot)?;
                let object = Ref::<AddressSpace>::at(object_of(&space.capability));
                let number = self.memory[object].take_number(&self.board).ok_or(Error::OutOfBindings)?;
                let bound = self.forest.bind(&mut self.memory, region.slot, space.slot, dest, number);
                if let Err(error) = bound {
                    self.memory[object].return_number(number);
                    return Err(error);
                }
                object.set_binding(&mut self.memory, number, Some(dest));
                Ok(Answer::one(self.handle_at(dest, slot).0).into())
            }
            Call::Slice { page: PageIndex(page), pages, rights, slot } => {
                if pages.0 == 0 {
                    return Err(Error::BadSize);
                }
                let dest = caller.table.vacant(&self.memory, slot)?;
                let part = Some((u64::from(page) * PAGE, pages.bytes()));
                let change = Change { rights, badge: None, part };
                self.forest.derive(&mut self.memory, region.slot, dest, change)?;
                Ok(Answer::one(self.handle_at(dest, slot).0).into())
            }
            Call::Info => Ok(Answer::one(region.capability.size / PAGE).into()),
        }
    }
}
