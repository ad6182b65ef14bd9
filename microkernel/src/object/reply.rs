//! Reply: room for one caller who waits for an answer. A call only flips its state, so answering needs no
//! capability to be made or deleted.

use caps::{Error, Kind};
use idl::abi::MessageTag;
use idl::kernel::reply::Call;

use super::Methods;
use crate::ipc::message_tag;
use crate::kernel::Kernel;
use crate::memory::{Header, Object, Ref};
use crate::object::thread::Thread;
use crate::outcome::{Answer, Outcome};
use crate::syscall::{Caller, object_of};

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
    pub const NEW: Self = Self { header: Header::new(Kind::Reply), use_: Use::Idle };
}

/// A call of a Reply, checked: who gets the answer, and what it is like.
pub struct Request {
    reply: Ref<Reply>,
    waiting: Ref<Thread>,
    tag: MessageTag,
}

impl Methods for Call {
    type Request = Request;

    #[inline(always)]
    fn decode(self, kernel: &Kernel, caller: &Caller) -> Result<Request, Error> {
        let Call::Reply = self;
        let reply = Ref::<Reply>::at(object_of(&caller.found.capability));
        let tag = message_tag(caller.op)?;
        kernel.check_outgoing(caller.thread, tag)?;
        let Use::Pending(waiting) = kernel.memory[reply].use_ else { return Err(Error::NotPending) };
        kernel.check_answer(waiting, tag)?;
        Ok(Request { reply, waiting, tag })
    }

    #[inline(always)]
    fn perform(request: Request, kernel: &mut Kernel, caller: &Caller) -> Outcome {
        let next = kernel.reply(caller.thread, request.reply, request.waiting, request.tag);
        // The replier goes on, so whoever was answered queues unless more urgent.
        Outcome::Answered(Answer::NOTHING, kernel.yield_to(next))
    }
}
