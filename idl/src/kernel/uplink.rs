//! A subOS's end of the share with its supervisor.

use caps::Handle;
use idl_macros::kernel_object;

use crate::types::Bits;

/// A subOS's end of the share with its supervisor: a ring of records and a doorbell each way.
#[kernel_object(kind = Uplink)]
pub trait Uplink {
    /// Sends five words; the first must be below 2^63.
    #[method(id = 1, rights = CALL, errors(InvalidArgument, Full))]
    fn send(word_0: u64, word_1: u64, word_2: u64, word_3: u64, word_4: u64);

    /// Takes the oldest record that the supervisor, or the kernel, sent.
    #[method(id = 2, rights = RECEIVE, errors(Empty))]
    fn receive() -> [u64; 5];

    /// Which bits of which notification to signal when something came. 0 unbinds. The notification needs
    /// CALL.
    #[method(id = 3, rights = RECEIVE, errors(AlreadyBound))]
    fn bind(notification: Handle, bits: Bits);
}
