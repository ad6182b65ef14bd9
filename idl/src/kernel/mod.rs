//! The kernel's invocations: one file per kind, each a table and nothing else.
//!
//! Common to all: the target's handle is looked up first and must be of the kind that the op word names and
//! have the rights that the method declares; then the words are decoded; then the object decides. Handles
//! among the arguments are looked up in the caller's table unless the method says otherwise, with the same
//! errors. A method that is refused has changed nothing.

pub mod address_space;
pub mod console;
pub mod core;
pub mod cspace;
pub mod endpoint;
pub mod guest;
pub mod machine;
pub mod notification;
pub mod region;
pub mod reply;
pub mod subos;
pub mod thread;
pub mod untyped;
pub mod uplink;

use caps::{Error, Kind, Rights};

use crate::abi::REGISTER_WORDS;
use crate::method::MethodInfo;

/// The calls of one kind of object, as registers carry them: what each kind's `Call` can do.
pub trait Calls: Sized {
    /// The kind.
    const KIND: Kind;

    /// Whether messages go along, which the kernel does not interpret.
    const CARRY_MESSAGES: bool;

    /// Decodes the registers of a call. Pure and total. Strict: an argument that is no value of its type, and a word
    /// that the method does not use and that is not zero, are `InvalidArgument`.
    ///
    /// # Errors
    /// `UnknownMethod`, `InvalidArgument`, and what the types of the arguments refuse with.
    fn from_words(method: u8, words: &[u64; REGISTER_WORDS]) -> Result<Self, Error>;

    /// The rights that a method needs of its target; says too whether there is such a method, and needs no argument,
    /// so that it can come before the look-up.
    ///
    /// # Errors
    /// `UnknownMethod`.
    fn rights(method: u8) -> Result<Rights, Error>;
}

macro_rules! objects {
    ($($kind:ident $module:ident,)+) => {
        /// A call of any kind of object.
        #[cfg(test)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Invocation {
            $($kind($module::Call),)+
        }

        #[cfg(test)]
        impl Invocation {
            fn decode(kind: Kind, method: u8, words: &[u64; REGISTER_WORDS]) -> Result<Self, Error> {
                match kind {
                    $(Kind::$kind => $module::Call::from_words(method, words).map(Self::$kind),)+
                    _ => Err(Error::UnknownMethod),
                }
            }
        }

        #[cfg(test)]
        fn required_rights(kind: Kind, method: u8) -> Result<Rights, Error> {
            match kind {
                $(Kind::$kind => $module::Call::rights(method),)+
                _ => Err(Error::UnknownMethod),
            }
        }

        /// Every kind that has methods, what it is, and its methods.
        pub const OBJECTS: &[(Kind, &str, &[MethodInfo])] = &[
            $((Kind::$kind, $module::ABOUT, $module::METHODS),)+
        ];
    };
}

objects! {
    Untyped untyped,
    CSpace cspace,
    Thread thread,
    AddressSpace address_space,
    Region region,
    Endpoint endpoint,
    Notification notification,
    Reply reply,
    Guest guest,
    Core core,
    SubOs subos,
    Uplink uplink,
    Machine machine,
    DebugConsole console,
}

/// Every declared method.
pub fn methods() -> impl Iterator<Item = &'static MethodInfo> {
    OBJECTS.iter().flat_map(|(_, _, methods)| methods.iter())
}

#[cfg(test)]
mod tests;
