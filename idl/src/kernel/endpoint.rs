//! Where synchronous calls meet.

use idl_macros::kernel_object;

/// The number of `call`.
pub const CALL: u8 = 1;
/// The number of `send`.
pub const SEND: u8 = 2;
/// The number of `receive`.
pub const RECEIVE: u8 = 3;
/// The number of `reply_receive`.
pub const REPLY_RECEIVE: u8 = 4;

/// Where synchronous calls meet. A message is a label, up to 255 words (the first five in registers, the
/// others in the message page) and up to four capabilities, in the slots that the receiver named in its message
/// page: children of the sender's, or the sender's own where it set the bit in word 266 of its page, which is moved
/// and keeps its place in the derivation tree. One that cannot be handed over (it went, it lacks DERIVE, the slot
/// is taken; it is to be moved and has children, or others queue with it) arrives as 0; the message arrives all the
/// same.
#[kernel_object(kind = Endpoint)]
pub trait Endpoint {
    /// Sends a message and waits for the answer. `TooLong`: the message needs a message page and the
    /// receiver has none. `Cancelled`: the endpoint or the reply
    /// went, or the thread was suspended. `NotConfigured`: it has more than five words or any capability, and
    /// the caller has no message page.
    #[method(id = 1, rights = CALL, errors(TimedOut, Cancelled, NotConfigured, TooLong), message)]
    fn call();

    /// Sends a message that has no answer, and waits until it is received.
    #[method(id = 2, rights = CALL, errors(TimedOut, Cancelled, NotConfigured, TooLong), message)]
    fn send();

    /// Waits for a message, or for a signal of the notification that is bound to the thread. r13 names a
    /// Reply object of the caller, which takes the right to answer; it must not hold one already (`Busy`).
    #[method(id = 3, rights = RECEIVE, errors(TimedOut, Cancelled, Busy), message)]
    fn receive();

    /// Answers the caller that waits in the Reply object in r13, then receives as `receive` does, in one
    /// step. An answer that cannot be delivered is dropped, so that no client can stop a server's loop: if nobody
    /// waits there any more it only receives, and a caller who lacks a message page for it gets `TooLong`.
    #[method(id = 4, rights = RECEIVE, errors(TimedOut, Cancelled, NotConfigured), message)]
    fn reply_receive();
}
