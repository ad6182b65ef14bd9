//! The unsafe shell between assembly and kernel. Step 2 of the path of a system call.
//!
//! The shell's duties: (1) make the one `&mut Core` of this entry, (2) name the cause, (3) end the interrupt,
//! (4) call the kernel until it wants user code to run, idling or parking in between, (5) leave the processor's user
//! state as the frame says and hand the frame to the assembly. A system call needs no (2) and (3), and mostly no second
//! call of the kernel.

use crate::arch::now;
use crate::arch::x86_64::core::Core;
use crate::arch::x86_64::frame::{Frame, FramePtr};
use crate::arch::x86_64::interrupts::{Pending, Vector};
use crate::arch::x86_64::mailbox::Mailbox;
use crate::arch::x86_64::{apic, area, entry, instructions, park, planted, traps};
use crate::inside;
use crate::panic::{self, KernelFault};
use crate::trace::{self, Event};

use super::call;
use super::cause::{Cause, Fault};
use super::exit::{Exit, FrameChange, bases_must_be_loaded, check_bases, prepare};

/// Called by the entry of system calls; returns the frame to load.
///
/// # Safety
/// As for [`kernel_enter`].
pub(crate) unsafe extern "C" fn kernel_called(core: *mut Core) -> *mut Frame {
    // SAFETY: the caller's promise; the reference ends with this call.
    let core = unsafe { &mut *core };
    planted::entered(core);
    call::called(core).as_ptr()
}

/// Called by every other entry; returns the frame to load.
///
/// # Safety
/// Only the assembly calls this: on the core's own stack, interrupts off, `core` being this core's struct which nobody
/// else refers to, and with the interrupted registers saved in its frame.
pub(crate) unsafe extern "C" fn kernel_enter(core: *mut Core, number: u64) -> *mut Frame {
    // SAFETY: the caller's promise; the reference ends with this call.
    let core = unsafe { &mut *core };
    let cause = match number {
        entry::ARRIVED => Cause::Arrived,
        entry::VISIT_FAILED => Cause::VisitFailed,
        vector => trap_cause(core, Vector(vector.to_le_bytes()[0])),
    };
    let exit = enter(core, cause);
    leave(core, exit).as_ptr()
}

fn trap_cause(core: &Core, vector: Vector) -> Cause {
    if vector >= Vector::FIRST_INTERRUPT {
        if vector != Vector::SPURIOUS {
            apic::end_of_interrupt();
        }
        return Cause::Interrupt(vector);
    }
    let Some(frame) = core.frame() else {
        return Cause::Fault(Fault { vector, error: 0, address: 0 });
    };
    // SAFETY: the frame was just saved by this core, which is alone with it until the exit.
    Cause::of_trap(vector, unsafe { &*frame.as_ptr() })
}

/// Leaves the kernel as it wants to be left. The ordinary way out comes first.
#[inline(always)]
pub(super) fn leave(core: &mut Core, exit: Exit) -> FramePtr {
    match exit {
        Exit::Run(frame) if load(core, frame).is_ok() => frame,
        other => leave_later(core, other),
    }
}

/// Calls the kernel again until user code is to run.
#[cold]
#[inline(never)]
fn leave_later(core: &mut Core, first: Exit) -> FramePtr {
    let mut exit = first;
    loop {
        let cause = match exit {
            Exit::Run(frame) => match load(core, frame) {
                Ok(()) => return frame,
                Err(fault) => Cause::Fault(fault),
            },
            Exit::Idle => Cause::Woken(idle(core)),
            leaving @ (Exit::Park | Exit::ParkAndRedo) => {
                if leaving == Exit::ParkAndRedo {
                    redo(core);
                }
                inside::depart(core);
                // What the old owner is still told is forgotten, and the core does not keep it waiting while it clears itself.
                // SAFETY: as where it idles; in kernel mode the interrupt's handler notes a bit.
                unsafe { instructions::take_pending() };
                // SAFETY: the kernel has let go of its lock, and nothing on this stack is needed any more.
                unsafe { park::leave(core.id()) }
            }
        };
        exit = enter(core, cause);
    }
}

/// Calls the kernel, and leaves a trace of why.
fn enter(core: &mut Core, cause: Cause) -> Exit {
    planted::entered(core);
    note(core, cause);
    inside::entered(core, cause)
}

