//! Reply: room for one caller who waits for an answer. A call only flips its state, so answering needs no
//! capability to be made or deleted.

use caps::Kind;

use crate::memory::{Header, Object, Ref};
use crate::object::thread::Thread;

/// Bytes that retype carves for a reply object.
pub const SIZE: u64 = 64;

/// What a reply object is for at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// For nothing.
    Idle,
    /// A thread receives with it, and the next caller will be remembered here.
    Offered(Ref<Thread>),
    /// This caller waits for the answer.
    Pending(Ref<Thread>),
}

/// A reply object.
#[repr(C, align(64))]
pub struct Reply {
    header: Header,
    /// What it is for at this moment.
    pub use_: Use,
}

const _: () = assert!(size_of::<Reply>() as u64 <= SIZE);

// SAFETY: repr(C), the header first, and the size fits what retype carves.
unsafe impl Object for Reply {
    const KIND: Kind = Kind::Reply;
    const HEADER: usize = 0;
}

impl Reply {
    /// An idle reply object.
    #[must_use]
    pub const fn new() -> Self {
        Self { header: Header::new(Kind::Reply), use_: Use::Idle }
    }
}
