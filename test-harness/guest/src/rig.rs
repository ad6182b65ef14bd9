//! A thread in a space of its own whose code the case writes byte by byte: what no compiler would let a program do.
//!
//! Its code lies at [`CODE`], two pages of data at [`DATA`]; its faults come to the case, and its registers are the
//! case's to set and to read. Whatever it does, the case itself goes on.

use alloc::format;
use alloc::string::String;
use core::ops::Range;

use idl::abi::{FxArea, GuestFrame, Registers};
use idl::message::{Fault, Message, Received};
use idl::types::{Badge, PageIndex, Pages, Priority, ThreadState, UserPage};
use userlib::cap::{AddressSpace, Endpoint, Region, Reply, Thread};
use userlib::memory::{self, Mapping};
use userlib::{Cap, Error, Handle, Rights, environment, page, time};

use crate::{PATIENCE, said};

/// Where the code lies.
pub(crate) const CODE: u64 = 0x40_0000;
/// Where the data lies.
pub(crate) const DATA: u64 = 0x50_0000;
/// The end of the data, where the stack begins.
pub(crate) const STACK: u64 = DATA + 0x2000;
/// The badge of its faults.
pub(crate) const BADGE: Badge = Badge(7);
/// Vectors of exceptions.
pub(crate) const INVALID_OPCODE: u32 = 6;
pub(crate) const GENERAL_PROTECTION: u32 = 13;
pub(crate) const PAGE_FAULT: u32 = 14;

/// The end of a code: an invalid instruction, at which it is looked at.
pub(crate) const END: [u8; 2] = [0x0f, 0x0b];

/// The thread and what it runs in.
pub(crate) struct Rig {
    pub(crate) space: Cap<AddressSpace>,
    pub(crate) thread: Cap<Thread>,
    pub(crate) faults: Cap<Endpoint>,
    pub(crate) reply: Cap<Reply>,
    pub(crate) code: Mapping,
    pub(crate) data: Mapping,
}

impl Rig {
    /// A rig whose thread was never started.
    pub(crate) fn new() -> Result<Self, String> {
        memory::create(0).and_then(Self::of).map_err(said("rig"))
    }

    /// The same with a thread that the case has made.
    pub(crate) fn of(thread: Cap<Thread>) -> Result<Self, Error> {
        let space = memory::create::<AddressSpace>(24)?;
        let (code, data) = (Mapping::new(Pages(1))?, Mapping::new(Pages(2))?);
        let rig = Self {
            space,
            thread,
            faults: memory::create::<Endpoint>(0)?,
            reply: memory::create::<Reply>(0)?,
            code,
            data,
        };
        rig.map(rig.code.region(), CODE, Rights::READ | Rights::EXECUTE)?;
        rig.map(rig.data.region(), DATA, Rights::READ | Rights::WRITE)?;
        rig.thread.configure(environment().cspace().handle(), space.handle(), Handle::NONE, PageIndex(0))?;
        rig.thread.schedule(Priority::ORDINARY, Handle::NONE)?;
        rig.thread.fault_handler(rig.faults.handle(), BADGE)?;
        Ok(rig)
    }

    /// Maps a whole region into the rig's space.
    pub(crate) fn map(&self, region: Cap<Region>, address: u64, rights: Rights) -> Result<(), Error> {
        let binding = memory::bind(region, self.space)?;
        let address = UserPage::new(address).ok_or(Error::BadRange)?;
        memory::map_pages(self.space, binding, PageIndex(0), address, region.info()?, rights)
    }

    /// Writes its code, followed by invalid instructions.
    pub(crate) fn load(&self, code: &[u8]) {
        self.code.write(0, &[0x0f, 0x0b].repeat(2048));
        self.code.write(0, code);
    }

    /// Registers with which it begins its code.
    pub(crate) fn registers() -> Registers {
        Registers { rip: CODE, rsp: STACK, ..Registers::default() }
    }

    /// Lets it run from these registers, wherever it was before.
    pub(crate) fn go(&self, registers: &Registers, fx: &FxArea) -> Result<(), String> {
        self.stop()?;
        self.set(registers, fx)?;
        self.thread.resume().map_err(said("resume"))
    }

