//! Events over an endpoint: the notification that a server signals, and how a client comes to one.

use caps::{Error, Handle, Rights};
use idl::interface::{Bell, BellCap};
use idl::types::Bits;

use super::parcel::remove;
use crate::cap::{Cap, Notification, cap};
use crate::environment::environment;
use crate::{memory, slots};

/// A subscriber's notification, as the server has it: with the right to signal, and no other that matters. Dropping it deletes
/// the server's capability.
#[derive(Debug)]
pub struct EventBell(Cap<Notification>);

impl Bell for EventBell {
    fn new(notification: Handle) -> Self {
        Self(cap(notification))
    }

    fn ring(&mut self) -> bool {
        // Signalling waits for nobody. What can be wrong is that the subscriber has taken its notification away, or ended.
        !matches!(self.0.signal(Bits(1)), Err(Error::EmptySlot | Error::StaleHandle))
    }
}

impl Drop for EventBell {
    fn drop(&mut self) {
        remove(self.0.handle());
    }
}

/// Subscribes with this notification: `offer(bell, |bell| client.subscribe(bell))`. The server gets a capability of its own to
/// it, which can signal and not wait; if it does not take it, nothing stays behind.
///
/// # Errors
/// Those of `CSpace.copy`. What subscribing failed with is in the answer.
pub fn offer<R>(bell: Cap<Notification>, subscribe: impl FnOnce(BellCap) -> R) -> Result<R, Error> {
    let copy = memory::copy(bell, Rights::CALL | Rights::DERIVE)?;
    let answer = subscribe(copy.give());
    if environment().cspace().info(copy.handle()).is_ok() {
        remove(copy.handle());
    } else {
        slots::release(copy.handle().index());
    }
    Ok(answer)
}
