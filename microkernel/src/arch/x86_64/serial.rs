//! The serial ports, by polling, and QEMU's exit port. See the 16550 data sheet and `hw/misc/debugexit.c`. The first port
//! is the transcript; over the second, if there is one, an operator talks with the supervisor.
//!
//! Only subOS 0's kernel and boot may write here; the ports belong to subOS 0.

use core::fmt;

use super::instructions::{in_byte, out_byte, pause};

const COM1: u16 = 0x3f8;
const COM2: u16 = 0x2f8;
const LINE_STATUS: u16 = 5;
const DATA_READY: u8 = 0x01;
const TRANSMITTER_EMPTY: u8 = 0x20;
/// What every register of a port reads as that is not there.
const ABSENT: u8 = 0xff;
/// Polls before a byte is dropped: a port that is not there must not hang the kernel.
const PATIENCE: u32 = 1 << 16;

/// Where QEMU's `isa-debug-exit` listens; writing `v` ends QEMU with status `v * 2 + 1`.
const EXIT_PORT: u16 = 0xf4;

/// How a run under QEMU ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Status 33: all went well.
    Success = 0x10,
    /// Status 35: a test or the demo failed.
    Failed = 0x11,
    /// Status 37: subOS 0's kernel panicked.
    Panic = 0x12,
}

/// Sets the ports to 115,200 baud, 8 data bits, FIFO on, no interrupts.
pub fn initialise() {
    for (register, value) in [(1, 0x00), (3, 0x80), (0, 0x01), (1, 0x00), (3, 0x03), (2, 0xc7), (4, 0x03)] {
        // SAFETY: COM1's registers do not reach memory.
        unsafe { out_byte(COM1 + register, value) };
        // SAFETY: nor do COM2's.
        unsafe { out_byte(COM2 + register, value) };
    }
}

/// Takes what has come in on the second port, as far as there is room for it. Answers with how many bytes that were.
pub fn receive<'b>(room: impl Iterator<Item = &'b mut u8>) -> usize {
    // SAFETY: the receive register does not reach memory.
    room.map_while(|place| second_is(DATA_READY).then(|| *place = unsafe { in_byte(COM2) })).count()
}

/// Sends bytes over the second port until it takes no more now. Answers with how many it took.
pub fn send(bytes: &[u8]) -> usize {
    // SAFETY: the transmit register does not reach memory.
    let out = |byte: &u8| second_is(TRANSMITTER_EMPTY).then(|| unsafe { out_byte(COM2, *byte) });
    bytes.iter().map_while(out).count()
}

/// Whether the second port is there and in this state.
fn second_is(state: u8) -> bool {
    // SAFETY: reading the line status has no effect that the kernel depends on.
    let status = unsafe { in_byte(COM2 + LINE_STATUS) };
    status != ABSENT && status & state != 0
}

/// Writes bytes as they are.
pub fn write_bytes(bytes: &[u8]) {
    for &byte in bytes {
        write_byte(byte);
    }
}

fn write_byte(byte: u8) {
    for _ in 0..PATIENCE {
        // SAFETY: reading the line status has no effect that the kernel depends on.
        let status = unsafe { in_byte(COM1 + LINE_STATUS) };
        if status & TRANSMITTER_EMPTY != 0 {
            // SAFETY: the transmit register does not reach memory.
            unsafe { out_byte(COM1, byte) };
            return;
        }
        pause();
    }
}

/// Lets `write!` reach the port.
#[derive(Clone, Copy, Debug)]
pub struct Com1;

impl fmt::Write for Com1 {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_bytes(text.as_bytes());
        Ok(())
    }
}

/// Ends QEMU; on a machine without the exit device, stops this core.
pub fn exit(code: ExitCode) -> ! {
    exit_with(code as u8)
}

/// Ends QEMU with a status that subOS 0's programs choose.
pub fn exit_with(code: u8) -> ! {
    // SAFETY: the port is QEMU's exit device or nothing.
    unsafe { out_byte(EXIT_PORT, code) };
    super::instructions::halt_for_ever()
}
