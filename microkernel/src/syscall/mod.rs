//! The path of a system call, in the order in which it is walked:
//!
//! 1. `arch/x86_64/entry` (assembly) saves the user's registers in the current thread's frame
//! 2. `entry/enter.rs`: the unsafe shell, a handful of lines around a safe body
//! 3. `kernel.rs`: locks this core's `Kernel`, yields the one `&mut`
//! 4. `syscall/mod.rs` (here): routes, top to bottom
//! 5. `idl::kernel`: registers to a typed invocation; pure
//! 6. `caps` lookup: presence, freshness, kind, rights
//! 7. `object/<kind>.rs`: checks everything, then performs, which cannot fail
//! 8. `outcome.rs`: answered, deferred or a visit; a must-use `NextThread`
//! 9. `scheduler.rs`: picks who runs
//! 10. `entry/exit.rs`: sanitises flags, checks the return address, clears what could leak
//! 11. `arch/x86_64/entry`: leaves by SYSRET or IRET

use caps::{Capability, Error, Found, Handle, Kind, Rights, SlotIndex, SlotRef, Slots, Table};
use idl::abi::OpWord;
use idl::kernel::{Invocation, endpoint, reply, required_rights};

use crate::kernel::Kernel;
use crate::memory::Ref;
use crate::object::thread::{Own, Thread};
use crate::outcome::{Answer, Outcome};
use crate::types::{PhysAddr, Ticks};

/// Who invokes what, looked up and checked.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The calling thread; it is current.
    pub thread: Ref<Thread>,
    /// Its table.
    pub table: Table,
    /// The capability it invokes, of the right kind and with the rights that the method needs.
    pub found: Found,
    /// When a wait is to end at the latest.
    pub deadline: Option<Ticks>,
    /// The second handle, for methods that take one.
    pub second: Handle,
}

impl Kernel {
    /// Carries out the system call whose registers are in the thread's frame.
    pub fn invoke(&mut self, thread: Ref<Thread>) -> Result<Outcome, Error> {
        let frame = &self.memory[thread].frame;
        let op = OpWord(frame.rax);
        if op.0 == idl::abi::NULL_CALL {
            #[cfg(feature = "bench-padding")]
            crate::arch::x86_64::instructions::hundred_nops();
            return Ok(Answer::NOTHING.into());
        }
        let (handle, words) = (Handle(frame.rdi), frame.message_words());
        let (deadline, second) = (frame.r12, Handle(frame.r13));
        op.check()?;
        #[cfg(feature = "hooks")]
        if let Some(outcome) = crate::machine::hooks::invoked(self, op, &words) {
            return outcome;
        }
        let kind = op.kind().ok_or(Error::UnknownMethod)?;
        let rights = required_rights(kind, op.method())?;
        let table = self.table_of(thread)?;
        let found = self.forest.lookup(&self.memory, table, handle, kind, rights)?;
        let deadline = (deadline != 0).then_some(Ticks(deadline));
        let caller = Caller { thread, table, found, deadline, second };
        match kind {
            Kind::Endpoint => return self.invoke_endpoint(&caller, op),
            Kind::Reply => return self.invoke_reply(&caller, op),
            _ if !op.is_plain() => return Err(Error::InvalidArgument),
            _ => {}
        }
        match Invocation::decode(kind, op.method(), &words)? {
            Invocation::Untyped(call) => self.invoke_untyped(&caller, call),
            Invocation::CSpace(call) => self.invoke_cspace(&caller, call),
            Invocation::Thread(call) => self.invoke_thread(&caller, call),
            Invocation::AddressSpace(call) => self.invoke_address_space(&caller, call),
            Invocation::Region(call) => self.invoke_region(&caller, call),
            Invocation::Notification(call) => self.invoke_notification(&caller, call),
            Invocation::Guest(call) => self.invoke_guest(&caller, call),
            Invocation::Core(call) => self.invoke_core(&caller, call),
            Invocation::SubOs(call) => self.invoke_subos(&caller, call),
            Invocation::Uplink(call) => self.invoke_uplink(&caller, call),
            Invocation::Machine(call) => self.invoke_machine(&caller, call),
            Invocation::DebugConsole(call) => self.invoke_console(&caller, call),
            // Messages were routed above; their methods have no words to decode.
            Invocation::Endpoint(endpoint::Call::Call | endpoint::Call::Send)
            | Invocation::Endpoint(endpoint::Call::Receive | endpoint::Call::ReplyReceive)
            | Invocation::Reply(reply::Call::Reply) => Err(Error::UnknownMethod),
        }
    }

    /// The table in which a thread's handles are looked up.
    pub fn table_of(&self, thread: Ref<Thread>) -> Result<Table, Error> {
        let at = thread.own(Own::Table);
        let usable = !self.forest.is_removing() || !self.forest.is_doomed(&self.memory, at);
        self.memory.slot(at).cspace().filter(|_| usable).ok_or(Error::NotConfigured)
    }

    /// A capability that a call names among its arguments.
    pub fn argument(
        &self,
        caller: &Caller,
        handle: Handle,
        kind: Kind,
        rights: Rights,
    ) -> Result<Found, Error> {
        self.forest.lookup(&self.memory, caller.table, handle, kind, rights)
    }

    /// The table that a call names as a destination: the caller's own for handle 0.
    pub fn destination(&self, caller: &Caller, handle: Handle) -> Result<Table, Error> {
        if handle == Handle::NONE {
            return Ok(caller.table);
        }
        let found = self.argument(caller, handle, Kind::CSpace, Rights::WRITE)?;
        found.capability.table().ok_or(Error::WrongKind)
    }

    /// The handle of what was just put into a slot.
    #[must_use]
    pub fn handle_at(&self, slot: SlotRef, index: SlotIndex) -> Handle {
        Handle::new(index, self.memory.slot(slot).generation())
    }

    /// Puts a copy of what was found into one of a kernel object's own slots, in place of what was there.
    /// The copy has the rights of the original, which must have DERIVE.
    pub fn adopt(&mut self, own: SlotRef, found: &Found) -> Result<(), Error> {
        let rights = found.capability.rights;
        if !rights.contains(Rights::DERIVE) {
            return Err(Error::MissingRight);
        }
        self.forest.check_derivable(&self.memory, found.slot)?;
        self.drop_own(own)?;
        self.forest.derive(&mut self.memory, found.slot, own, caps::Change::rights(rights))?;
        Ok(())
    }

    /// Empties one of a kernel object's own slots. What is there is a copy from which nothing derives: it goes in one step.
    pub fn drop_own(&mut self, own: SlotRef) -> Result<(), Error> {
        if !self.memory.slot(own).is_free() {
            let _ = self.forest.delete_step(&mut self.memory, own, 1, &mut caps::Effects::new())?;
            assert!(self.memory.slot(own).is_free(), "nothing depends on what an object has for itself");
        }
        Ok(())
    }
}

/// The object that a capability names.
#[must_use]
pub fn object_of(capability: &Capability) -> PhysAddr {
    PhysAddr(capability.object)
}
