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

macro_rules! objects {
    ($($kind:ident $module:ident,)+) => {
        /// An invocation of any object, decoded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Invocation {
            $(#[doc = concat!("A call of a method of ", stringify!($kind), ".")] $kind($module::Call),)+
        }

        impl Invocation {
            /// Decodes the registers of an invocation. Pure and total.
            ///
            /// # Errors
            /// `UnknownMethod`, and what the arguments' types refuse with.
            #[inline]
            pub fn decode(kind: Kind, method: u8, words: &[u64; REGISTER_WORDS]) -> Result<Self, Error> {
                match kind {
                    $(Kind::$kind => $module::Call::decode(method, words).map(Self::$kind),)+
                    _ => Err(Error::UnknownMethod),
                }
            }
        }

        /// The rights that a method needs of its target; says too whether there is such a method, and needs
        /// no argument, so that it can come before the look-up.
        ///
        /// # Errors
        /// `UnknownMethod`.
        #[inline]
        pub const fn required_rights(kind: Kind, method: u8) -> Result<Rights, Error> {
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
