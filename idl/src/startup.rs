//! The page that tells a program about itself. rdi holds its address at entry.

use core::mem::size_of;

use static_assertions::const_assert_eq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::abi::PAGE_SIZE;
use crate::interface::Generation;

/// What [`Startup::magic`] must be: `ARCHINIT` in memory order.
pub const MAGIC: u64 = u64::from_le_bytes(*b"ARCHINIT");
/// Bytes of arguments that the page has room for.
pub const ARGUMENT_BYTES: usize = 3968;

/// The start-up page, mapped read-only at [`STARTUP_PAGE`](crate::abi::STARTUP_PAGE).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, align(8))]
pub struct Startup {
    /// [`MAGIC`].
    pub magic: u64,
    /// The number of this subOS.
    pub subos: u32,
    /// The core that the program starts on.
    pub core: u32,
    /// Ticks of the deadline clock (the TSC) in a second.
    pub ticks_per_second: u64,
    /// Bytes of the home lot.
    pub home_bytes: u64,
    /// Bytes of the region in [`slots::MODULES`](crate::slots::MODULES) that mean something; 0 when empty.
    pub modules_length: u64,
    /// Pages of the region in [`slots::PROGRAM`](crate::slots::PROGRAM).
    pub program_pages: u64,
    /// The end of what the program's image takes in its address space.
    pub program_end: u64,
    /// Bytes of [`Startup::arguments`] that mean something.
    pub arguments_length: u32,
    /// How many slots from [`slots::FIRST_FREE`](crate::slots::FIRST_FREE) on the program's maker has filled; the
    /// kernel leaves it zero.
    pub granted: u32,
    /// Which of the program's lives this is, as a [`Generation`]; the kernel leaves it zero, which is the first.
    pub generation: u64,
    /// Words for whoever starts the program to use; the kernel leaves them zero.
    pub words: [u64; 7],
    /// UTF-8 text for the program.
    pub arguments: [u8; ARGUMENT_BYTES],
}

const_assert_eq!(size_of::<Startup>() as u64, PAGE_SIZE);

impl Startup {
    /// A page that says nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            magic: MAGIC,
            subos: 0,
            core: 0,
            ticks_per_second: 0,
            home_bytes: 0,
            modules_length: 0,
            program_pages: 0,
            program_end: 0,
            arguments_length: 0,
            granted: 0,
            generation: 0,
            words: [0; 7],
            arguments: [0; ARGUMENT_BYTES],
        }
    }

    /// Which of the program's lives this is.
    #[must_use]
    pub fn generation(&self) -> Generation {
        match u16::try_from(self.generation) {
            Ok(number @ 1..) => Generation(number),
            _ => Generation::FIRST,
        }
    }

    /// The arguments; empty when the length or the text is malformed.
    #[must_use]
    pub fn arguments(&self) -> &str {
        let length = usize::try_from(self.arguments_length).unwrap_or(usize::MAX);
        let bytes = self.arguments.get(..length).unwrap_or(&[]);
        core::str::from_utf8(bytes).unwrap_or("")
    }

    /// Puts arguments in place, cut at the last character that fits.
    pub fn set_arguments(&mut self, text: &str) {
        let mut length = text.len().min(ARGUMENT_BYTES);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        self.arguments = [0; ARGUMENT_BYTES];
        self.arguments[..length].copy_from_slice(&text.as_bytes()[..length]);
        self.arguments_length = u32::try_from(length).unwrap_or(0);
    }
}

impl Default for Startup {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_cut_at_a_character() {
        let mut startup = Startup::new();
        startup.set_arguments("core=1 name=echo");
        assert_eq!(startup.arguments(), "core=1 name=echo");
        startup.set_arguments(&"é".repeat(ARGUMENT_BYTES));
        assert_eq!(startup.arguments().len(), ARGUMENT_BYTES);
        startup.set_arguments(&["x", &"é".repeat(ARGUMENT_BYTES)].concat());
        assert_eq!(startup.arguments().len(), ARGUMENT_BYTES - 1);
    }

    #[test]
    fn malformed_arguments_read_as_none() {
        let mut startup = Startup::new();
        startup.arguments_length = u32::MAX;
        assert_eq!(startup.arguments(), "");
        startup.arguments_length = 1;
        startup.arguments[0] = 0xff;
        assert_eq!(startup.arguments(), "");
    }
}
