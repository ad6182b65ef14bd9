//! Capabilities as arguments and results.
//!
//! A signature says of each how it is passed, of which kind it is, and the rights that it must have:
//! `Lent<Region, { right::READ | right::WRITE }>`. A caller writes `client.fill(buffer.lend())`, a server
//! `buffer.cap()`. Over an endpoint they travel in the message; in one process, as values.

use core::marker::PhantomData;

use caps::{Handle, Kind, Rights};

use crate::abi::MESSAGE_CAPS;
use crate::client::{Cap, Invoke, Object};

/// The kernel's rights, to be written in signatures.
pub mod right {
    use caps::Rights;

    /// Look at it; map it for reading.
    pub const READ: u16 = Rights::READ.bits();
    /// Change it; map it for writing.
    pub const WRITE: u16 = Rights::WRITE.bits();
    /// Map it for execution.
    pub const EXECUTE: u16 = Rights::EXECUTE.bits();
    /// Derive copies: also what mapping a region needs.
    pub const DERIVE: u16 = Rights::DERIVE.bits();
    /// Call, signal.
    pub const CALL: u16 = Rights::CALL.bits();
    /// Receive, wait.
    pub const RECEIVE: u16 = Rights::RECEIVE.bits();
    /// Configure, start, stop.
    pub const MANAGE: u16 = Rights::MANAGE.bits();
}

/// A capability for the time of the call: what the server got, and all that it made of it, is taken back when the
/// answer comes.
pub struct Lent<K, const RIGHTS: u16>(Handle, PhantomData<fn() -> K>);

/// A capability for good: who passes it has it no more.
pub struct Moved<K, const RIGHTS: u16>(Handle, PhantomData<fn() -> K>);

/// How a capability is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Passing {
    /// Until the answer comes.
    #[default]
    Lent,
    /// For good.
    Moved,
}

/// A capability in a message. Whoever sends it says what it is to be; for a receiver, the transport has looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Its handle in the table of who looks at this.
    pub handle: Handle,
    /// How it is passed.
    pub passing: Passing,
    /// Its kind.
    pub kind: Kind,
    /// Its rights.
    pub rights: Rights,
}

/// The capabilities of a message.
#[derive(Clone, Copy, Debug)]
pub struct Parcel {
    /// Bit n: there is a capability in place n. Beside the places, so that clearing a parcel costs one store.
    there: u8,
    /// How many may come with the answer.
    pub expected: u8,
    passed: [Passed; MESSAGE_CAPS],
}

impl Parcel {
    /// No capabilities, and none expected.
    #[must_use]
    pub const fn new() -> Self {
        let nothing = Passed {
            handle: Handle::NONE,
            passing: Passing::Lent,
            kind: Kind::Untyped,
            rights: Rights::empty(),
        };
        Self { there: 0, expected: 0, passed: [nothing; MESSAGE_CAPS] }
    }

    /// These capabilities; those beyond what a message carries are left out.
    #[must_use]
    pub fn of(capabilities: &[Passed]) -> Self {
        let mut parcel = Self::new();
        for (index, passed) in capabilities.iter().enumerate() {
            parcel.put(index, *passed);
        }
        parcel
    }

    /// Takes everything out.
    #[inline]
    pub const fn clear(&mut self) {
        (self.there, self.expected) = (0, 0);
    }

    /// The capability in this place.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Passed> {
        let passed = self.passed.get(index)?;
        (self.there >> index & 1 != 0).then_some(*passed)
    }

    /// Puts a capability in this place, if there is such a place.
    pub fn put(&mut self, index: usize, passed: Passed) {
        if let Some(place) = self.passed.get_mut(index) {
            *place = passed;
            self.there |= 1 << index;
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Passed> {
        (0..MESSAGE_CAPS).filter_map(|index| self.get(index))
    }

    /// Whether there is none.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.there == 0
    }
}

impl Default for Parcel {
    fn default() -> Self {
        Self::new()
    }
}

/// What can be passed: [`Lent`] and [`Moved`].
pub trait Passable: Sized {
    /// How.
    const PASSING: Passing;
    /// The kind.
    const KIND: Kind;
    /// The rights that it must have.
    const RIGHTS: Rights;
    /// What signatures and schemas call it.
    const SHAPE: super::Shape;

    /// The capability that this handle names.
    fn from_handle(handle: Handle) -> Self;

    /// Its handle.
    fn handle(&self) -> Handle;

    /// As it goes into a message.
    fn to_passed(&self) -> Passed {
        Passed { handle: self.handle(), passing: Self::PASSING, kind: Self::KIND, rights: Self::RIGHTS }
    }

    /// The inverse of [`Passable::to_passed`], if it is such a capability.
    fn from_passed(passed: Passed) -> Option<Self> {
        let fits = passed.kind == Self::KIND && passed.rights.contains(Self::RIGHTS);
        fits.then(|| Self::from_handle(passed.handle))
    }
}

macro_rules! passable {
    ($($name:ident $text:literal)*) => { $(
        impl<K: Object, const RIGHTS: u16> $name<K, RIGHTS> {
            /// The capability, reached in the usual way.
            #[must_use]
            pub fn cap<I: Invoke + Default>(&self) -> Cap<K, I> {
                Cap::with(self.0, I::default())
            }
        }

        impl<K: Object, const RIGHTS: u16> Passable for $name<K, RIGHTS> {
            const PASSING: Passing = Passing::$name;
            const KIND: Kind = K::KIND;
            const RIGHTS: Rights = Rights::from_bits_truncate(RIGHTS);
            const SHAPE: super::Shape = super::Shape::Capability(Passing::$name, K::KIND, RIGHTS);

            fn from_handle(handle: Handle) -> Self {
                Self(handle, PhantomData)
            }

            fn handle(&self) -> Handle {
                self.0
            }
        }

        impl<K: Object, const RIGHTS: u16> core::fmt::Debug for $name<K, RIGHTS> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!($text, " {:?} {:#x}"), K::KIND, self.0.0)
            }
        }

        impl<K: Object, const RIGHTS: u16> PartialEq for $name<K, RIGHTS> {
            fn eq(&self, other: &Self) -> bool {
                self.0 == other.0
            }
        }

        impl<K: Object, const RIGHTS: u16> Eq for $name<K, RIGHTS> {}
    )* };
}

passable!(Lent "lent" Moved "moved");

impl<K: Object, I: Invoke> Cap<K, I> {
    /// For an argument that is [`Lent`].
    #[must_use]
    pub fn lend<const RIGHTS: u16>(&self) -> Lent<K, RIGHTS> {
        Lent::from_handle(self.handle())
    }

    /// For an argument or a result that is [`Moved`].
    #[must_use]
    pub fn give<const RIGHTS: u16>(self) -> Moved<K, RIGHTS> {
        Moved::from_handle(self.handle())
    }
}
