//! The path of a system call, in the order in which it is walked:
//!
//! 1. `arch/x86_64/entry` (assembly) saves the user's registers in the current thread's frame
//! 2. `entry/enter.rs`: the unsafe shell, a handful of lines around a safe body
//! 3. `inside.rs`: locks this core's `Kernel`, yields the one `&mut`
//! 4. `entry/call.rs`: routes. A short message goes by `shortcut.rs`, if all is as it mostly is; every other call by 5 to 9,
//!    which are put together here
//! 5. `caps` lookup: presence, freshness, kind, rights
//! 6. `idl::kernel`: registers to a typed call; pure
//! 7. `object/<kind>.rs`: decode (checks everything, changes nothing), then perform (changes state, cannot fail)
//! 8. `outcome.rs`: answered, deferred, ended or a visit; a must-use `NextThread`
//! 9. `scheduler.rs`: picks who runs
//! 10. `entry/exit.rs`: sanitises flags, checks the return address, clears what could leak
//! 11. `arch/x86_64/entry`: leaves by SYSRET or IRET

use caps::{
    Capability, Child, Effects, Error, Found, Handle, Kind, Rights, SlotIndex, SlotRef, Slots, Table,
};
use idl::abi::OpWord;

use crate::kernel::{Kernel, Step};
use crate::memory::Ref;
use crate::object::Methods;
use crate::object::thread::{Own, Thread};
use crate::outcome::{Answer, NextThread, Outcome};
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
    /// What it asks, and what the message is like that goes along.
    pub op: OpWord,
    /// When a wait is to end at the latest.
    pub deadline: Option<Ticks>,
    /// The second handle, for methods that take one.
    pub second: Handle,
}

impl Kernel {
    /// Steps 5 to 8 of the path.
    #[inline(always)]
    pub fn carry_out<C: Methods>(&mut self, thread: Ref<Thread>, op: OpWord, method: u8) -> Step {
        let (caller, request) = match self.decode::<C>(thread, op, method) {
            Ok(decoded) => decoded,
            Err(error) => {
                crate::journal::answered(&self.forest, thread, op, &Err(error));
                self.memory[thread].frame.set_error(error);
                return Step::Leave(NextThread::Same);
            }
        };
        let outcome = C::perform(request, self, &caller);
        crate::journal::answered(&self.forest, thread, op, &Ok(outcome));
        match outcome {
            Outcome::Answered(answer, next) => {
                self.memory[thread].frame.set_answer(answer.words);
                Step::Leave(next)
            }
            Outcome::Deferred(next) => Step::Leave(next),
            Outcome::Visit(visit) => Step::Visit(visit),
            Outcome::Ended(result) => {
                self.answer(thread, result.map(|()| Answer::NOTHING));
                Step::Leave(NextThread::Same)
            }
        }
    }

    /// Looks up who calls what, and has the call checked. Changes nothing.
    #[inline(always)]
    fn decode<C: Methods>(
        &self,
        thread: Ref<Thread>,
        op: OpWord,
        method: u8,
    ) -> Result<(Caller, C::Request), Error> {
        let rights = C::rights(method)?;
        let table = self.table_of(thread)?;
        let frame = &self.memory[thread].frame;
        let registers = &frame.registers;
        let found = self.forest.lookup(&self.memory, table, Handle(registers.rdi), C::KIND, rights)?;
        if !(C::CARRY_MESSAGES || op.is_plain()) {
            return Err(Error::InvalidArgument);
        }
        let call = C::from_words(method, &frame.message_words())?;
        let deadline = (registers.r12 != 0).then_some(Ticks(registers.r12));
        let caller = Caller { thread, table, found, op, deadline, second: Handle(registers.r13) };
        let request = call.decode(self, &caller)?;
        Ok((caller, request))
    }

    /// The table in which a thread's handles are looked up.
    #[inline(always)]
    pub fn table_of(&self, thread: Ref<Thread>) -> Result<Table, Error> {
        let cut = || self.forest.is_doomed(&self.memory, thread.own(Own::Table));
        let table = self.memory[thread].table();
        table.filter(|_| !self.forest.is_removing() || !cut()).ok_or(Error::NotConfigured)
    }

    /// A capability that a call names among its arguments.
    #[inline]
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
    #[inline]
    pub fn destination(&self, caller: &Caller, handle: Handle) -> Result<Table, Error> {
        if handle == Handle::NONE {
            return Ok(caller.table);
        }
        let found = self.argument(caller, handle, Kind::CSpace, Rights::WRITE)?;
        found.capability.table().ok_or(Error::WrongKind)
    }

    /// A slot that is free, and the handle of what is put there next.
    #[inline]
    pub fn vacant(&self, table: Table, slot: SlotIndex) -> Result<(SlotRef, Handle), Error> {
        let at = table.vacant(&self.memory, slot)?;
        Ok((at, Handle::new(slot, self.memory.slot(at).generation())))
    }

    /// The caller's message page.
    pub fn page_of(&self, caller: &Caller) -> Result<PhysAddr, Error> {
        self.message_page(caller.thread).ok_or(Error::NotConfigured)
    }

    /// A copy of what was found, for one of a kernel object's own slots. It has the rights of the original, which must
    /// have DERIVE.
    pub fn adoption(&self, own: SlotRef, found: &Found) -> Result<Child, Error> {
        self.forest.check_replace(&self.memory, found.slot, own)
    }

    /// Puts a copy into one of a kernel object's own slots, in place of what was there.
    pub fn adopt(&mut self, child: Child) {
        self.drop_own(child.dest());
        self.forest.grow(&mut self.memory, child);
    }

    /// The same, or only empties the slot.
    pub fn adopt_or_drop(&mut self, own: SlotRef, child: Option<Child>) {
        match child {
            Some(child) => self.adopt(child),
            None => self.drop_own(own),
        }
    }

    /// Empties one of a kernel object's own slots. What is there is a copy from which nothing derives: it goes in one step.
    pub fn drop_own(&mut self, own: SlotRef) {
        if !self.memory.slot(own).is_free() {
            let _ = self.forest.delete_step(&mut self.memory, own, 1, &mut Effects::new());
            assert!(self.memory.slot(own).is_free(), "nothing depends on what an object has for itself");
        }
    }
}

/// The object that a capability names.
#[must_use]
pub fn object_of(capability: &Capability) -> PhysAddr {
    PhysAddr(capability.object)
}
