//! An address space whose every trap returns to the thread that entered it.

use caps::Handle;
use idl_macros::kernel_object;

use crate::abi::TrapKind;

/// An address space to run foreign code in: whatever it does that traps, system calls included, returns to
/// the thread that entered. The registers are in the message page of that thread.
#[kernel_object(kind = Guest)]
pub trait Guest {
    /// Sets the address space. The space needs MANAGE.
    #[method(id = 1, rights = MANAGE, errors(Busy, DepthExceeded))]
    fn configure(space: Handle);

    /// Runs the guest with the registers in the caller's message page until it traps, until the deadline
    /// passes, or until a signal waits in the notification that is bound to the caller; then the page holds
    /// its registers and why it stopped. `BadRange`: rip or a base does not lie in user space. `Busy`:
    /// another thread is in it.
    #[method(id = 2, rights = CALL, errors(NotConfigured, BadRange, Busy), blocking)]
    fn enter() -> TrapKind;
}
