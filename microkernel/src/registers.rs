//! What the registers of a frame mean to a system call, and how they look in a message page.

use caps::Error;
use idl::abi::page::{FRAME, FX};
use idl::abi::{FxArea as PageFx, REGISTER_WORDS, Registers, ResultWord, Trap, TrapKind};
use zerocopy::transmute;

use crate::arch::Vector;
use crate::arch::x86_64::frame::{Frame, FrameFlags, FxArea};
use crate::entry::Fault;
use crate::memory::Memory;
use crate::types::PhysAddr;

impl Frame {
    /// The five words that travel in registers.
    #[must_use]
    pub const fn message_words(&self) -> [u64; REGISTER_WORDS] {
        [self.rsi, self.rdx, self.r10, self.r8, self.r9]
    }

    /// Puts five words into registers.
    pub const fn set_message_words(&mut self, words: [u64; REGISTER_WORDS]) {
        [self.rsi, self.rdx, self.r10, self.r8, self.r9] = words;
    }

    /// Success, with these words.
    pub const fn set_answer(&mut self, words: [u64; REGISTER_WORDS]) {
        self.rax = ResultWord::OK.0;
        self.rdi = 0;
        self.set_message_words(words);
    }

    /// A refusal; the other registers stay.
    pub const fn set_error(&mut self, error: Error) {
        self.rax = ResultWord::error(error).0;
    }

    /// A receive ended with a signal.
    pub const fn set_signal(&mut self, bits: u64) {
        self.rax = ResultWord::SIGNAL.0;
        self.rdi = bits;
    }

    /// The registers and the vector state, for a message page.
    #[must_use]
    pub fn save_registers(&self) -> (Registers, PageFx) {
        let registers = Registers {
            rax: self.rax,
            rbx: self.rbx,
            rcx: self.rcx,
            rdx: self.rdx,
            rsi: self.rsi,
            rdi: self.rdi,
            rbp: self.rbp,
            r8: self.r8,
            r9: self.r9,
            r10: self.r10,
            r11: self.r11,
            r12: self.r12,
            r13: self.r13,
            r14: self.r14,
            r15: self.r15,
            rip: self.rip,
            rflags: self.rflags,
            rsp: self.rsp,
            fs_base: self.fs_base,
            gs_base: self.gs_base,
        };
        (registers, PageFx(self.fx.0))
    }

    /// Takes over registers and vector state that a user wrote: what only the processor would refuse is sanitised
    /// here or at the exit; addresses were checked by the caller.
    pub fn load_registers(&mut self, registers: &Registers, fx: &PageFx) {
        self.rax = registers.rax;
        self.rbx = registers.rbx;
        self.rcx = registers.rcx;
        self.rdx = registers.rdx;
        self.rsi = registers.rsi;
        self.rdi = registers.rdi;
        self.rbp = registers.rbp;
        self.r8 = registers.r8;
        self.r9 = registers.r9;
        self.r10 = registers.r10;
        self.r11 = registers.r11;
        self.r12 = registers.r12;
        self.r13 = registers.r13;
        self.r14 = registers.r14;
        self.r15 = registers.r15;
        self.rip = registers.rip;
        self.rflags = registers.rflags;
        self.rsp = registers.rsp;
        self.fs_base = registers.fs_base;
        self.gs_base = registers.gs_base;
        self.fx = FxArea(fx.0);
        self.fx.sanitise();
        // All registers are to be loaded, rcx, r11 and the vector state among them.
        self.flags.remove(FrameFlags::VIA_SYSCALL);
    }
}

/// Words of the general registers, and of the vector state, in a message page.
const REGISTERS: usize = size_of::<Registers>() / 8;
const FX_WORDS: usize = size_of::<PageFx>() / 8;

impl Memory {
    /// The registers and the vector state in a message page, read once.
    #[must_use]
    pub fn registers_in(&self, page: PhysAddr) -> (Registers, PageFx) {
        let mut words = [0; REGISTERS];
        self.read_words(page, FRAME / 8, &mut words);
        let mut fx = [0; FX_WORDS];
        self.read_words(page, FX / 8, &mut fx);
        (transmute!(words), PageFx(transmute!(fx)))
    }

    /// Puts registers, vector state and, for a guest, why it stopped into a message page.
    pub fn put_registers(&mut self, page: PhysAddr, registers: Registers, fx: PageFx, trap: Option<Trap>) {
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
