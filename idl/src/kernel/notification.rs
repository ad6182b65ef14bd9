//! A word of bits to signal and to wait for.

use idl_macros::kernel_object;

use crate::types::Bits;

/// The number of `signal`.
pub const SIGNAL: u8 = 1;

/// A word of bits to signal and to wait for. Bits that are set stay set until a wait takes them.
#[kernel_object(kind = Notification)]
pub trait Notification {
    /// Sets bits and wakes who waits. A capability with a badge sets the badge's bits, whatever is asked.
    #[method(id = 1, rights = CALL)]
    fn signal(bits: Bits);

    /// Waits until any bit is set, then takes all of them.
    #[method(id = 2, rights = RECEIVE, errors(TimedOut, Cancelled), blocking)]
    fn wait() -> Bits;
}
