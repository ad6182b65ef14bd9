//! Lines for people: `print!`, `println!`, the `log` crate, all to this program's console.

use core::fmt::{self, Write};
use core::time::Duration;

use caps::Error;
use log::{LevelFilter, Log, Metadata, Record};

use crate::sync::{Mutex, MutexGuard, Patience};
use crate::{environment, page, time};

/// Bytes that are collected before they are passed on: a line up to this long reaches the console in one piece.
const BUFFER: usize = 1024;
/// How long to wait when the console has no room.
const NAP: Duration = Duration::from_millis(1);
/// How often to wait for room before giving up what is left.
const PATIENCE: u32 = 2000;

/// How often to look whether it is one's turn.
const LONG: u32 = 4000;

/// One writer at a time, so that lines of several threads do not mix.
static TURN: Mutex<()> = Mutex::new(());

/// Writes bytes, all of them, waiting for room if need be.
///
/// # Errors
/// As `DebugConsole.write`, but `Full` only after waiting for long.
pub fn write(bytes: &[u8]) -> Result<(), Error> {
    let _turn = turn();
    let console = environment().console();
    pass(bytes, idl::abi::PAGE_BYTES, |chunk| {
        let length = page::put_bytes(chunk)?;
        console.write(length)
    })
}

/// This thread's turn to write. A thread that was ended while it wrote must not silence the others, so whoever has
/// waited for long writes all the same.
fn turn() -> Option<MutexGuard<'static, ()>> {
    let mut patience = Patience::default();
    for _ in 0..LONG {
        if let Some(turn) = TURN.try_lock() {
            return Some(turn);
        }
        patience.wait();
    }
    None
}

/// Passes bytes on in chunks, waiting whenever there is no room.
fn pass(bytes: &[u8], chunk: usize, mut write: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
    for chunk in bytes.chunks(chunk) {
        let mut waits = 0;
        while let Err(error) = write(chunk) {
            if error != Error::Full || waits == PATIENCE {
                return Err(error);
            }
            waits += 1;
            time::sleep(NAP);
        }
    }
    Ok(())
}

/// Collects text and passes it on when a line ends or the buffer is full.
pub struct Writer {
    buffer: heapless::Vec<u8, BUFFER>,
}

impl Writer {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self { buffer: heapless::Vec::new() }
    }
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.buffer.push(byte).is_err() {
                flush(self);
                let _ = self.buffer.push(byte);
            }
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        flush(self);
    }
}

/// Passes on what a writer has collected. A console that refuses loses the text: there is nowhere else to say so.
pub fn flush(writer: &mut Writer) {
    if !writer.buffer.is_empty() {
        let _ = write(&writer.buffer);
        writer.buffer.clear();
    }
}

/// What `print!` calls.
pub fn print(arguments: fmt::Arguments<'_>) {
    let _ = Writer::new().write_fmt(arguments);
}

/// Prints to the console. A piece of text up to a kilobyte arrives unbroken.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::console::print(format_args!($($argument)*)) };
}

/// Prints a line to the console.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($format:literal $($argument:tt)*) => { $crate::print!("{}\n", format_args!($format $($argument)*)) };
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            print(format_args!("[{} {}] {}\n", record.level(), record.target(), record.args()));
        }
    }

    fn flush(&self) {}
}

/// Sends what the `log` crate is given to the console, from the level that the argument `log=` names (off,
/// error, warn, info, debug, trace; info if there is none).
pub(crate) fn install_logger() {
    static LOGGER: Logger = Logger;
    let level = environment().argument("log").and_then(|name| name.parse().ok());
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(level.unwrap_or(LevelFilter::Info));
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn bytes_go_in_chunks_and_wait_for_room() {
        let (mut out, mut refusals) = (Vec::new(), 3);
        let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
        let result = pass(&bytes, 2048, |chunk| {
            if refusals > 0 {
                refusals -= 1;
                return Err(Error::Full);
            }
            out.extend_from_slice(chunk);
            Ok(())
        });
        assert_eq!(result, Ok(()));
        assert_eq!(out, bytes);
    }

    #[test]
    fn other_refusals_end_it() {
        assert_eq!(pass(b"text", 2, |_| Err(Error::MissingRight)), Err(Error::MissingRight));
    }
}
