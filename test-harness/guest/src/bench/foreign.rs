//! Guests: entering one that makes a system call, and coming back.

use alloc::format;

use idl::abi::{GuestFrame, PROGRAM_BASE, TrapKind};
use idl::types::{Deadline, PageIndex, Pages, UserPage};
use userlib::cap::{AddressSpace, Guest, Region};
use userlib::memory::{Mapping, bind, create, map_pages};
use userlib::{Rights, check_eq, page, slots};

use super::clock::{Clock, ROUNDS, Row};
use crate::{Outcome, said};

/// Pages for the guest's page tables.
const TABLES: u64 = 8;
/// SYSCALL, as the guest executes it over and over.
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// From the owner's call to its return, with the one instruction that the guest executes.
pub(super) fn measure(clock: &Clock) -> Outcome {
    let space = create::<AddressSpace>(TABLES).map_err(said("space"))?;
    let code = create::<Region>(1).map_err(said("region"))?;
    let window = Mapping::of(code, Rights::READ | Rights::WRITE).map_err(said("window"))?;
    for offset in (0..window.len()).step_by(SYSCALL.len()) {
        window.write(offset, &SYSCALL);
    }
    window.unmap().map_err(said("unmap"))?;
    let binding = bind(code, space).map_err(said("bind"))?;
    let base = UserPage::new(PROGRAM_BASE).ok_or("the base is no page")?;
    let rights = Rights::READ | Rights::EXECUTE;
    map_pages(space, binding, PageIndex(0), base, Pages(1), rights).map_err(said("map"))?;
    let guest = create::<Guest>(0).map_err(said("guest"))?;
    guest.configure(space.handle()).map_err(said("configure"))?;
    let mut frame = GuestFrame::default();
    frame.registers.rip = PROGRAM_BASE;
    frame.registers.rsp = PROGRAM_BASE;
    frame.registers.rflags = 2;
    page::set_frame(&frame).map_err(said("frame"))?;
    page::set_fx(&idl::abi::FxArea::default()).map_err(said("fx"))?;
    let mut row = Row::new("guest", ROUNDS);
    for round in 1..=ROUNDS as u64 {
        let (time, trap) = clock.time(|| guest.enter(Deadline::NEVER));
        check_eq!(trap, Ok(TrapKind::SystemCall));
        let frame = page::frame().map_err(said("frame"))?;
        if frame.registers.rip != PROGRAM_BASE + 2 * round {
            return Err(format!("the guest stands at {:#x} after {round} calls", frame.registers.rip));
        }
        row.add(time);
    }
    row.report()?;
    for handle in [guest.handle(), space.handle(), code.handle()] {
        slots::delete(handle).map_err(said("delete"))?;
    }
    Ok(())
}
