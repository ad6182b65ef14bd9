//! The calls of Endpoint and Reply: who is looked up, and what then happens in `ipc.rs`.

use caps::{Error, Kind, Rights};
use idl::abi::OpWord;
use idl::kernel::endpoint::{CALL, RECEIVE, REPLY_RECEIVE, SEND};

use crate::ipc::{Sending, message_tag};
use crate::kernel::Kernel;
use crate::memory::Ref;
use crate::object::endpoint::Endpoint;
use crate::object::reply::Reply;
use crate::object::thread::Pending;
use crate::outcome::{Answer, NextThread, Outcome};
use crate::syscall::{Caller, object_of};

impl Kernel {
    /// Carries out a call of an Endpoint.
    pub fn invoke_endpoint(&mut self, caller: &Caller, op: OpWord) -> Result<Outcome, Error> {
        let endpoint = Ref::<Endpoint>::at(object_of(&caller.found.capability));
        let pending = match op.method() {
            CALL => Pending::Call,
            SEND => Pending::Send,
            RECEIVE => {
                let reply = self.reply_argument(caller)?;
                let next = self.receive(caller.thread, endpoint, reply, caller.deadline)?;
                return Ok(Outcome::Deferred(next));
            }
            REPLY_RECEIVE => return self.reply_receive(caller, endpoint, op),
            _ => return Err(Error::UnknownMethod),
        };
        let tag = message_tag(op)?;
        self.check_outgoing(caller.thread, tag)?;
        let badge = caller.found.capability.badge;
        let (through, deadline) = (Some(caller.found.slot), caller.deadline);
        let next = self.send(caller.thread, Sending { endpoint, badge, through, tag, pending, deadline })?;
        Ok(Outcome::Deferred(next))
    }

    /// Carries out a call of a Reply.
    pub fn invoke_reply(&mut self, caller: &Caller, op: OpWord) -> Result<Outcome, Error> {
        let reply = Ref::<Reply>::at(object_of(&caller.found.capability));
        let tag = message_tag(op)?;
        self.check_outgoing(caller.thread, tag)?;
        let next = self.reply(caller.thread, reply, tag)?;
        // The replier goes on, so whoever was answered queues unless more urgent.
        Ok(Outcome::Answered(Answer::NOTHING, self.yield_to(next)))
    }

    /// Answers, then receives. An answer that cannot be delivered (nobody waits any more, or it does not fit the
    /// one who does) is dropped: the server's loop must not stop at one client's doing.
    fn reply_receive(
        &mut self,
        caller: &Caller,
        endpoint: Ref<Endpoint>,
        op: OpWord,
    ) -> Result<Outcome, Error> {
        let reply = self.reply_argument(caller)?;
        let tag = message_tag(op)?;
        self.check_outgoing(caller.thread, tag)?;
        let answered = match self.reply(caller.thread, reply, tag) {
            Ok(next) => next,
            Err(_) => self.dismiss(reply),
        };
        match self.receive(caller.thread, endpoint, reply, caller.deadline) {
            // Nobody waits: the one who was answered takes over directly.
            Ok(NextThread::Pick) if answered != NextThread::Same => Ok(Outcome::Deferred(answered)),
            Ok(next) => Ok(Outcome::Deferred(next.and(self.yield_to(answered)))),
            Err(error) => {
                let next = self.yield_to(answered);
                self.memory[caller.thread].frame.set_error(error);
                Ok(Outcome::Deferred(next))
            }
        }
    }

    /// Whoever waits for this reply gets none, because it does not fit.
    fn dismiss(&mut self, reply: Ref<Reply>) -> NextThread {
        match self.memory[reply].use_ {
            crate::object::reply::Use::Pending(waiting) => self.cancel(waiting, Error::TooLong),
            _ => NextThread::Same,
        }
    }

    fn reply_argument(&self, caller: &Caller) -> Result<Ref<Reply>, Error> {
        let found = self.argument(caller, caller.second, Kind::Reply, Rights::CALL)?;
        Ok(Ref::at(object_of(&found.capability)))
    }
}
