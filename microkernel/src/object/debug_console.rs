//! DebugConsole: where lines for people go.

use caps::Error;
use idl::event::Event;
use idl::kernel::console::{Call, LINE_BYTES};
use idl::types::Length;
use zerocopy::IntoBytes;

use super::Methods;
use super::subos::bounded;
use crate::arch;
use crate::arch::x86_64::serial;
use crate::kernel::Kernel;
use crate::machine::doorbell;
use crate::machine::share::{Author, Share};
use crate::outcome::{Answer, Outcome};
use crate::syscall::Caller;
use crate::types::{PhysAddr, SubOsId};

/// A call of a DebugConsole, checked.
pub enum Request {
    /// Writes so many bytes of this message page.
    Write(PhysAddr, usize),
    /// Ends the machine.
    Exit(u8),
    /// Takes at most so many bytes of the control line into this message page.
    Receive(PhysAddr, usize),
    /// Sends so many bytes of this message page over the control line.
    Send(PhysAddr, usize),
}

impl Methods for Call {
    type Request = Request;

    #[inline(always)]
    fn decode(self, kernel: &Kernel, caller: &Caller) -> Result<Request, Error> {
        let supervisor = kernel.id == SubOsId::SUPERVISOR;
        match self {
            Call::Write { length } => {
                let length = bounded(length)?;
                let page = kernel.page_of(caller)?;
                if !supervisor && !Share::own(kernel.id).console_has_room(length) {
                    return Err(Error::Full);
                }
                Ok(Request::Write(page, length))
            }
            Call::Exit { .. } | Call::Receive { .. } | Call::Send { .. } if !supervisor => {
                Err(Error::WrongState)
            }
            Call::Exit { status } => Ok(Request::Exit(status)),
            Call::Receive { most } => Ok(Request::Receive(kernel.page_of(caller)?, in_line(most)?)),
            Call::Send { length } => Ok(Request::Send(kernel.page_of(caller)?, in_line(length)?)),
        }
    }

    #[inline(always)]
    fn perform(request: Request, kernel: &mut Kernel, _: &Caller) -> Outcome {
        match request {
            Request::Write(page, length) => {
                let bytes = kernel.memory.page(page).as_bytes().get(..length).unwrap_or_default();
                if kernel.id == SubOsId::SUPERVISOR {
                    serial::write_bytes(bytes);
                } else {
                    write_up(Share::own(kernel.id), bytes);
                }
                Answer::NOTHING.into()
            }
            Request::Exit(status) => serial::exit_with(status),
            Request::Receive(page, most) => {
                let room = kernel.memory.page_mut(page).as_mut_bytes().iter_mut().take(most);
                Answer::of(serial::receive(room) as u64).into()
            }
            Request::Send(page, length) => {
                let bytes = kernel.memory.page(page).as_bytes().get(..length).unwrap_or_default();
                Answer::of(serial::send(bytes) as u64).into()
            }
        }
    }
}

/// A length that the control line takes in one call.
fn in_line(length: Length) -> Result<usize, Error> {
    bounded(length).and_then(|length| if length <= LINE_BYTES { Ok(length) } else { Err(Error::TooLong) })
}

/// Adds bytes to the console ring. The supervisor is told when there was nothing in it before.
fn write_up(share: Share, bytes: &[u8]) {
    if share.write_console(bytes) && !bytes.is_empty() {
        // Lost if the ring of records is full; the doorbell makes the supervisor look all the same.
        let _ = share.up().ring.push(Event::Console {}.to_words(), arch::now(), Author::Kernel);
        doorbell::ring_up(share);
    }
}
