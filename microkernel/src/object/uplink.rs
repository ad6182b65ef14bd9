//! Uplink: a subOS's end of the share with its supervisor.

use caps::Error;
use idl::kernel::uplink::Call;

use crate::arch;
use crate::kernel::Kernel;
use crate::machine::doorbell;
use crate::machine::share::{Author, Share};
use crate::object::subos::check_words;
use crate::outcome::{Answer, Outcome};
use crate::syscall::Caller;
use crate::types::SubOsId;

impl Kernel {
    /// Carries out a call of an Uplink.
    pub fn invoke_uplink(&mut self, caller: &Caller, call: Call) -> Result<Outcome, Error> {
        let share = Share::own(self.id);
        match call {
            Call::Send { word_0, word_1, word_2, word_3, word_4 } => {
                let words = [word_0, word_1, word_2, word_3, word_4];
                check_words(&words)?;
                share.up().push(words, arch::now(), Author::Program).map_err(|_| Error::Full)?;
                doorbell::ring_up(share);
                Ok(Answer::NOTHING.into())
            }
            Call::Receive => {
                let words = share.down().pop().ok_or(Error::Empty)?;
                Ok(Answer { words }.into())
            }
            Call::Bind { notification, bits } => {
                self.bind_doorbell(caller, SubOsId::SUPERVISOR, notification, bits)
            }
        }
    }
}
