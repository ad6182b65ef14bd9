//! Endpoint: where a caller and a receiver meet. What a message does on its way is in `ipc.rs`.

use caps::{Error, Kind, Rights};
use idl::abi::MessageTag;
use idl::kernel::endpoint::Call;

use super::Methods;
use crate::aftermath::Drain;
use crate::ipc::{Sending, message_tag};
use crate::kernel::Kernel;
use crate::memory::{Header, Object, Ref};
use crate::object::reply::{Reply, Use};
use crate::object::thread::Pending;
use crate::outcome::{NextThread, Outcome};
use crate::queue::Queue;
use crate::syscall::{Caller, object_of};

/// Bytes that retype carves for an endpoint.
pub const SIZE: u64 = 128;

/// An endpoint. At most one of its queues has threads in it.
#[repr(C, align(64))]
pub struct Endpoint {
    header: Header,
    /// Threads that called and wait for a receiver.
    pub callers: Queue,
    /// Threads that wait for a caller.
    pub receivers: Queue,
    /// Which callers are to be woken because what they called through has gone.
    pub drain: Drain,
    /// Whether it is on the list of endpoints to drain.
    pub enlisted: bool,
    /// The next endpoint on that list.
    pub next_dying: Option<Ref<Endpoint>>,
}

const _: () = assert!(size_of::<Endpoint>() as u64 <= SIZE);

// SAFETY: repr(C), the header first, and the size fits what retype carves.
unsafe impl Object for Endpoint {
    const KIND: Kind = Kind::Endpoint;
    const HEADER: usize = 0;
}

impl Endpoint {
    /// An endpoint where nobody waits.
    pub const NEW: Self = Self {
        header: Header::new(Kind::Endpoint),
        callers: Queue::EMPTY,
        receivers: Queue::EMPTY,
        drain: Drain::Nobody,
        enlisted: false,
        next_dying: None,
    };
}

/// A call of an Endpoint, checked.
pub enum Request {
    /// Sends a message.
    Send(Sending),
    /// Receives, with this reply object.
    Receive(Ref<Endpoint>, Ref<Reply>),
    /// Answers with such a message, then receives.
    ReplyReceive(Ref<Endpoint>, Ref<Reply>, MessageTag),
}

impl Methods for Call {
    type Request = Request;

    #[inline(always)]
    fn decode(self, kernel: &Kernel, caller: &Caller) -> Result<Request, Error> {
        let endpoint = Ref::<Endpoint>::at(object_of(&caller.found.capability));
        match self {
            Call::Call => sending(kernel, caller, endpoint, Pending::Call),
            Call::Send => sending(kernel, caller, endpoint, Pending::Send),
            Call::Receive => match reply(kernel, caller)? {
                (reply, Use::Idle) => Ok(Request::Receive(endpoint, reply)),
                _ => Err(Error::Busy),
            },
            Call::ReplyReceive => {
                let (reply, used) = reply(kernel, caller)?;
                let tag = message_tag(caller.op)?;
                kernel.check_outgoing(caller.thread, tag)?;
                match used {
                    Use::Offered(_) => Err(Error::Busy),
                    _ => Ok(Request::ReplyReceive(endpoint, reply, tag)),
                }
            }
        }
    }

    #[inline(always)]
    fn perform(request: Request, kernel: &mut Kernel, caller: &Caller) -> Outcome {
        let next = match request {
            Request::Send(sending) => kernel.send(caller.thread, sending),
            Request::Receive(endpoint, reply) => {
                kernel.receive(caller.thread, endpoint, reply, caller.deadline)
            }
            Request::ReplyReceive(endpoint, reply, tag) => {
                let answered = kernel.reply_or_dismiss(caller.thread, reply, tag);
                match kernel.receive(caller.thread, endpoint, reply, caller.deadline) {
                    // Nobody waits: the one who was answered takes over directly.
                    NextThread::Pick if answered != NextThread::Same => answered,
                    next => next.and(kernel.yield_to(answered)),
                }
            }
        };
        Outcome::Deferred(next)
    }
}

#[inline(always)]
fn sending(
    kernel: &Kernel,
    caller: &Caller,
    endpoint: Ref<Endpoint>,
    pending: Pending,
) -> Result<Request, Error> {
    let tag = message_tag(caller.op)?;
    kernel.check_outgoing(caller.thread, tag)?;
    kernel.check_receiver(endpoint, tag)?;
    let badge = caller.found.capability.badge;
    let (through, deadline) = (Some(caller.found.slot), caller.deadline);
    Ok(Request::Send(Sending { endpoint, badge, through, tag, pending, deadline }))
}

/// The reply object that the caller names, and what it is used for.
#[inline(always)]
fn reply(kernel: &Kernel, caller: &Caller) -> Result<(Ref<Reply>, Use), Error> {
    let found = kernel.argument(caller, caller.second, Kind::Reply, Rights::CALL)?;
    let reply = Ref::<Reply>::at(object_of(&found.capability));
    Ok((reply, kernel.memory[reply].use_))
}
