//! Uplink: a subOS's end of the share with its supervisor.

use caps::Error;
use idl::abi::REGISTER_WORDS;
use idl::kernel::uplink::Call;

use super::Methods;
use super::subos::check_words;
use crate::arch;
use crate::kernel::Kernel;
use crate::machine::doorbell::{self, Binding, Source};
use crate::machine::share::{Author, Share};
use crate::outcome::{Answer, Outcome};
use crate::syscall::Caller;
use crate::types::SubOsId;

/// A call of an Uplink, checked.
pub enum Request {
    /// Sends these words up.
    Send([u64; REGISTER_WORDS]),
    /// Takes the oldest record off the ring, which holds these words.
    Receive([u64; REGISTER_WORDS]),
    /// Sets what the doorbell signals.
    Bind(Binding),
}

impl Methods for Call {
    type Request = Request;

    #[inline(always)]
    fn decode(self, kernel: &Kernel, caller: &Caller) -> Result<Request, Error> {
        Ok(match self {
            Call::Send { word_0, word_1, word_2, word_3, word_4 } => {
                Request::Send(check_words([word_0, word_1, word_2, word_3, word_4])?)
            }
            Call::Receive => Request::Receive(Share::own(kernel.id).down().ring.peek().ok_or(Error::Empty)?),
            Call::Bind { notification, bits } => {
                let supervisor = Source::peer(SubOsId::SUPERVISOR);
                Request::Bind(kernel.check_doorbell(caller, supervisor, notification, bits)?)
            }
        })
    }

    #[inline(always)]
    fn perform(request: Request, kernel: &mut Kernel, _: &Caller) -> Outcome {
        let share = Share::own(kernel.id);
        match request {
            Request::Send(words) => {
                let sent = share.up().ring.push(words, arch::now(), Author::Program);
                if sent.is_ok() {
                    doorbell::ring_up(share);
                }
                Outcome::Ended(sent.map_err(|_| Error::Full))
            }
            Request::Receive(words) => {
                share.down().ring.drop_oldest();
                Answer::of(words).into()
            }
            Request::Bind(binding) => Outcome::Answered(Answer::NOTHING, doorbell::bind(kernel, binding)),
        }
    }
}
