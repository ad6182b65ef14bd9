//! Room for one pending answer.

use idl_macros::kernel_object;

/// The number of `reply`.
pub const REPLY: u8 = 1;

/// Room for one pending answer. A receive puts the right to answer here; answering uses it up. Deleting the
/// object while somebody waits ends the wait with `Cancelled`.
#[kernel_object(kind = Reply)]
pub trait Reply {
    /// Answers the caller that waits here. `NotPending`: nobody does. `TooLong`: the answer does not fit the
    /// caller, who goes on waiting. `NotConfigured`: the answer needs a message page that the sender lacks.
    #[method(id = 1, rights = CALL, errors(NotPending, NotConfigured, TooLong), message)]
    fn reply();
}
