//! A line to an operator who is another thread of the test.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use caps::Error;
use idl::serial::Wire;

/// What the line takes at once.
const PART: usize = 100;
/// How long a machine at rest waits for an operator before it looks what else there is.
const NAP: Duration = Duration::from_millis(1);
/// After so long an operator gives a machine up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The machine's end.
#[derive(Debug)]
pub(crate) struct FakeLine {
    from: Receiver<Vec<u8>>,
    to: Sender<Vec<u8>>,
    came: VecDeque<u8>,
}

/// The operator's end.
#[derive(Debug)]
pub(crate) struct Far {
    to: Sender<Vec<u8>>,
    from: Receiver<Vec<u8>>,
}

impl FakeLine {
    /// Both ends.
    pub(crate) fn new() -> (Self, Far) {
        let ((to_machine, from), (to, from_machine)) = (channel(), channel());
        (Self { from, to, came: VecDeque::new() }, Far { to: to_machine, from: from_machine })
    }

    pub(crate) fn receive(&mut self, room: &mut [u8]) -> usize {
        self.came.extend(self.from.try_iter().flatten());
        let count = room.len().min(self.came.len());
        room.iter_mut().zip(self.came.drain(..count)).for_each(|(to, from)| *to = from);
        count
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> usize {
        let part = &bytes[..bytes.len().min(PART)];
        // Who went away hears nothing more.
        let _ = self.to.send(part.to_vec());
        part.len()
    }

    /// Waits a little for an operator to say something.
    pub(crate) fn wait(&mut self) {
        if self.came.is_empty() {
            match self.from.recv_timeout(NAP) {
                Ok(bytes) => self.came.extend(bytes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("nobody is left who could end the run"),
            }
        }
    }
}

impl Far {
    /// Says bytes that are no request.
    pub(crate) fn say(&self, bytes: &[u8]) {
        self.to.send(bytes.to_vec()).expect("the machine is there");
    }
}

impl Wire for &Far {
    fn begin(&self) {}

    fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        self.to.send(bytes.to_vec()).map_err(|_| Error::Cancelled)
    }

    fn receive(&self, bytes: &mut [u8]) -> Result<usize, Error> {
        let came = self.from.recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => Error::TimedOut,
            RecvTimeoutError::Disconnected => Error::Cancelled,
        })?;
        for (to, from) in bytes.iter_mut().zip(&came) {
            *to = *from;
        }
        assert!(came.len() <= bytes.len(), "it comes in parts");
        Ok(came.len())
    }
}
