//! The operator's end of a machine's control line: a socket of the host's, to which the machine's second serial port goes.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use idl::Error;
use idl::serial::Wire;

use crate::failure::{Doing, Result};
use crate::place::shown;

/// How long a call may take: a busy host stops a machine for seconds, and another operator may have the line first.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection.
#[derive(Debug)]
pub struct Socket {
    stream: UnixStream,
    deadline: Cell<Instant>,
}

impl Socket {
    /// Connects to the socket of a machine.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path).doing(|| format!("no machine listens at {}", shown(path)))?;
        Ok(Self { stream, deadline: Cell::new(Instant::now() + PATIENCE) })
    }

    /// What is left of the time of this call.
    fn left(&self) -> std::result::Result<Duration, Error> {
        let left = self.deadline.get().saturating_duration_since(Instant::now());
        if left.is_zero() { Err(Error::TimedOut) } else { Ok(left) }
    }
}

impl Wire for Socket {
    fn begin(&self) {
        self.deadline.set(Instant::now() + PATIENCE);
    }

    fn send(&self, bytes: &[u8]) -> std::result::Result<(), Error> {
        self.stream.set_write_timeout(Some(self.left()?)).map_err(|_| Error::Cancelled)?;
        (&self.stream).write_all(bytes).map_err(|error| kind(&error))
    }

    fn receive(&self, bytes: &mut [u8]) -> std::result::Result<usize, Error> {
        loop {
            self.stream.set_read_timeout(Some(self.left()?)).map_err(|_| Error::Cancelled)?;
            match (&self.stream).read(bytes) {
                Ok(0) => return Err(Error::Cancelled),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(kind(&error)),
            }
        }
    }
}

fn kind(error: &std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::TimedOut,
        _ => Error::Cancelled,
    }
}
