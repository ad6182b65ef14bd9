//! Doorbells: how one end of a share tells the other that something was sent, without its lock. The protocol between
//! the two ends, and with cores that move meanwhile, is [`crate::sync::bell`]; this is what a kernel does at either end.

use caps::Error;

use super::books::Books;
use super::places;
use super::share::Share;
use crate::arch;
use crate::kernel::Kernel;
use crate::limits::MAX_SUBOSES;
use crate::memory::Ref;
use crate::object::notification::Notification;
use crate::outcome::NextThread;
use crate::sync::bell::Signal;
use crate::types::{CoreId, SubOsId};

/// What a kernel signals when a peer has sent something.
#[derive(Clone, Copy, Debug)]
struct Bound {
    notification: Ref<Notification>,
    bits: u64,
}

/// For each peer of a kernel, what is signalled. A subOS has one peer, number 0; the supervisor has all others.
#[derive(Clone, Copy, Debug)]
pub struct Bindings {
    bound: [Option<Bound>; MAX_SUBOSES],
}

impl Bindings {
    /// Nothing is signalled.
    pub const NONE: Self = Self { bound: [None; MAX_SUBOSES] };
}

/// This kernel's end of the share with a peer.
#[must_use]
pub fn share_with(kernel: &Kernel, peer: SubOsId) -> Share {
    if kernel.id == SubOsId::SUPERVISOR { places().share(peer) } else { Share::own(kernel.id) }
}

/// The direction in which this kernel receives from a peer.
fn incoming(kernel: &Kernel, peer: SubOsId) -> &'static super::share::Direction {
    let share = share_with(kernel, peer);
    if kernel.id == SubOsId::SUPERVISOR { share.up() } else { share.down() }
}

/// Tells the supervisor that something was sent up. For a subOS's kernel.
pub fn ring_up(share: Share) {
    let up = share.up();
    interrupt(up.note().ring(up.target()));
}

/// Tells a subOS that something was sent down. For the supervisor's kernel, which keeps the target where the
/// subOS cannot write it.
pub fn ring_down(subos: SubOsId) {
    interrupt(places().share(subos).down().note().ring(Books::doorbell_target(subos)));
}

/// Interrupts a doorbell's core, if it has one.
pub(super) fn interrupt(target: Option<CoreId>) {
    if let Some(core) = target {
        arch::send_ipi(core, arch::Vector::DOORBELL);
    }
}

/// What is signalled for which peer.
fn bound(kernel: &Kernel) -> impl Iterator<Item = (SubOsId, Bound)> + use<> {
    let all = kernel.shares.bound;
    (0..).map(SubOsId).zip(all).filter_map(|(peer, bound)| Some((peer, bound?)))
}

/// Something may have come: signals what is bound. A bounded scan, of this kernel's own shares alone.
pub fn doorbell_interrupt(kernel: &mut Kernel) -> NextThread {
    bound(kernel).fold(NextThread::Same, |next, (peer, bound)| next.and(deliver(kernel, peer, bound)))
}

fn deliver(kernel: &mut Kernel, peer: SubOsId, bound: Bound) -> NextThread {
    let mut next = NextThread::Same;
    incoming(kernel, peer).note().announce(|| {
        next = kernel.signal(bound.notification, bound.bits);
        let kept = kernel.memory[bound.notification].bits & bound.bits == bound.bits;
        if kept { Signal::Kept } else { Signal::Taken }
    });
    next
}

/// A thread is about to wait for this notification: the bits of those peers that have sent something.
pub fn take_doorbell_bits(kernel: &mut Kernel, notification: Ref<Notification>) -> u64 {
    let mut bits = 0;
    for (peer, bound) in bound(kernel).filter(|(_, bound)| bound.notification == notification) {
        if incoming(kernel, peer).note().take() {
            bits |= bound.bits;
        }
    }
    bits
}

/// What a peer's doorbell is to signal from now on, checked: a notification's bits, or nothing.
#[derive(Clone, Copy, Debug)]
pub struct Binding(Option<Bound>);

/// Whether a peer's doorbell can be bound to a notification, or with `None` unbound.
///
/// # Errors
/// `AlreadyBound`; `OutOfRange` for a peer that cannot be.
pub fn check(kernel: &Kernel, peer: SubOsId, to: Option<(Ref<Notification>, u64)>) -> Result<Binding, Error> {
    let present = kernel.shares.bound.get(peer.index()).ok_or(Error::OutOfRange)?;
    if present.is_some() && to.is_some() {
        return Err(Error::AlreadyBound);
    }
    Ok(Binding(to.map(|(notification, bits)| Bound { notification, bits })))
}

/// Binds a peer's doorbell, or unbinds it. What came before counts.
pub fn bind(kernel: &mut Kernel, peer: SubOsId, Binding(binding): Binding) -> NextThread {
    if let Some(place) = kernel.shares.bound.get_mut(peer.index()) {
        *place = binding;
    }
    let Some(bound) = binding else { return NextThread::Same };
    kernel.memory[bound.notification].doorbells = true;
    deliver(kernel, peer, bound)
}

/// A peer is gone: nothing of it is signalled any more.
pub fn unbind(kernel: &mut Kernel, peer: SubOsId) {
    if let Some(place) = kernel.shares.bound.get_mut(peer.index()) {
        *place = None;
    }
}

/// A notification is gone: no peer's doorbell signals it any more.
pub fn forget_notification(kernel: &mut Kernel, notification: Ref<Notification>) {
    for place in &mut kernel.shares.bound {
        if place.is_some_and(|bound| bound.notification == notification) {
            *place = None;
        }
    }
}
