//! One talk over a window, on a thread of its own.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use caps::Error;
use idl::crew::Role;
use idl::types::{Badge, Bits, Deadline, LotNumber, SubOsNumber};
use userlib::cap::{Cap, Endpoint, Notification, Thread};
use userlib::channel::{Channel, Failure, Line};
use userlib::sync::Mutex;
use userlib::{environment, slots, thread};

/// The longest message, in bytes.
const LONGEST: usize = 600;

/// Why a talk is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The channel is of no more use.
    Channel(Failure),
    /// This message came back another than it went.
    Wrong(u64),
}

impl fmt::Display for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(failure) => failure.fmt(out),
            Self::Wrong(number) => write!(out, "message {number} came back as another"),
        }
    }
}

/// What the thread and whoever looks after it share.
#[derive(Debug, Default)]
struct Desk {
    messages: AtomicU64,
    end: Mutex<Option<End>>,
}

/// A talk, from outside.
#[derive(Debug)]
pub struct Talk {
    lot: LotNumber,
    line: Line,
    thread: Cap<Thread>,
    desk: Arc<Desk>,
}

impl Talk {
    /// Begins to talk over the window of this lot. When the talk is over, `bell` is signalled with these bits; when its
    /// thread faults, `faults` hears of it with the lot's number as the badge.
    ///
    /// # Errors
    /// Those of [`Channel::open`] and of starting a thread.
    pub fn begin(
        (lot, peer): (LotNumber, SubOsNumber),
        role: Role,
        faults: Cap<Endpoint>,
        (bell, bits): (Cap<Notification>, Bits),
    ) -> Result<Self, Error> {
        let mut channel = Channel::open(environment().window(lot.0)?, peer)?;
        let (line, desk) = (channel.line(), Arc::new(Desk::default()));
        let theirs = Arc::clone(&desk);
        let work = move || {
            let end = match role {
                Role::Calls => call(&mut channel, &theirs.messages),
                Role::Answers => answer(&mut channel, &theirs.messages),
            };
            // What cannot be given back goes with the window.
            let _ = channel.close();
            *theirs.end.lock() = Some(end);
            let _ = bell.signal(bits);
        };
        let builder = thread::Builder::new().faults(faults.handle(), Badge(lot.0.into()));
        Ok(Self { line, lot, thread: builder.spawn(work)?.thread(), desk })
    }

    /// The lot of its window.
    #[must_use]
    pub const fn lot(&self) -> LotNumber {
        self.lot
    }

    /// Has the talk end soon.
    pub fn cut(&self) {
        self.line.cut();
    }

    /// How many messages came back as they were, or were sent back.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.desk.messages.load(Ordering::Relaxed)
    }

    /// Why it is over, if it is.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        *self.desk.end.lock()
    }

    /// Ends the thread, wherever it stands: it has faulted.
    ///
    /// # Errors
    /// Those of `CSpace.delete`.
    pub fn abandon(self) -> Result<(), Error> {
        slots::delete(self.thread.handle())
    }
}

/// The message of this number. Each is of another length and says something else than the one before.
#[must_use]
pub fn message(number: u64) -> Vec<u8> {
    let length = usize::try_from(number.wrapping_mul(37)).unwrap_or(0) % (LONGEST + 1);
    (0u64..).take(length).map(|byte| number.wrapping_add(byte.wrapping_mul(7)).to_le_bytes()[0]).collect()
}

/// Says something and hears it again, until that is impossible.
fn call(channel: &mut Channel, messages: &AtomicU64) -> End {
    let mut buffer = vec![0; LONGEST];
    for number in 1.. {
        let said = message(number);
        let sent = channel.send(&said, Deadline::NEVER);
        match sent.and_then(|()| channel.receive(&mut buffer, Deadline::NEVER)) {
            Err(failure) => return End::Channel(failure),
            Ok(length) if buffer.get(..length) != Some(said.as_slice()) => return End::Wrong(number),
            Ok(_) => messages.store(number, Ordering::Relaxed),
        }
    }
    End::Channel(Failure::Closed)
}

/// Says again what it hears, until that is impossible.
fn answer(channel: &mut Channel, messages: &AtomicU64) -> End {
    let mut buffer = vec![0; LONGEST];
    loop {
        let heard = channel.receive(&mut buffer, Deadline::NEVER);
        match heard.and_then(|length| channel.send(buffer.get(..length).unwrap_or(&[]), Deadline::NEVER)) {
            Ok(()) => messages.fetch_add(1, Ordering::Relaxed),
            Err(failure) => return End::Channel(failure),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_differ_and_fit() {
        for number in 1..2000 {
            let (one, next) = (message(number), message(number + 1));
            assert!(one.len() <= LONGEST && one != next, "{number}");
        }
    }
}