/// Leaves a trace. System calls the kernel traces when it knows whose they are.
fn note(core: &mut Core, cause: Cause) {
    let (event, first, second) = match cause {
        Cause::Arrived => (Event::Arrived, core.subos().map_or(0, |subos| subos.0.into()), 0),
        Cause::Interrupt(vector) => (Event::Interrupt, vector.0.into(), 0),
        Cause::Fault(fault) => (Event::Fault, fault.vector.0.into(), fault.address),
        Cause::Woken(pending) => (Event::Woken, pending.bits(), 0),
        Cause::VisitFailed => (Event::VisitEnd, 0, 0),
    };
    trace::record(core, now(), event, first, second);
}

/// Makes the system call of this entry happen again when its frame next runs.
fn redo(core: &mut Core) {
    if let Some(frame) = core.frame() {
        // SAFETY: the frame was saved by this core and nobody has been told yet that it may be touched.
        unsafe { &mut *frame.as_ptr() }.rewind_syscall();
    }
}

/// Makes the processor's user state what the frame says, as far as it differs.
#[inline(always)]
fn load(core: &mut Core, frame: FramePtr) -> Result<(), Fault> {
    let change = if core.frame() == Some(frame) { FrameChange::Same } else { FrameChange::Different };
    core.set_frame(frame);
    // SAFETY: by the contract of `FramePtr::new` the frame is valid, and only this core touches it now.
    let user = unsafe { &mut *frame.as_ptr() };
    prepare(user)?;
    let (fs, gs) = (user.registers.fs_base, user.registers.gs_base);
    if bases_must_be_loaded([fs, gs], [core.loaded_fs, core.loaded_gs], change) {
        load_bases(core, fs, gs)?;
    }
    Ok(())
}

/// Loads the bases of FS and GS. What is loaded was checked here, so that the frame that it is in needs no check again.
fn load_bases(core: &mut Core, fs: u64, gs: u64) -> Result<(), Fault> {
    check_bases(fs, gs)?;
    traps::set_user_fs(fs);
    traps::set_user_gs(gs);
    (core.loaded_fs, core.loaded_gs) = (fs, gs);
    Ok(())
}

/// Sleeps, on the home root, until an interrupt has been taken.
fn idle(core: &mut Core) -> Pending {
    core.clear_frame();
    let mailbox = core.mailbox();
    loop {
        let pending = Pending::from_bits_truncate(mailbox.take_pending());
        if !pending.is_empty() {
            return pending;
        }
        // SAFETY: the interrupt table is loaded; in kernel mode its handler notes a bit, which the loop looks for.
        unsafe { instructions::sleep() };
    }
}

/// An interrupt that the idle loop or the park loop let in.
///
/// # Safety
/// Only the assembly calls this, with this core's struct.
pub(crate) unsafe extern "C" fn kernel_interrupted(core: *const Core, vector: u64) {
    let vector = Vector(vector.to_le_bytes()[0]);
    // The struct itself is in the hands of the interrupted code; its address says which core this is.
    let mailbox = Mailbox::of(area::owner(core as u64));
    mailbox.note_pending(Pending::of(vector).bits());
    if vector != Vector::SPURIOUS {
        apic::end_of_interrupt();
    }
}

/// A non-maskable interrupt: parks the core if the supervisor has condemned its subOS, else returns.
///
/// # Safety
/// Only the assembly calls this, on the NMI stack, with this core's struct.
pub(crate) unsafe extern "C" fn kernel_nmi(core: *const Core) {
    let id = area::owner(core as u64);
    if Mailbox::of(id).is_condemned() {
        // SAFETY: the subOS is condemned, so its lock and its stacks are of no further use.
        unsafe { park::leave(id) };
    }
}

/// What the processor pushed, with the stub's two words.
#[repr(C)]
pub(crate) struct TrapStack {
    vector: u64,
    error: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

/// An exception in kernel mode, or one that is always fatal.
///
/// # Safety
/// Only the assembly calls this, on this core, with what the processor pushed.
pub(crate) unsafe extern "C" fn kernel_fatal(core: *mut Core, stack: *const TrapStack, cr2: u64) -> ! {
    // SAFETY: the assembly points to what the processor has just pushed.
    let trap = unsafe { &*stack };
    // SAFETY: whoever held the struct never runs again on this stack.
    let core = unsafe { &mut *core };
    panic::kernel_fault(
        core,
        KernelFault {
            vector: Vector(trap.vector.to_le_bytes()[0]),
            error: trap.error,
            rip: trap.rip,
            rsp: trap.rsp,
            address: cr2,
        },
    )
}
