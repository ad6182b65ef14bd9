//! What was said between a client and a server, as text, and a transport that says it again.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::str::FromStr;
use std::string::{String, ToString};
use std::vec::Vec;

use caps::Error;

use crate::interface::{Label, Long, Short, Transport};
use crate::types::Deadline;

/// A request and what came of it. Deadlines are left out: they differ from run to run. Capabilities are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The request's label, without the bit for a deadline.
    pub request: u32,
    /// The request's words.
    pub words: Vec<u64>,
    /// The answer's label and words; nothing if there was none.
    pub answer: Option<(u32, Vec<u64>)>,
}

/// All that was said. Its text is a line for each exchange, to be kept in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tape(pub Vec<Exchange>);

/// A transport that keeps what is said over it.
#[derive(Debug)]
pub struct Recorder<T> {
    transport: T,
    tape: RefCell<Tape>,
}

impl<T> Recorder<T> {
    /// Calls over this transport.
    pub const fn new(transport: T) -> Self {
        Self { transport, tape: RefCell::new(Tape(Vec::new())) }
    }

    /// What was said so far.
    pub fn tape(&self) -> Tape {
        self.tape.borrow().clone()
    }

    fn keep(&self, label: u32, words: &[u64], answer: Option<(u32, Vec<u64>)>) {
        let (request, words) = without_deadline(label, words);
        self.tape.borrow_mut().0.push(Exchange { request, words, answer });
    }
}

impl<T: Transport> Transport for Recorder<T> {
    fn deadline(&self) -> Deadline {
        self.transport.deadline()
    }

    fn call_short(&self, request: &Short, until: Deadline) -> Result<Short, Error> {
        let answer = self.transport.call_short(request, until)?;
        let said = answer.words.iter().copied().take(usize::from(answer.count)).collect();
        let words = request.words.get(..usize::from(request.count)).unwrap_or(&[]);
        self.keep(request.label, words, Some((answer.label, said)));
        Ok(answer)
    }

    fn call_long(&self, message: &mut Long, until: Deadline) -> Result<(), Error> {
        let (label, words) = (message.label, message.words().to_vec());
        self.transport.call_long(message, until)?;
        self.keep(label, &words, Some((message.label, message.words().to_vec())));
        Ok(())
    }

    fn send(&self, message: &Long, until: Deadline) -> Result<(), Error> {
        self.transport.send(message, until)?;
        self.keep(message.label, message.words(), None);
        Ok(())
    }
}

/// A transport that answers from a tape. A request that the tape does not have next is a panic that says which.
#[derive(Debug)]
pub struct Replay {
    tape: Tape,
    next: Cell<usize>,
}

impl Replay {
    /// Plays this tape.
    #[must_use]
    pub const fn new(tape: Tape) -> Self {
        Self { tape, next: Cell::new(0) }
    }

    /// How many exchanges are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.tape.0.len() - self.next.get()
    }

    fn next(&self, label: u32, words: &[u64]) -> Result<Option<(u32, Vec<u64>)>, Error> {
        let number = self.next.get();
        let (label, words) = without_deadline(label, words);
        let Some(exchange) = self.tape.0.get(number) else {
            panic!("request {number} ({label:#x} {words:x?}) comes after the tape's end");
        };
        let asked = Exchange { request: label, words, answer: exchange.answer.clone() };
        assert_eq!(asked, *exchange, "request {number} is not what the tape has");
        self.next.set(number + 1);
        Ok(exchange.answer.clone())
    }
}

impl Transport for Replay {
    fn call_short(&self, request: &Short, _: Deadline) -> Result<Short, Error> {
        let words = request.words.get(..usize::from(request.count)).unwrap_or(&[]);
        let (label, said) = self.next(request.label, words)?.ok_or(Error::TimedOut)?;
        let mut answer = Short { label, count: u8::try_from(said.len()).unwrap_or(0), ..Short::default() };
        answer.words.get_mut(..said.len()).ok_or(Error::TooLong)?.copy_from_slice(&said);
        Ok(answer)
    }

    fn call_long(&self, message: &mut Long, _: Deadline) -> Result<(), Error> {
        let (label, said) = self.next(message.label, message.words())?.ok_or(Error::TimedOut)?;
        *message = Long::new(label);
        message.count = u8::try_from(said.len()).map_err(|_| Error::TooLong)?;
        message.words.get_mut(..said.len()).ok_or(Error::TooLong)?.copy_from_slice(&said);
        Ok(())
    }

    fn send(&self, message: &Long, _: Deadline) -> Result<(), Error> {
        self.next(message.label, message.words()).map(|_| ())
    }
}

fn without_deadline(label: u32, words: &[u64]) -> (u32, Vec<u64>) {
    match (Label::unpack(label), words.split_last()) {
        (Some(label), Some((_, others))) if label.has_deadline => {
            (Label { has_deadline: false, ..label }.pack(), others.to_vec())
        }
        _ => (label, words.to_vec()),
    }
}

impl fmt::Display for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Exchange { request, words, answer } in &self.0 {
            line(f, *request, words)?;
            f.write_str(" ->")?;
            if let Some((label, words)) = answer {
                f.write_str(" ")?;
                line(f, *label, words)?;
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, label: u32, words: &[u64]) -> fmt::Result {
    write!(f, "{label:x}")?;
    words.iter().try_for_each(|word| write!(f, " {word:x}"))
}

impl FromStr for Tape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let exchanges = text.lines().map(|line| exchange(line).ok_or_else(|| line.to_string()));
        exchanges.collect::<Result<_, _>>().map(Self)
    }
}

fn exchange(line: &str) -> Option<Exchange> {
    let (request, answer) = line.split_once("->")?;
    let (request, words) = message(request)??;
    Some(Exchange { request, words, answer: message(answer)? })
}

/// A label and words; nothing at all is no message.
#[allow(clippy::option_option, reason = "a line can be wrong, and a message can be absent")]
fn message(text: &str) -> Option<Option<(u32, Vec<u64>)>> {
    let mut words = text.split_whitespace().map(|word| u64::from_str_radix(word, 16).ok());
    let Some(label) = words.next() else { return Some(None) };
    let label = u32::try_from(label?).ok()?;
    Some(Some((label, words.collect::<Option<_>>()?)))
}
