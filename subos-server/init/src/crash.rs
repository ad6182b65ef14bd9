//! What is said of a crash.

use core::fmt::{self, Display};

use idl::abi::Registers;
use idl::message::Fault;
use userlib::page;
use userlib::process::Process;

/// A crash, as people read it: who, why, and every register.
#[derive(Clone, Copy, Debug)]
pub struct Crash<'a> {
    /// The server's name.
    pub name: &'a str,
    /// The core it ran on.
    pub core: u32,
    /// How often it has crashed by now.
    pub times: u32,
    /// Why.
    pub fault: Fault,
    /// Its registers, if they could be read.
    pub registers: Option<Registers>,
}

/// The registers with which a server crashed, if they can be read.
#[must_use]
pub fn registers_of(process: &Process) -> Option<Registers> {
    let frame = process.thread().read_registers().and_then(|()| page::frame());
    frame.ok().map(|frame| frame.registers)
}

impl Display for Crash<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, core, times, fault, registers } = self;
        let why = fault.reason();
        writeln!(f, "{name} (of core {core}) crashed, time {times}: {why}: {fault}")?;
        match registers {
            Some(registers) => write!(f, "{registers}"),
            None => f.write_str("  its registers cannot be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use idl::abi::{Trap, TrapKind};

    use super::*;

    #[test]
    fn a_crash_says_who_why_and_with_what() {
        let trap = Trap { kind: TrapKind::PageFault as u32, vector: 14, error_code: 6, address: 0x1234 };
        let fault = Fault { trap, rip: 0x20_0010 };
        let registers = Registers { rax: 0xabcd, rip: 0x20_0010, ..Registers::default() };
        let crash = Crash { name: "echo-server", core: 3, times: 1, fault, registers: Some(registers) };
        let text = std::format!("{crash}");
        for part in ["echo-server", "core 3", "wrote where it may not", "0x1234", "rax 000000000000abcd"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let unread = std::format!("{}", Crash { registers: None, ..crash });
        assert!(unread.contains("cannot be read"));
    }
}
