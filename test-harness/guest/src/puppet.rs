//! A thread that runs machine code of the case's choice with registers of the case's choice: for what compiled Rust
//! does not do.
//!
//! The code stands in a page of its own. After it, and at the page's beginning, stands an undefined instruction: the
//! thread begins and ends in a fault, which its case receives.

use alloc::format;
use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering};

use idl::abi::{OpWord, Registers, ResultWord};
use idl::message::{Fault, Message, Received};
use idl::types::{Badge, PageIndex, Pages, UserAddress, UserPage};
use userlib::cap::{Endpoint, Reply, Thread};
use userlib::memory::{self, Mapping};
use userlib::{Cap, Error, Handle, Rights, environment, page, time};

use crate::{PATIENCE, said};

/// UD2.
const UNDEFINED: [u8; 2] = [0x0f, 0x0b];
/// Where the code begins in its page.
const CODE: u64 = 16;
/// The vector of an undefined instruction.
pub(crate) const INVALID: u32 = 6;
/// SYSCALL.
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// The thread.
#[derive(Debug)]
pub(crate) struct Puppet {
    thread: Cap<Thread>,
    faults: Cap<Endpoint>,
    reply: Cap<Reply>,
    base: u64,
}

/// How a puppet came to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// The fault.
    pub(crate) fault: Fault,
    /// Its registers then.
    pub(crate) registers: Registers,
}

impl Puppet {
    /// A puppet that has not begun. It has no message page.
    pub(crate) fn new(code: &[u8]) -> Result<Self, String> {
        Self::make(code).map_err(said("puppet"))?.begin()
    }

    fn make(code: &[u8]) -> Result<Self, Error> {
        /// Each puppet's page lies beyond the one before.
        static NEXT: AtomicU64 = AtomicU64::new(0x5000_0000_0000);
        let base = NEXT.fetch_add(0x10_0000, Ordering::Relaxed);
        let mapping = Mapping::new(Pages(1))?;
        mapping.write(0, &UNDEFINED);
        let length = mapping.write(16, code);
        mapping.write(16 + length, &UNDEFINED);
        let region = mapping.region();
        mapping.unmap()?;
        let space = environment().space();
        let binding = memory::bind(region, space)?;
        let address = UserPage::new(base).ok_or(Error::BadRange)?;
        memory::map_pages(space, binding, PageIndex(0), address, Pages(1), Rights::READ | Rights::EXECUTE)?;
        let thread = memory::create::<Thread>(0)?;
        let table = environment().cspace();
        thread.configure(table.handle(), space.handle(), Handle::NONE, PageIndex(0))?;
        let faults = memory::create::<Endpoint>(0)?;
        thread.fault_handler(faults.handle(), Badge(1))?;
        Ok(Self { thread, faults, reply: memory::create::<Reply>(0)?, base })
    }

    /// Lets it run into its first fault.
    fn begin(self) -> Result<Self, String> {
        self.thread.start(UserAddress(self.base), UserAddress(self.base), 0).map_err(said("start"))?;
        self.next_fault()?;
        Ok(self)
    }

    /// The thread.
    pub(crate) const fn thread(&self) -> Cap<Thread> {
        self.thread
    }

    /// The address of its first instruction.
    pub(crate) const fn code(&self) -> u64 {
        self.base + CODE
    }

    /// Sets it going with these registers from its first instruction on.
    pub(crate) fn go(&self, registers: &Registers) -> Result<(), String> {
        self.thread.read_registers().map_err(said("read registers"))?;
        let mut frame = page::frame().map_err(said("frame"))?;
        frame.registers = Registers { rip: self.code(), rflags: registers.rflags | 2, ..*registers };
        page::set_frame(&frame).map_err(said("frame"))?;
        self.thread.write_registers().map_err(said("write registers"))?;
        self.reply.reply(&Message::default()).map_err(said("resume"))
    }

    /// Waits for its next fault, and reads how it stands.
    pub(crate) fn end(&self) -> Result<End, String> {
        let fault = self.next_fault()?;
        self.thread.read_registers().map_err(said("read registers"))?;
        Ok(End { fault, registers: page::frame().map_err(said("frame"))?.registers })
    }

    fn next_fault(&self) -> Result<Fault, String> {
        match self.faults.receive(&self.reply, time::after(PATIENCE)).map_err(said("no fault"))? {
            Received::Message { message, .. } => {
                Fault::from_message(&message).ok_or("no fault message".into())
            }
            Received::Signal(bits) => Err(format!("a signal: {bits:?}")),
        }
    }
}

/// A puppet that makes one system call at a time, without a message page.
pub(crate) fn caller() -> Result<Puppet, String> {
    Puppet::new(&SYSCALL)
}

/// One system call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Call {
    /// rax.
    pub(crate) op: u64,
    /// rdi.
    pub(crate) handle: Handle,
    /// rsi, rdx, r10, r8, r9.
    pub(crate) words: [u64; 5],
    /// r12, as ticks; 0 is none.
    pub(crate) deadline: u64,
    /// r13.
    pub(crate) second: Handle,
}

impl Call {
    /// The registers that make it.
    pub(crate) fn registers(&self) -> Registers {
        let [rsi, rdx, r10, r8, r9] = self.words;
        Registers {
            rax: self.op,
            rdi: self.handle.0,
            rsi,
            rdx,
            r10,
            r8,
            r9,
            r12: self.deadline,
            r13: self.second.0,
            ..Registers::default()
        }
    }
}

/// Makes a caller call, and gives what came of it.
pub(crate) fn ask(caller: &Puppet, call: &Call) -> Result<ResultWord, String> {
    caller.go(&call.registers())?;
    answer(caller, call)
}

/// What came of a call that was set going.
pub(crate) fn answer(caller: &Puppet, call: &Call) -> Result<ResultWord, String> {
    let end = caller.end()?;
    if end.fault.trap.vector != INVALID || end.registers.rip != caller.code() + 2 {
        return Err(format!("the caller did not come back: {}", end.fault));
    }
    let result = ResultWord(end.registers.rax);
    #[cfg(feature = "image")]
    userlib::observe::note(OpWord(call.op), result);
    let _ = OpWord(call.op);
    Ok(result)
}
