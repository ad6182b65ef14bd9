//! The client's end of a line.

use core::cell::{Cell, RefCell};

use caps::Error;

use super::frame::{FRAME_BYTES, Frames, encode};
use crate::interface::{Long, Short, Transport};
use crate::types::Deadline;

/// How many bytes are taken from a line at once.
const CHUNK: usize = 256;

/// A line, as its client has it.
pub trait Wire {
    /// A call begins: what bounds its time is counted from now on.
    fn begin(&self);

    /// Sends all these bytes.
    ///
    /// # Errors
    /// `TimedOut`, or `Cancelled` if there is nobody at the other end any more.
    fn send(&self, bytes: &[u8]) -> Result<(), Error>;

    /// Takes what has come, and waits for something to come; at least one byte.
    ///
    /// # Errors
    /// `TimedOut` when the call has taken too long, whatever came; `Cancelled` if there is nobody at the other end any more.
    fn receive(&self, bytes: &mut [u8]) -> Result<usize, Error>;
}

/// A transport over a line. Its calls end when the line says that they took too long: the clocks of the two ends are
/// different, so a deadline of the client's means nothing to the server, and none is sent.
#[derive(Debug)]
pub struct Serial<W> {
    wire: W,
    number: Cell<u32>,
    frames: RefCell<Frames>,
}

impl<W: Wire> Serial<W> {
    /// A transport over this line. Calls are numbered from `first`: what was meant for somebody who had the line before is
    /// known by its number, so another client should begin with another.
    pub const fn new(wire: W, first: u32) -> Self {
        Self { wire, number: Cell::new(first), frames: RefCell::new(Frames::new()) }
    }

    /// The line.
    pub const fn wire(&self) -> &W {
        &self.wire
    }

    /// Says something; the number is what it was said under.
    fn say(&self, message: &Long) -> Result<u32, Error> {
        let number = self.number.get();
        self.number.set(number.wrapping_add(1));
        let mut frame = [0; FRAME_BYTES];
        let length = encode(number, message, &mut frame).ok_or(Error::InvalidArgument)?;
        self.wire.begin();
        self.wire.send(frame.get(..length).ok_or(Error::TooLong)?)?;
        Ok(number)
    }

    /// Waits for what is said under this number, past all else.
    fn hear(&self, number: u32) -> Result<Long, Error> {
        let mut frames = self.frames.borrow_mut();
        let mut bytes = [0; CHUNK];
        loop {
            let count = self.wire.receive(&mut bytes)?;
            let said = bytes.iter().take(count).filter_map(|byte| frames.push(*byte));
            // There is one call at a time, so nothing of use comes after its answer.
            if let Some(frame) = said.flatten().find(|frame| frame.number == number) {
                return Ok(frame.message);
            }
        }
    }
}

impl<W: Wire> Transport for Serial<W> {
    fn call_short(&self, request: &Short, until: Deadline) -> Result<Short, Error> {
        let mut message = Long::new(request.label);
        message.words.iter_mut().zip(request.words).for_each(|(to, from)| *to = from);
        message.count = request.count;
        self.call_long(&mut message, until)?;
        message.short().ok_or(Error::TooLong)
    }

    fn call_long(&self, message: &mut Long, _: Deadline) -> Result<(), Error> {
        let number = self.say(message)?;
        *message = self.hear(number)?;
        Ok(())
    }

    fn send(&self, message: &Long, _: Deadline) -> Result<(), Error> {
        self.say(message).map(|_| ())
    }
}
