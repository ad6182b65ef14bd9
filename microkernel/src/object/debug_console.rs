//! DebugConsole: where lines for people go.

use caps::Error;
use idl::event::Event;
use idl::kernel::console::Call;
use zerocopy::IntoBytes;

use crate::arch;
use crate::arch::x86_64::serial;
use crate::kernel::Kernel;
use crate::machine::doorbell;
use crate::machine::share::{Author, Share};
use crate::object::subos::bounded;
use crate::outcome::{Answer, Outcome};
use crate::syscall::Caller;
use crate::types::SubOsId;

impl Kernel {
    /// Carries out a call of a DebugConsole.
    pub fn invoke_console(&mut self, caller: &Caller, call: Call) -> Result<Outcome, Error> {
        match call {
            Call::Write { length } => {
                let length = bounded(length)?;
                let page = self.message_page(caller.thread).ok_or(Error::NotConfigured)?;
                let bytes = self.memory.page(page).as_bytes().get(..length).unwrap_or_default();
                if self.id == SubOsId::SUPERVISOR {
                    serial::write_bytes(bytes);
                } else {
                    write_up(Share::own(self.id), bytes)?;
                }
                Ok(Answer::NOTHING.into())
            }
            Call::Exit { status: _ } if self.id != SubOsId::SUPERVISOR => Err(Error::WrongState),
            Call::Exit { status } => serial::exit_with(status),
        }
    }
}

/// Adds bytes to the console ring. The supervisor is told when there was nothing in it before.
fn write_up(share: Share, bytes: &[u8]) -> Result<(), Error> {
    let was_empty = share.write_console(bytes.iter().copied()).map_err(|_| Error::Full)?;
    if was_empty && !bytes.is_empty() {
        // Lost if the ring of records is full; the doorbell makes the supervisor look all the same.
        let _ = share.up().push(Event::Console {}.to_words(), arch::now(), Author::Kernel);
        doorbell::ring_up(share);
    }
    Ok(())
}
