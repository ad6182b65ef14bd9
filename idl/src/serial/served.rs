//! The server's end of a line, for one who has something else to do: nothing here waits.

use super::frame::{FRAME_BYTES, Frame, Frames, encode};
use crate::interface::{Answer, Delivery, Dispatch, Generation, Interface, Label, Parcel, Request};
use crate::types::Badge;

/// How many bytes are taken from a line at once.
const CHUNK: usize = 256;

/// A line, as its server has it.
pub trait Line {
    /// Takes what has come, as far as there is room for it. Never waits.
    fn receive(&mut self, room: &mut [u8]) -> usize;
    /// Sends as many of these bytes as the line takes now. Never waits.
    fn send(&mut self, bytes: &[u8]) -> usize;
}

/// What the server knows of its line: bytes on their way in and out.
///
/// While an answer is not out, nothing more is taken in. So a client that does not read its answers, or never ends its
/// requests, keeps nobody busy, and needs no more room than there is here.
#[derive(Clone, Debug)]
pub struct Served {
    frames: Frames,
    came: Queue<CHUNK>,
    out: Queue<FRAME_BYTES>,
    /// What was no frame.
    rubbish: u64,
}

/// Bytes that wait: those from `at` to `end`.
#[derive(Clone, Debug)]
struct Queue<const N: usize> {
    bytes: [u8; N],
    at: usize,
    end: usize,
}

impl<const N: usize> Queue<N> {
    const EMPTY: Self = Self { bytes: [0; N], at: 0, end: 0 };

    fn waiting(&self) -> &[u8] {
        self.bytes.get(self.at..self.end).unwrap_or_default()
    }

    /// Room for others, once nothing waits.
    fn refill(&mut self, with: impl FnOnce(&mut [u8; N]) -> usize) {
        (self.at, self.end) = (0, with(&mut self.bytes).min(N));
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.waiting().first().copied()?;
        self.at += 1;
        Some(byte)
    }
}

impl Served {
    /// A line on which nothing was said yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { frames: Frames::new(), came: Queue::EMPTY, out: Queue::EMPTY, rubbish: 0 }
    }

    /// How often something came that was no frame.
    #[must_use]
    pub const fn rubbish(&self) -> u64 {
        self.rubbish
    }

    /// The next request, if the answer before is out and all of a request is in: does a bounded amount of work. Whether to
    /// ask again at once is the second of the pair: something came.
    pub fn next(&mut self, line: &mut impl Line) -> (Option<Frame>, bool) {
        self.flush(line);
        if !self.out.waiting().is_empty() {
            return (None, false);
        }
        if self.came.waiting().is_empty() {
            self.came.refill(|room| line.receive(room));
        }
        let some = !self.came.waiting().is_empty();
        while let Some(byte) = self.came.next() {
            match self.frames.push(byte) {
                Some(Ok(frame)) => return (Some(frame), true),
                Some(Err(_)) => self.rubbish = self.rubbish.saturating_add(1),
                None => {}
            }
        }
        (None, some)
    }

    /// Has a request done by a server in this life. The answer is what to [send](Self::send), if anybody waits for it.
    pub fn ask<D: Dispatch>(
        request: &Frame,
        (life, badge): (Generation, Badge),
        server: &mut D,
    ) -> Option<Frame> {
        let Frame { number, message } = request;
        let mut answer = Answer::new();
        let parcel = Parcel::new();
        let asked = Request { label: message.label, words: message.words(), parcel: &parcel };
        server.answer(life, badge, &asked, &mut answer);
        // What a server would pass on stays here: the client hears that it is not what the method says.
        answer.message.parcel.clear();
        let one_way = is_one_way::<D::Interface>(message.label);
        (!one_way).then_some(Frame { number: *number, message: answer.message })
    }

    /// Sends an answer, as far as the line takes it now.
    pub fn send(&mut self, answer: Option<Frame>, line: &mut impl Line) {
        let Some(Frame { number, message }) = answer else { return };
        self.out.refill(|frame| encode(number, &message, frame).unwrap_or(0));
        self.flush(line);
    }

    fn flush(&mut self, line: &mut impl Line) {
        while let waiting @ [_, ..] = self.out.waiting() {
            match line.send(waiting) {
                0 => return,
                count => self.out.at = self.out.at.saturating_add(count),
            }
        }
    }
}

impl Default for Served {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether nobody waits for an answer.
fn is_one_way<I: Interface>(label: u32) -> bool {
    let method = Label::unpack(label).and_then(|label| usize::try_from(label.method).ok()?.checked_sub(1));
    method.and_then(|index| I::METHODS.get(index)).is_some_and(|method| method.delivery == Delivery::OneWay)
}
