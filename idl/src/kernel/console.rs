//! Where lines for people go.

use idl_macros::kernel_object;

use crate::types::Length;

/// Where lines for people go: the serial port in subOS 0, elsewhere a ring that the supervisor reads.
#[kernel_object(kind = DebugConsole)]
pub trait DebugConsole {
    /// Writes the first `length` bytes of the message page, all or none. `Full`: the ring has no room for
    /// them now. `TooLong`: more than the words area holds.
    #[method(id = 1, rights = WRITE, errors(NotConfigured, TooLong, Full))]
    fn write(length: Length);

    /// Ends the machine with this status for the harness. subOS 0 only.
    #[method(id = 2, rights = MANAGE, errors(WrongState))]
    fn exit(status: u8);
}
