//! Typed capabilities, reached by system call.

use caps::{Error, Handle, Kind};
pub use idl::kernel::address_space::AddressSpace;
pub use idl::kernel::console::DebugConsole;
pub use idl::kernel::core::Core;
pub use idl::kernel::cspace::CSpace;
pub use idl::kernel::endpoint::Endpoint;
pub use idl::kernel::guest::Guest;
pub use idl::kernel::machine::Machine;
pub use idl::kernel::notification::Notification;
pub use idl::kernel::region::Region;
pub use idl::kernel::reply::Reply;
pub use idl::kernel::subos::SubOs;
pub use idl::kernel::thread::Thread;
pub use idl::kernel::untyped::Untyped;
pub use idl::kernel::uplink::Uplink;

use idl::Object;
use idl::abi::{OpWord, REGISTER_WORDS, ResultWord};
use idl::types::{Badge, Deadline, Progress};

use crate::platform;
use crate::platform::Raw;

/// The kernel, reached by the SYSCALL instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kernel;

impl idl::Invoke for Kernel {
    #[inline(always)]
    fn invoke(
        &self,
        op: OpWord,
        handle: Handle,
        words: [u64; REGISTER_WORDS],
        deadline: Deadline,
        second: Handle,
    ) -> (ResultWord, Badge, [u64; REGISTER_WORDS]) {
        let back = platform::raw(Raw { op: op.0, handle: handle.0, words }, deadline.0, second.0);
        #[cfg(feature = "observe")]
        crate::observe::note(op, ResultWord(back.op));
        (ResultWord(back.op), Badge(back.handle), back.words)
    }
}

/// A capability of this program to an object of kind `K`.
pub type Cap<K> = idl::Cap<K, Kernel>;

/// The capability of this kind that a handle names. The kernel checks the kind at every use.
#[must_use]
pub const fn cap<K: Object>(handle: Handle) -> Cap<K> {
    Cap::with(handle, Kernel)
}

/// The permission to map a region in a space. It has no methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding;

impl Object for Binding {
    const KIND: Kind = Kind::Binding;
}

/// The null system call: enters the kernel and comes back. For measuring.
#[inline(always)]
pub fn null_call() -> u64 {
    platform::raw(Raw { op: idl::abi::NULL_CALL, handle: 0, words: [0; 5] }, 0, 0).op
}

/// Repeats a long operation until it is done.
///
/// # Errors
/// The operation's.
pub fn complete(mut step: impl FnMut() -> Result<Progress, Error>) -> Result<(), Error> {
    while step()? == Progress::More {}
    Ok(())
}
