//! What one register can carry, and what five can.

use caps::{Error, Handle, Kind, Rights, SlotIndex};

use crate::abi::REGISTER_WORDS;
use crate::interface::Shape;
use crate::method::Field;

/// A value that travels in one register. Decoding is strict: `to_word` of the decoded value gives the word
/// back.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not fit in a register",
    label = "not a word",
    note = "mark the method `#[bytes]`; or `#[derive(idl::Word)]` for an enum without fields; a capability is written \
            `Lent<..>` or `Moved<..>`, without an alias"
)]
pub trait Word: Sized {
    /// The type's name in the reference pages.
    const NAME: &'static str;
    /// What it consists of. `#[derive(idl::Word)]` lists the variants.
    const SHAPE: Shape = Shape::Word(Self::NAME);

    /// The register.
    fn to_word(self) -> u64;

    /// The value, if the register holds one.
    ///
    /// # Errors
    /// `InvalidArgument`, or a more telling error of the type's own.
    fn from_word(word: u64) -> Result<Self, Error>;
}

/// A value that travels in up to five registers: what a method answers with.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not fit in registers",
    label = "not words",
    note = "mark the method `#[bytes]`, or answer with an `idl::Word`"
)]
pub trait Words: Sized {
    /// What each register holds.
    const FIELDS: &'static [Field];
    /// What it consists of.
    const SHAPE: Shape = Shape::Words(Self::FIELDS);

    /// The registers; those not used are zero.
    fn to_words(self) -> [u64; REGISTER_WORDS];

    /// The value, if the registers hold one.
    ///
    /// # Errors
    /// As [`Word::from_word`].
    fn from_words(words: &[u64; REGISTER_WORDS]) -> Result<Self, Error>;
}

impl<T: Word> Words for T {
    const FIELDS: &'static [Field] = &[Field { name: "", ty: T::NAME }];
    const SHAPE: Shape = T::SHAPE;

    #[inline]
    fn to_words(self) -> [u64; REGISTER_WORDS] {
        [self.to_word(), 0, 0, 0, 0]
    }

    #[inline]
    fn from_words(words: &[u64; REGISTER_WORDS]) -> Result<Self, Error> {
        T::from_word(words[0])
    }
}

impl Words for () {
    const FIELDS: &'static [Field] = &[];
    const SHAPE: Shape = Shape::Nothing;

    #[inline]
    fn to_words(self) -> [u64; REGISTER_WORDS] {
        [0; REGISTER_WORDS]
    }

    #[inline]
    fn from_words(_: &[u64; REGISTER_WORDS]) -> Result<Self, Error> {
        Ok(())
    }
}

/// Five words as they are.
impl Words for [u64; REGISTER_WORDS] {
    const FIELDS: &'static [Field] = &[
        Field { name: "word_0", ty: "u64" },
        Field { name: "word_1", ty: "u64" },
        Field { name: "word_2", ty: "u64" },
        Field { name: "word_3", ty: "u64" },
        Field { name: "word_4", ty: "u64" },
    ];

    #[inline]
    fn to_words(self) -> [u64; REGISTER_WORDS] {
        self
    }

    #[inline]
    fn from_words(words: &[u64; REGISTER_WORDS]) -> Result<Self, Error> {
        Ok(*words)
    }
}

/// The check of words that a method does not use, all joined with `|`.
///
/// # Errors
/// `InvalidArgument`.
#[inline]
pub const fn require_zero(words: u64) -> Result<(), Error> {
    if words == 0 { Ok(()) } else { Err(Error::InvalidArgument) }
}

impl Word for u64 {
    const NAME: &'static str = "u64";

    #[inline]
    fn to_word(self) -> u64 {
        self
    }

    #[inline]
    fn from_word(word: u64) -> Result<Self, Error> {
        Ok(word)
    }
}

macro_rules! narrow {
    ($($ty:ident)*) => { $(
        impl Word for $ty {
            const NAME: &'static str = stringify!($ty);

            #[inline]
            fn to_word(self) -> u64 {
                u64::from(self)
            }

            #[inline]
            fn from_word(word: u64) -> Result<Self, Error> {
                $ty::try_from(word).map_err(|_| Error::InvalidArgument)
            }
        }
    )* };
}

narrow!(u8 u16 u32);

impl Word for Handle {
    const NAME: &'static str = "Handle";

    #[inline]
    fn to_word(self) -> u64 {
        self.0
    }

    #[inline]
    fn from_word(word: u64) -> Result<Self, Error> {
        Ok(Self(word))
    }
}

impl Word for SlotIndex {
    const NAME: &'static str = "SlotIndex";

    #[inline]
    fn to_word(self) -> u64 {
        u64::from(self.0)
    }

    #[inline]
    fn from_word(word: u64) -> Result<Self, Error> {
        u32::from_word(word).map(Self)
    }
}

impl Word for Kind {
    const NAME: &'static str = "Kind";

    #[inline]
    fn to_word(self) -> u64 {
        u64::from(self.number())
    }

    #[inline]
    fn from_word(word: u64) -> Result<Self, Error> {
        u8::from_word(word).ok().and_then(Self::from_number).ok_or(Error::InvalidArgument)
    }
}

impl Word for Rights {
    const NAME: &'static str = "Rights";

    #[inline]
    fn to_word(self) -> u64 {
        u64::from(self.bits())
    }

    #[inline]
    fn from_word(word: u64) -> Result<Self, Error> {
        u16::from_word(word).ok().and_then(Self::from_bits).ok_or(Error::InvalidArgument)
    }
}

/// A tuple-free way to answer with several words: a structure whose fields are words.
macro_rules! words {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$doc:meta])* $field:ident: $ty:ty,)+ })+) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $field: $ty,)+
        }

        impl $crate::Words for $name {
            const FIELDS: &'static [$crate::method::Field] = &[
                $($crate::method::Field { name: stringify!($field), ty: <$ty as $crate::Word>::NAME },)+
            ];

            #[inline]
            fn to_words(self) -> [u64; $crate::abi::REGISTER_WORDS] {
                let used = [$($crate::Word::to_word(self.$field)),+];
                let mut words = [0; $crate::abi::REGISTER_WORDS];
                words[..used.len()].copy_from_slice(&used);
                words
            }

            #[inline]
            fn from_words(words: &[u64; $crate::abi::REGISTER_WORDS]) -> Result<Self, ::caps::Error> {
                let mut words = words.iter().copied();
                Ok(Self { $($field: $crate::Word::from_word(words.next().unwrap_or(0))?,)+ })
            }
        }
    )+ };
}
pub(crate) use words;
