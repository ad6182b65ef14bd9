//! CSpace: a table of slots, and how capabilities are copied, moved, deleted and revoked in it.

use core::num::NonZeroU64;

use caps::{Change, Error, Handle, Kind, Rights, SlotIndex, SlotRef, Slots, State};
use idl::Words;
use idl::kernel::cspace::{Call, SlotInfo};
use idl::types::Badge;

use crate::kernel::Kernel;
use crate::limits::PAGE;
use crate::memory::Ref;
use crate::object::address_space::AddressSpace;
use crate::object::endpoint::Endpoint;
use crate::outcome::{Answer, Outcome};
use crate::removal::Removing;
use crate::syscall::Caller;
use crate::types::PhysAddr;

/// Where a copy goes, and what it may do.
struct Copying {
    source: Handle,
    table: Handle,
    slot: SlotIndex,
    rights: Rights,
    badge: Option<NonZeroU64>,
}

impl Kernel {
    /// Carries out a call of a CSpace.
    pub fn invoke_cspace(&mut self, caller: &Caller, call: Call) -> Result<Outcome, Error> {
        match call {
            Call::Copy { source, table, slot, rights } => {
                self.copy(caller, &Copying { source, table, slot, rights, badge: None })
            }
            Call::Mint { source, table, slot, rights, badge: Badge(badge) } => {
                let badge = Some(NonZeroU64::new(badge).ok_or(Error::InvalidArgument)?);
                self.copy(caller, &Copying { source, table, slot, rights, badge })
            }
            Call::Move { source, table, slot } => {
                let found = self.forest.lookup_any(&self.memory, target(caller)?, source)?;
                let table = self.destination(caller, table)?;
                let dest = table.vacant(&self.memory, slot)?;
                self.relocate(found.slot, dest)?;
                Ok(Answer::one(self.handle_at(dest, slot).0).into())
            }
            Call::Delete { source } => self.remove_from(caller, source, Removing::Delete),
            Call::Revoke { source } => self.remove_from(caller, source, Removing::Revoke),
            Call::At { slot } => {
                let at = target(caller)?.at(slot)?;
                if self.memory.slot(at).is_free() {
                    return Err(Error::EmptySlot);
                }
                Ok(Answer::one(self.handle_at(at, slot).0).into())
            }
            Call::Info { source } => {
                let found = self.forest.lookup_any(&self.memory, target(caller)?, source)?;
                let capability = found.capability;
                let size = match capability.kind {
                    Kind::Untyped | Kind::Region => capability.size / PAGE,
                    Kind::CSpace | Kind::AddressSpace => capability.size,
                    _ => 0,
                };
                let info = SlotInfo {
                    kind: capability.kind,
                    rights: capability.rights,
                    badge: Badge(capability.badge),
                    size,
                };
                Ok(Answer { words: info.to_words() }.into())
            }
        }
    }

    /// Moves a capability to a vacant slot, and whatever remembers where it is.
    pub fn relocate(&mut self, source: SlotRef, dest: SlotRef) -> Result<(), Error> {
        self.check_unused(source)?;
        let moved = self.forest.move_to(&mut self.memory, source, dest)?;
        if moved.kind == Kind::Binding {
            let space = Ref::<AddressSpace>::at(PhysAddr(moved.space));
            space.set_binding(&mut self.memory, moved.number, Some(dest));
        }
        Ok(())
    }

    /// A capability through which a thread may queue at an endpoint stays where that thread remembers it. `Busy`.
    fn check_unused(&self, slot: SlotRef) -> Result<(), Error> {
        let slot = self.memory.slot(slot);
        if slot.kind() != Kind::Endpoint || !slot.state().contains(State::WATCHED) {
            return Ok(());
        }
        let endpoint = Ref::<Endpoint>::at(PhysAddr(slot.object()));
        if self.memory[endpoint].callers.is_empty() { Ok(()) } else { Err(Error::Busy) }
    }

    fn copy(&mut self, caller: &Caller, copying: &Copying) -> Result<Outcome, Error> {
        let found = self.forest.lookup_any(&self.memory, target(caller)?, copying.source)?;
        let table = self.destination(caller, copying.table)?;
        let dest = table.vacant(&self.memory, copying.slot)?;
        let change = Change { rights: copying.rights, badge: copying.badge, part: None };
        self.forest.derive(&mut self.memory, found.slot, dest, change)?;
        Ok(Answer::one(self.handle_at(dest, copying.slot).0).into())
    }

    fn remove_from(&mut self, caller: &Caller, source: Handle, removing: Removing) -> Result<Outcome, Error> {
        let table = target(caller)?;
        let slot = match self.forest.locate(&self.memory, table, source) {
            Ok(found) => found.slot,
            Err(error) => {
                // Somebody else may have done the rest, or does it: that counts when no core can reach it any more.
                self.await_quiet(caller.thread);
                self.emptied(table, source, removing).ok_or(error)?
            }
        };
        self.remove(caller, slot, removing)
    }

    /// The slot that an earlier step of this deletion has emptied, while something is left to do.
    fn emptied(&self, table: caps::Table, source: Handle, removing: Removing) -> Option<caps::SlotRef> {
        let slot = table.at(source.index()).ok()?;
        let last = self.memory.slot(slot).generation() == source.generation().next();
        (last && removing == Removing::Delete && self.is_being_deleted(slot)).then_some(slot)
    }
}

/// The table that is invoked.
fn target(caller: &Caller) -> Result<caps::Table, Error> {
    caller.found.capability.table().ok_or(Error::WrongKind)
}
