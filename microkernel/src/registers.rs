//! What the registers of a frame mean to a system call, and how they look in a message page.

use caps::Error;
use idl::abi::page::{FRAME, FX};
use idl::abi::{FxArea, REGISTER_WORDS, Registers, ResultWord, Trap, TrapKind, USER_END};
use zerocopy::transmute;

use crate::arch::Vector;
use crate::arch::x86_64::frame::{Frame, FrameFlags, sanitise};
use crate::entry::Fault;
use crate::memory::Memory;
use crate::types::PhysAddr;

impl Frame {
    /// The five words that travel in registers.
    #[must_use]
    pub const fn message_words(&self) -> [u64; REGISTER_WORDS] {
        let Registers { rsi, rdx, r10, r8, r9, .. } = self.registers;
        [rsi, rdx, r10, r8, r9]
    }

    /// Puts five words into registers.
    pub const fn set_message_words(&mut self, words: [u64; REGISTER_WORDS]) {
        let Registers { rsi, rdx, r10, r8, r9, .. } = &mut self.registers;
        [*rsi, *rdx, *r10, *r8, *r9] = words;
    }

    /// Success, with these words.
    pub const fn set_answer(&mut self, words: [u64; REGISTER_WORDS]) {
        self.registers.rax = ResultWord::OK.0;
        self.registers.rdi = 0;
        self.set_message_words(words);
    }

    /// A refusal; the other registers stay.
    pub const fn set_error(&mut self, error: Error) {
        self.registers.rax = ResultWord::error(error).0;
    }

    /// A receive ended with a signal.
    pub const fn set_signal(&mut self, bits: u64) {
        self.registers.rax = ResultWord::SIGNAL.0;
        self.registers.rdi = bits;
    }

    /// Takes over registers and vector state that a user wrote: what only the processor would refuse is sanitised
    /// here or at the exit; addresses were checked by the caller.
    pub fn take_over(&mut self, registers: Registers, fx: FxArea) {
        self.registers = registers;
        self.fx = fx;
        sanitise(&mut self.fx);
        // All registers are to be loaded, rcx, r11 and the vector state among them.
        self.flags.remove(FrameFlags::VIA_SYSCALL);
    }
}

/// Words of the general registers, and of the vector state, in a message page.
const REGISTERS: usize = size_of::<Registers>() / 8;
const FX_WORDS: usize = size_of::<FxArea>() / 8;

impl Memory {
    /// The registers in a message page, read once. `BadRange`: an address is not in user space.
    pub fn registers_in(&self, page: PhysAddr) -> Result<Registers, Error> {
        let mut words = [0; REGISTERS];
        self.read_words(page, FRAME / 8, &mut words);
        let registers: Registers = transmute!(words);
        let addresses = [registers.rip, registers.fs_base, registers.gs_base];
        if addresses.iter().any(|address| *address >= USER_END) {
            return Err(Error::BadRange);
        }
        Ok(registers)
    }

    /// The vector state in a message page, read once.
    #[must_use]
    pub fn vectors_in(&self, page: PhysAddr) -> FxArea {
        let mut words = [0; FX_WORDS];
        self.read_words(page, FX / 8, &mut words);
        FxArea(transmute!(words))
    }

    /// Puts registers, vector state and, for a guest, why it stopped into a message page.
    pub fn put_registers(&mut self, page: PhysAddr, registers: Registers, fx: FxArea, trap: Option<Trap>) {
        let words: [u64; REGISTERS] = transmute!(registers);
        self.write_words(page, FRAME / 8, &words);
        if let Some(trap) = trap {
            let words: [u64; size_of::<Trap>() / 8] = transmute!(trap);
            self.write_words(page, FRAME / 8 + REGISTERS, &words);
        }
        let words: [u64; FX_WORDS] = transmute!(fx.0);
        self.write_words(page, FX / 8, &words);
    }
}

impl Fault {
    /// The fault as a trap.
    #[must_use]
    pub const fn trap(&self) -> Trap {
        let kind =
            if self.vector.0 == Vector::PAGE_FAULT.0 { TrapKind::PageFault } else { TrapKind::Exception };
        Trap {
            kind: kind as u32,
            vector: self.vector.0 as u32,
            error_code: self.error,
            address: self.address,
        }
    }

    /// The words of the message that tells of the fault.
    #[must_use]
    pub const fn message_words(&self, rip: u64) -> [u64; REGISTER_WORDS] {
        let trap = self.trap();
        [trap.kind as u64, trap.vector as u64, trap.error_code, trap.address, rip]
    }
}
