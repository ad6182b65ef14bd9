//! A thread of execution.

use caps::Handle;
use idl_macros::kernel_object;

use crate::types::{Badge, PageIndex, Priority, ThreadState, Ticks, UserAddress};
use crate::word::words;

words! {
    /// What a thread is about.
    pub struct ThreadInfo {
        /// What it does now.
        state: ThreadState,
        /// For how long it has run.
        ticks: Ticks,
    }
}

/// A thread of execution. It needs a table, an address space and, for anything that goes through the message
/// page, a page of a region as its message page.
#[kernel_object(kind = Thread)]
pub trait Thread {
    /// Gives the thread its table, its address space and its message page: page `page` of `region`, or none
    /// when `region` is 0. The thread must not have been started.
    #[method(id = 1, rights = MANAGE, errors(WrongState, BadRange, DepthExceeded))]
    fn configure(table: Handle, space: Handle, region: Handle, page: PageIndex);

    /// Starts it at `entry` with this stack pointer and with `argument` in rdi. It needs a table, a space and
    /// a core (see `schedule`).
    #[method(id = 2, rights = MANAGE, errors(WrongState, NotConfigured, BadRange))]
    fn start(entry: UserAddress, stack: UserAddress, argument: u64);

    /// Stops it where it is. What it waited for ends with `Cancelled`.
    #[method(id = 3, rights = MANAGE, errors(WrongState))]
    fn suspend();

    /// Lets it go on after `suspend`, or after a fault that nobody handles; or begin, with the registers that
    /// `write_registers` gave it. It needs a table and a space.
    #[method(id = 4, rights = MANAGE, errors(WrongState, NotConfigured))]
    fn resume();

    /// Sets its priority and the core it runs on. `core` 0 leaves the core as it is.
    #[method(id = 5, rights = MANAGE)]
    fn schedule(priority: Priority, core: Handle);

    /// Where its faults go: a call of this endpoint with the fault label and this badge. Answering it lets
    /// the thread go on. 0 takes the handler away. The endpoint needs CALL.
    #[method(id = 6, rights = MANAGE, errors(DepthExceeded))]
    fn fault_handler(endpoint: Handle, badge: Badge);

    /// Binds a notification: a signal of it ends a receive. The notification needs RECEIVE. 0 unbinds.
    #[method(id = 7, rights = MANAGE, errors(AlreadyBound, DepthExceeded))]
    fn bind(notification: Handle);

    /// Writes its registers and vector state into the caller's message page. It must not be running.
    #[method(id = 8, rights = READ, errors(NotConfigured, WrongState))]
    fn read_registers();

    /// Sets its registers and vector state from the caller's message page. It must be stopped, or stand at a fault:
    /// while it waits for anything else its registers are a message. Flags that user code may not set are ignored;
    /// rip must lie in user space.
    #[method(id = 9, rights = MANAGE, errors(NotConfigured, WrongState, BadRange))]
    fn write_registers();

    /// The calling thread, which must be the target, lets others of its priority run.
    #[method(id = 10, rights = NONE, errors(WrongState))]
    fn yield_();

    /// What it does, and for how long it has run.
    #[method(id = 11, rights = READ)]
    fn info() -> ThreadInfo;
}
