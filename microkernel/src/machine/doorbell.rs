//! Doorbells: how one end of a share tells the other that something was sent, without its lock. The protocol between
//! the two ends, and with cores that move meanwhile, is [`crate::sync::bell`]; this is what a kernel does at either end.

use caps::{Capability, Error};
use static_assertions::const_assert;

use super::books::Books;
use super::places;
use super::share::Share;
use super::windows::{Window, bell};
use crate::arch;
use crate::kernel::Kernel;
use crate::limits::{MAX_LOTS, MAX_SUBOSES};
use crate::memory::Ref;
use crate::object::notification::Notification;
use crate::outcome::NextThread;
use crate::sync::bell::{Note, Signal};
use crate::types::{CoreId, SubOsId};

/// What a kernel signals when a peer has sent something.
#[derive(Clone, Copy, Debug)]
struct Bound {
    notification: Ref<Notification>,
    bits: u64,
}

/// Who rings, as a number: first the subOSes at the other ends of shares that one was born with, of which a subOS has one,
/// number 0, and the supervisor has all others; then the other sides of windows, by the numbers of their lots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(usize);

/// How many there can be: a bit each in a word.
const SOURCES: usize = MAX_SUBOSES + MAX_LOTS;

const_assert!(SOURCES <= u64::BITS as usize);

impl Source {
    /// A peer.
    #[must_use]
    pub const fn peer(peer: SubOsId) -> Self {
        Self(peer.index() % MAX_SUBOSES)
    }

    /// The other side of a window.
    #[must_use]
    pub const fn window(lot: u8) -> Self {
        Self(MAX_SUBOSES + lot as usize % MAX_LOTS)
    }

    /// Those in a set.
    fn all_in(set: u64) -> impl Iterator<Item = Self> {
        let mut left = set;
        core::iter::from_fn(move || {
            let first = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            (first < SOURCES).then_some(Self(first))
        })
    }
}

/// What a kernel signals for whom, and its sides of windows, by the numbers of the lots.
#[derive(Clone, Copy, Debug)]
pub struct Bindings {
    /// For whom something is signalled.
    heard: u64,
    bound: [Option<Bound>; SOURCES],
    windows: [Option<Window>; MAX_LOTS],
}

impl Bindings {
    /// Nothing is signalled.
    pub const NONE: Self = Self { heard: 0, bound: [None; SOURCES], windows: [None; MAX_LOTS] };

    /// A peer is gone: nothing of it is signalled any more.
    pub(super) fn forget(&mut self, peer: SubOsId) {
        self.set(Source::peer(peer), None);
    }

    fn bound(&self, Source(source): Source) -> Option<Bound> {
        *self.bound.get(source)?
    }

    /// What is signalled for one from now on, if anything is.
    fn set(&mut self, Source(source): Source, bound: Option<Bound>) {
        if let Some(place) = self.bound.get_mut(source) {
            *place = bound;
            self.heard = self.heard & !(1 << source) | u64::from(bound.is_some()) << source;
        }
    }
}

/// The word by which this kernel is told that something was sent.
fn incoming(kernel: &Kernel, Source(source): Source) -> Option<&'static Note> {
    match source.checked_sub(MAX_SUBOSES) {
        Some(lot) => kernel.shares.windows.get(lot)?.map(|window| &bell(window.start, kernel.id).note),
        None if kernel.id == SubOsId::SUPERVISOR => {
            Some(places().share(SubOsId(u8::try_from(source).ok()?)).up().note())
        }
        None => Some(Share::own(kernel.id).down().note()),
    }
}

/// The window that a region is of.
///
/// # Errors
/// `WrongState`: it is of none.
pub fn window(kernel: &Kernel, region: &Capability) -> Result<(u8, Window), Error> {
    let lot = u8::try_from(region.badge).map_err(|_| Error::WrongState)?;
    let window = kernel.shares.windows.get(usize::from(lot)).copied().flatten();
    window.map(|window| (lot, window)).ok_or(Error::WrongState)
}

/// A kernel has a side of a window from now on, or has it no more.
pub fn set_window(kernel: &mut Kernel, lot: u8, window: Option<Window>) {
    if let Some(place) = kernel.shares.windows.get_mut(usize::from(lot)) {
        *place = window;
    }
    kernel.shares.set(Source::window(lot), None);
}

/// Tells the other side of a window that there is something to look at.
pub fn ring_across(window: Window) {
    let bell = bell(window.start, window.peer);
    interrupt(bell.note.ring(&bell.target));
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

/// Something may have come: signals what is bound. A bounded scan, of this kernel's own shares alone.
pub fn doorbell_interrupt(kernel: &mut Kernel) -> NextThread {
    Source::all_in(kernel.shares.heard)
        .fold(NextThread::Same, |next, source| next.and(deliver(kernel, source)))
}

fn deliver(kernel: &mut Kernel, source: Source) -> NextThread {
    let mut next = NextThread::Same;
    if let (Some(bound), Some(note)) = (kernel.shares.bound(source), incoming(kernel, source)) {
        note.announce(|| {
            next = kernel.signal(bound.notification, bound.bits);
            let kept = kernel.memory[bound.notification].bits & bound.bits == bound.bits;
            if kept { Signal::Kept } else { Signal::Taken }
        });
    }
    next
}

/// A thread is about to wait for this notification: the bits of those who have sent something.
pub fn take_doorbell_bits(kernel: &mut Kernel, notification: Ref<Notification>) -> u64 {
    let mut bits = 0;
    for source in Source::all_in(kernel.shares.heard) {
        let bound = kernel.shares.bound(source).filter(|bound| bound.notification == notification);
        if let Some(bound) = bound
            && incoming(kernel, source).is_some_and(Note::take)
        {
            bits |= bound.bits;
        }
    }
    bits
}

/// What a doorbell is to signal from now on, checked: a notification's bits, or nothing.
#[derive(Clone, Copy, Debug)]
pub struct Binding(Source, Option<Bound>);

/// Whether a doorbell can be bound to a notification, or with `None` unbound.
///
/// # Errors
/// `AlreadyBound`.
pub fn check(
    kernel: &Kernel,
    source: Source,
    to: Option<(Ref<Notification>, u64)>,
) -> Result<Binding, Error> {
    if kernel.shares.bound(source).is_some() && to.is_some() {
        return Err(Error::AlreadyBound);
    }
    Ok(Binding(source, to.map(|(notification, bits)| Bound { notification, bits })))
}

/// Binds a doorbell, or unbinds it. What came before counts.
pub fn bind(kernel: &mut Kernel, Binding(source, bound): Binding) -> NextThread {
    kernel.shares.set(source, bound);
    let Some(bound) = bound else { return NextThread::Same };
    kernel.memory[bound.notification].doorbells = true;
    deliver(kernel, source)
}

/// A notification is gone: no doorbell signals it any more.
pub fn forget_notification(kernel: &mut Kernel, notification: Ref<Notification>) {
    for source in Source::all_in(kernel.shares.heard) {
        if kernel.shares.bound(source).is_some_and(|bound| bound.notification == notification) {
            kernel.shares.set(source, None);
        }
    }
}
