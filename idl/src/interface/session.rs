//! Who calls: a badge, read as a session of an interface.
//!
//! Whoever mints a client's capability chooses its badge, and nobody can change it. So it says which session a call
//! belongs to, and which of the interface's own rights the client has.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;

use heapless::Vec;

use super::Interface;
use crate::types::{Badge, Deadline};

const RIGHTS_SHIFT: u32 = 48;

/// Rights of an interface's own, which its methods require of their callers.
pub struct Access<I> {
    bits: u16,
    interface: PhantomData<fn() -> I>,
}

impl<I> Access<I> {
    /// No rights.
    pub const NONE: Self = Self::from_bits(0);

    /// The rights with these bits.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self { bits, interface: PhantomData }
    }

    /// Their bits.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.bits
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self::from_bits(self.bits | other.bits)
    }

    /// Whether these are among them.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.bits & other.bits == other.bits
    }
}

impl<I> core::ops::BitOr for Access<I> {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.and(other)
    }
}

/// A client's session with a server: its number, and the rights that go with it.
pub struct Session<I> {
    /// Tells the server's clients apart.
    pub number: u32,
    /// What the client may do.
    pub access: Access<I>,
}

impl<I> Session<I> {
    /// A session with these rights.
    #[must_use]
    pub const fn new(number: u32, access: Access<I>) -> Self {
        Self { number, access }
    }

    /// The badge to mint a client's capability with.
    #[must_use]
    pub const fn badge(self) -> Badge {
        Badge(self.number as u64 | (self.access.bits as u64) << RIGHTS_SHIFT)
    }

    /// The session that a badge stands for.
    #[must_use]
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the fields of the badge")]
    pub const fn of(badge: Badge) -> Self {
        Self::new(badge.0 as u32, Access::from_bits((badge.0 >> RIGHTS_SHIFT) as u16))
    }
}

/// Who calls, and until when the answer is of use.
pub struct Caller<I> {
    /// The session.
    pub session: Session<I>,
    /// When the caller gives up. Pass it on to servers that you call for this one.
    pub until: Deadline,
}

impl<I> Caller<I> {
    /// The number of the caller's session.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.session.number
    }
}

/// What a server keeps for each session, for at most `N` of them.
pub struct Sessions<I, S, const N: usize> {
    kept: Vec<(Session<I>, S), N>,
}

/// There are as many sessions as there can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl<I, S, const N: usize> Sessions<I, S, N> {
    /// No session yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { kept: Vec::new() }
    }

    /// What is kept for a caller; for one who was never here, the default.
    ///
    /// # Errors
    /// `Full`.
    pub fn of(&mut self, caller: Caller<I>) -> Result<&mut S, Full>
    where
        S: Default,
    {
        let found = self.kept.iter().position(|(session, _)| session.number == caller.session.number);
        let index = match found {
            Some(index) => index,
            None => {
                self.kept.push((caller.session, S::default())).map_err(|_| Full)?;
                self.kept.len() - 1
            }
        };
        self.kept.get_mut(index).map(|(_, kept)| kept).ok_or(Full)
    }

    /// Forgets a session, and gives what was kept for it.
    pub fn close(&mut self, number: u32) -> Option<S> {
        let index = self.kept.iter().position(|(session, _)| session.number == number)?;
        Some(self.kept.swap_remove(index).1)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.kept.len()
    }
}

impl<I, S, const N: usize> Default for Sessions<I, S, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// `derive` would ask the same of the interface's marker.
macro_rules! plain {
    ($($name:ident { $($field:ident)+ })*) => { $(
        impl<I> Clone for $name<I> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<I> Copy for $name<I> {}

        impl<I> PartialEq for $name<I> {
            fn eq(&self, other: &Self) -> bool {
                $(self.$field == other.$field)&&+
            }
        }

        impl<I> Eq for $name<I> {}
    )* };
}

plain! { Access { bits } Session { number access } Caller { session until } }

impl<I> Hash for Session<I> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
        self.access.bits.hash(state);
    }
}

impl<I: Interface> fmt::Debug for Access<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&RightNames::of::<I>(self.bits), f)
    }
}

impl<I: Interface> fmt::Debug for Session<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {} ({:?})", self.number, self.access)
    }
}

impl<I: Interface> fmt::Debug for Caller<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} until {:?}", self.session, self.until)
    }
}

/// Rights of an interface, to be read by people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RightNames {
    bits: u16,
    names: &'static [&'static str],
}

impl RightNames {
    /// These rights of an interface.
    #[must_use]
    pub const fn of<I: Interface>(bits: u16) -> Self {
        Self { bits, names: I::RIGHTS }
    }

    /// The rights with names, by those.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let bits = self.bits;
        self.names.iter().enumerate().filter(move |(index, _)| bits >> index & 1 != 0).map(|(_, name)| *name)
    }
}

impl fmt::Display for RightNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == 0 {
            return f.write_str("no rights");
        }
        for (index, name) in self.names().enumerate() {
            if index > 0 {
                f.write_str(" | ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}
