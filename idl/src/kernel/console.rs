//! Where lines for people go.

use idl_macros::kernel_object;

use crate::types::Length;

/// Most bytes that go over the control line in one call: each takes a while, and interrupts are off.
pub const LINE_BYTES: usize = 256;

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

    /// Takes what has come in over the control line, the machine's second serial port, into the message page: at most
    /// `most` bytes, which is at most 256. Answers with how many; never waits. subOS 0 only.
    #[method(id = 3, rights = MANAGE, errors(NotConfigured, WrongState, TooLong))]
    fn receive(most: Length) -> Length;

    /// Sends the first `length` bytes of the message page, at most 256, over the control line. Answers with how many of
    /// them the line took; never waits. subOS 0 only.
    #[method(id = 4, rights = MANAGE, errors(NotConfigured, WrongState, TooLong))]
    fn send(length: Length) -> Length;
}
