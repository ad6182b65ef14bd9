//! What is said of a crash.

use core::fmt::{self, Display};

use idl::abi::{Registers, TrapKind};
use idl::message::Fault;

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

impl Display for Crash<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, core, times, fault, registers } = self;
        let why = reason(fault);
        write!(f, "{name} (of core {core}) crashed, time {times}: {why}: {fault}")?;
        let Some(r) = registers else { return f.write_str("\n  its registers cannot be read") };
        let rows = [
            [("rax", r.rax), ("rbx", r.rbx), ("rcx", r.rcx), ("rdx", r.rdx)],
            [("rsi", r.rsi), ("rdi", r.rdi), ("rbp", r.rbp), ("rsp", r.rsp)],
            [("r8", r.r8), ("r9", r.r9), ("r10", r.r10), ("r11", r.r11)],
            [("r12", r.r12), ("r13", r.r13), ("r14", r.r14), ("r15", r.r15)],
            [("rip", r.rip), ("rflags", r.rflags), ("fs", r.fs_base), ("gs", r.gs_base)],
        ];
        for row in rows {
            f.write_str("\n ")?;
            for (register, value) in row {
                write!(f, " {register:>6} {value:016x}")?;
            }
        }
        Ok(())
    }
}

/// The reason in words: the names of the exceptions are those of Intel SDM volume 3, table 6-1.
fn reason(fault: &Fault) -> &'static str {
    match (TrapKind::from_number(fault.trap.kind), fault.trap.vector) {
        (Some(TrapKind::PageFault), _) => match fault.trap.error_code & 0x13 {
            0x10.. => "it executed what it may not",
            0x02.. => "it wrote where it may not",
            _ => "it read where it may not",
        },
        (_, 0) => "a division error",
        (_, 3) => "a breakpoint",
        (_, 6) => "an invalid instruction (a panic ends in one)",
        (_, 13) => "a general protection fault",
        (_, 14) => "a page fault",
        (_, 16 | 19) => "a floating-point error",
        (_, 17) => "an alignment fault",
        _ => "an exception",
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use idl::abi::Trap;

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
