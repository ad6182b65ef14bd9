//! CSpace: a table of slots, and how capabilities are copied, moved, deleted and revoked in it.

use core::num::NonZeroU64;

use caps::{Change, Child, Error, Handle, Kind, Passage, Rights, SlotIndex, SlotRef, Slots, State, Table};
use idl::kernel::cspace::{Call, SlotInfo};
use idl::types::Badge;

use super::Methods;
use crate::kernel::Kernel;
use crate::limits::PAGE;
use crate::memory::Ref;
use crate::object::address_space::AddressSpace;
use crate::object::endpoint::Endpoint;
use crate::outcome::{Answer, Outcome};
use crate::removal::Removing;
use crate::syscall::Caller;
use crate::types::PhysAddr;

/// A call of a CSpace, checked.
pub enum Request {
    /// Derives a copy, of which this is going to be the handle.
    Copy(Child, Handle),
    /// Moves a capability, of which this is going to be the handle.
    Move(Passage, Handle),
    /// Deletes or revokes what is in a slot.
    Remove(SlotRef, Removing),
    /// What is to be removed has gone, or goes, by somebody else's doing: this is told when no core can reach it any more.
    Gone(Error),
    /// The handle of what a slot holds.
    At(Handle),
    /// Says this.
    Info(SlotInfo),
}

impl Methods for Call {
    type Request = Request;

    #[inline(always)]
    fn decode(self, kernel: &Kernel, caller: &Caller) -> Result<Request, Error> {
        let target = caller.found.capability.table().ok_or(Error::WrongKind)?;
        let find = |source| kernel.forest.lookup_any(&kernel.memory, target, source);
        let copy = |source, table, slot: SlotIndex, rights: Rights, badge| {
            let found = find(source)?;
            let (dest, handle) = kernel.vacant(kernel.destination(caller, table)?, slot)?;
            let change = Change { rights, badge, part: None };
            let child = kernel.forest.check_derive(&kernel.memory, found.slot, dest, change)?;
            Ok(Request::Copy(child, handle))
        };
        match self {
            Call::Copy { source, table, slot, rights } => copy(source, table, slot, rights, None),
            Call::Mint { source, table, slot, rights, badge: Badge(badge) } => {
                let badge = NonZeroU64::new(badge).ok_or(Error::InvalidArgument)?;
                copy(source, table, slot, rights, Some(badge))
            }
            Call::Move { source, table, slot } => {
                let found = find(source)?;
                let (dest, handle) = kernel.vacant(kernel.destination(caller, table)?, slot)?;
                Ok(Request::Move(kernel.check_relocate(found.slot, dest)?, handle))
            }
            Call::Delete { source } => Ok(remove(kernel, target, source, Removing::Delete)),
            Call::Revoke { source } => Ok(remove(kernel, target, source, Removing::Revoke)),
            Call::At { slot } => {
                let held = kernel.memory.slot(target.at(slot)?);
                if held.is_free() {
                    return Err(Error::EmptySlot);
                }
                Ok(Request::At(Handle::new(slot, held.generation())))
            }
            Call::Info { source } => {
                let capability = find(source)?.capability;
                let size = match capability.kind {
                    Kind::Untyped | Kind::Region => capability.size / PAGE,
                    Kind::CSpace | Kind::AddressSpace => capability.size,
                    _ => 0,
                };
                let (kind, rights, badge) = (capability.kind, capability.rights, Badge(capability.badge));
                Ok(Request::Info(SlotInfo { kind, rights, badge, size }))
            }
        }
    }

    #[inline(always)]
    fn perform(request: Request, kernel: &mut Kernel, caller: &Caller) -> Outcome {
        match request {
            Request::Copy(child, handle) => {
                kernel.forest.grow(&mut kernel.memory, child);
                Answer::of(handle).into()
            }
            Request::Move(passage, handle) => {
                kernel.relocate(passage);
                Answer::of(handle).into()
            }
            Request::Remove(slot, removing) => kernel.remove(caller, slot, removing),
            Request::Gone(error) => {
                kernel.await_quiet(caller.thread);
                Outcome::Ended(Err(error))
            }
            Request::At(handle) => Answer::of(handle).into(),
            Request::Info(info) => Answer::of(info).into(),
        }
    }
}

impl Kernel {
    /// Whether a capability can be moved to a vacant slot. One through which a thread may queue at an endpoint stays where
    /// that thread remembers it: `Busy`.
    pub fn check_relocate(&self, source: SlotRef, dest: SlotRef) -> Result<Passage, Error> {
        let slot = self.memory.slot(source);
        if slot.kind() == Kind::Endpoint && slot.state().contains(State::WATCHED) {
            let endpoint = Ref::<Endpoint>::at(PhysAddr(slot.object()));
            if !self.memory[endpoint].callers.is_empty() {
                return Err(Error::Busy);
            }
        }
        self.forest.check_move(&self.memory, source, dest)
    }

    /// Moves a capability, and whatever remembers where it is.
    pub fn relocate(&mut self, passage: Passage) {
        let (_, dest) = passage.ends();
        let moved = self.forest.pass(&mut self.memory, passage);
        if moved.kind == Kind::Binding {
            let space = Ref::<AddressSpace>::at(PhysAddr(moved.space));
            space.set_binding(&mut self.memory, moved.number, Some(dest));
        }
    }
}

/// What a handle names may have been emptied by an earlier step of this deletion, while something is left to do.
fn remove(kernel: &Kernel, table: Table, source: Handle, removing: Removing) -> Request {
    let error = match kernel.forest.locate(&kernel.memory, table, source) {
        Ok(found) => return Request::Remove(found.slot, removing),
        Err(error) => error,
    };
    let last = |slot: &SlotRef| kernel.memory.slot(*slot).generation() == source.generation().next();
    let slot = table.at(source.index()).ok().filter(last);
    match slot.filter(|slot| removing == Removing::Delete && kernel.is_being_deleted(*slot)) {
        Some(slot) => Request::Remove(slot, removing),
        None => Request::Gone(error),
    }
}
