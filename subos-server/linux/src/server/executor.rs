//! An executor: one core's thread, which enters guests and tells the personality what they did.

use alloc::sync::Arc;

use idl::abi::{FxArea, GuestFrame, Registers as FrameRegisters, TrapKind};
use idl::types::Deadline;
use linux::Work;
use linux::platform::{ExecutorId, Space};
use linux::registers::{Access, Context, FpState, Registers, Trap};
use userlib::cap::{AddressSpace, Guest, Notification};
use userlib::{Cap, Error, page};

use super::system::{ENDED, System};

/// Bits of a page fault's error code (Intel SDM volume 3, section 4.7).
const FAULT_WRITE: u64 = 1 << 1;
const FAULT_FETCH: u64 = 1 << 4;

/// One executor.
pub(super) struct Executor {
    pub(super) system: Arc<System>,
    pub(super) id: ExecutorId,
    pub(super) guest: Cap<Guest>,
    pub(super) wake: Cap<Notification>,
}

/// What the locked part decided.
enum Step {
    Enter(Space, Cap<AddressSpace>, Deadline),
    Wait(Deadline),
}

impl Executor {
    /// Runs guests for ever. Comes back only if the kernel refuses what it cannot refuse.
    pub(super) fn run(self) -> Error {
        let mut context = Context::default();
        let mut configured = None;
        let mut trap = None;
        loop {
            match self.step(trap.take(), &mut context) {
                Step::Enter(space, target, deadline) => {
                    if configured != Some(space) {
                        if let Err(error) = self.guest.configure(target.handle()) {
                            return error;
                        }
                        configured = Some(space);
                    }
                    match self.enter(&mut context, deadline) {
                        Ok(happened) => trap = Some(happened),
                        Err(error) => return error,
                    }
                }
                // The answer only says why the wait ended; the personality is asked in any case.
                Step::Wait(deadline) => drop(self.wake.wait(deadline)),
            }
        }
    }

    /// Tells the personality what happened and asks what to do, in one go under its lock.
    fn step(&self, trap: Option<Trap>, context: &mut Context) -> Step {
        let mut linux = self.system.linux.lock();
        if let Some(trap) = trap {
            linux.trapped(self.id, trap, context);
        }
        if self.system.is_dormant(self.id) {
            linux.retire(self.id);
            while let Some(other) = linux.take_kick() {
                self.system.wake(other);
            }
            return Step::Wait(Deadline::NEVER);
        }
        let work = linux.next(self.id, context);
        while let Some(other) = linux.take_kick() {
            self.system.wake(other);
        }
        let machine = linux.platform();
        match work {
            Work::Run { space, until } => match machine.space(space) {
                Some(target) => Step::Enter(space, target, Deadline(machine.ticks(until).0)),
                None => Step::Wait(Deadline::POLL),
            },
            Work::Idle(Some(until)) => Step::Wait(Deadline(machine.ticks(until).0.saturating_add(1))),
            Work::Idle(None) => Step::Wait(Deadline::NEVER),
            Work::Finished(_) => {
                // The manager's notification lives as long as the program.
                let _ = self.system.manager.signal(ENDED);
                Step::Wait(Deadline::NEVER)
            }
        }
    }

    /// Enters the guest; afterwards `context` is its state.
    fn enter(&self, context: &mut Context, deadline: Deadline) -> Result<Trap, Error> {
        let registers = to_frame(&context.registers);
        page::set_frame(&GuestFrame { registers, ..GuestFrame::default() })?;
        page::set_fx(&FxArea(context.fp.0))?;
        let kind = match self.guest.enter(deadline) {
            Ok(kind) => kind,
            // A base or an instruction pointer that the kernel does not load: as an unreachable address.
            Err(Error::BadRange) => return Ok(Trap::Exception { vector: 13 }),
            Err(error) => return Err(error),
        };
        let frame = page::frame()?;
        context.registers = from_frame(&frame.registers);
        context.fp = FpState(page::fx()?.0);
        Ok(match kind {
            TrapKind::SystemCall => Trap::Syscall,
            TrapKind::PageFault => {
                let code = frame.trap.error_code;
                let access = if code & FAULT_FETCH != 0 {
                    Access::Execute
                } else if code & FAULT_WRITE != 0 {
                    Access::Write
                } else {
                    Access::Read
                };
                Trap::PageFault { address: frame.trap.address, access }
            }
            TrapKind::Exception => Trap::Exception { vector: u8::try_from(frame.trap.vector).unwrap_or(13) },
            TrapKind::Interrupted | TrapKind::Cancelled => Trap::Slice,
        })
    }
}

macro_rules! same_registers {
    ($($field:ident)*) => {
        fn to_frame(from: &Registers) -> FrameRegisters {
            FrameRegisters { $($field: from.$field),* }
        }

        fn from_frame(from: &FrameRegisters) -> Registers {
            Registers { $($field: from.$field),* }
        }
    };
}

same_registers! {
    rax rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags rsp fs_base gs_base
}