    /// Stops it, whatever it does.
    pub(crate) fn stop(&self) -> Result<(), String> {
        match self.thread.suspend() {
            Ok(()) | Err(Error::WrongState) => Ok(()),
            Err(error) => Err(format!("suspend: {error}")),
        }
    }

    /// Sets its registers.
    pub(crate) fn set(&self, registers: &Registers, fx: &FxArea) -> Result<(), String> {
        let frame = GuestFrame { registers: *registers, ..GuestFrame::default() };
        page::set_frame(&frame).map_err(said("frame"))?;
        page::set_fx(fx).map_err(said("fx"))?;
        self.thread.write_registers().map_err(said("write_registers"))
    }

    /// Its registers, now that it stands.
    pub(crate) fn look(&self) -> Result<(Registers, FxArea), String> {
        self.thread.read_registers().map_err(said("read_registers"))?;
        Ok((page::frame().map_err(said("frame"))?.registers, page::fx().map_err(said("fx"))?))
    }

    /// Its next fault.
    pub(crate) fn fault(&self) -> Result<Fault, String> {
        match self.faults.receive(&self.reply, time::after(PATIENCE)).map_err(said("no fault came"))? {
            Received::Message { badge, message } => {
                if badge != BADGE {
                    return Err(format!("a fault with badge {badge:?}"));
                }
                Fault::from_message(&message).ok_or_else(|| "a message that is not a fault".into())
            }
            Received::Signal(bits) => Err(format!("a signal: {bits:?}")),
        }
    }

    /// Answers its fault, so that it goes on where it stands.
    pub(crate) fn answer(&self) -> Result<(), String> {
        self.reply.reply(&Message::default()).map_err(said("reply"))
    }

    /// Runs a code from these registers to its first fault.
    pub(crate) fn run(&self, code: &[u8], registers: &Registers) -> Result<(Fault, Registers), String> {
        self.load(code);
        self.go(registers, &FxArea::default())?;
        let fault = self.fault()?;
        Ok((fault, self.look()?.0))
    }

    /// Runs a code that ends with [`END`] and gives its registers there.
    pub(crate) fn finish(&self, code: &[u8], registers: &Registers) -> Result<Registers, String> {
        let (fault, found) = self.run(code, registers)?;
        let end = CODE + code.len() as u64 - END.len() as u64;
        if fault.trap.vector != INVALID_OPCODE || fault.rip != end {
            return Err(format!("it did not come to its end: {fault}"));
        }
        Ok(found)
    }

    /// What it does.
    pub(crate) fn state(&self) -> Result<ThreadState, String> {
        Ok(self.thread.info().map_err(said("info"))?.state)
    }
}

/// A code, its parts one after the other.
macro_rules! code {
    ($($part:expr),+ $(,)?) => {{
        let mut code = alloc::vec::Vec::<u8>::new();
        $(code.extend_from_slice(&$part[..]);)+
        code
    }};
}
pub(crate) use code;

/// What there is of vector and x87 state in an area: the rest of it tells of the last x87 instruction, or nothing.
pub(crate) const VECTORS: [(&str, Range<usize>); 4] =
    [("x87 control", 0..5), ("x87", 32..160), ("vector control", 24..28), ("vector", 160..416)];

/// A state in which every register is in use, and all differ.
pub(crate) fn pattern(number: u8) -> FxArea {
    let mut fx = FxArea::default();
    for (index, byte) in (0..=u8::MAX).zip(&mut fx.0[160..416]) {
        *byte = index.wrapping_mul(7) ^ number;
    }
    for register in 0..8_usize {
        let start = 32 + 16 * register;
        for (index, byte) in (0..8).zip(&mut fx.0[start..start + 8]) {
            *byte = index ^ number;
        }
        // A mantissa with its top bit, and an exponent: a number that FXSAVE gives back as it is.
        fx.0[start + 7] |= 0x80;
        fx.0[start + 9] = 0x40;
    }
    // All eight x87 registers are in use.
    fx.0[4] = 0xff;
    fx
}
