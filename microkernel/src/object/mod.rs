//! The kernel's objects: `object/<kind>.rs` is what a kind of object is, how its calls are checked ([`Methods::decode`])
//! and how they are carried out ([`Methods::perform`]). What a kind is made of besides lies in a folder of its name.

use caps::Error;
use idl::kernel::Calls;

use crate::kernel::Kernel;
use crate::outcome::Outcome;
use crate::syscall::Caller;

pub mod address_space;
mod core;
mod cspace;
mod debug_console;
pub mod endpoint;
pub mod guest;
mod machine;
pub mod notification;
mod region;
pub mod reply;
mod subos;
pub mod thread;
mod untyped;
mod uplink;

/// The methods of one kind of object.
pub trait Methods: Calls {
    /// A call that was checked, with all that carrying it out needs.
    type Request;

    /// Checks a call completely, and changes nothing.
    fn decode(self, kernel: &Kernel, caller: &Caller) -> Result<Self::Request, Error>;

    /// Carries a call out. It cannot fail.
    fn perform(request: Self::Request, kernel: &mut Kernel, caller: &Caller) -> Outcome;
}
