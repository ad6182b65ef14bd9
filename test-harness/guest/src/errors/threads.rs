//! Threads and guests.

use idl::abi::{Registers, TrapKind};
use idl::types::{Deadline, PageIndex, UserAddress};
use userlib::cap::{AddressSpace, Guest, Notification, Region, Thread};
use userlib::{Cap, Error, Handle, check_eq, environment, memory, page, thread, time};

use super::refused;
use crate::puppet::{self, Call, Puppet};
use crate::{Outcome, said};

/// JMP to itself.
const SPIN: [u8; 2] = [0xeb, 0xfe];

pub(crate) fn of_threads() -> Outcome {
    let bare = memory::create::<Thread>(0).map_err(said("thread"))?;
    let (table, space) = (environment().cspace().handle(), environment().space().handle());
    let region = memory::create::<Region>(1).map_err(said("region"))?.handle();
    let (entry, beyond) = (UserAddress(0x20_0000), UserAddress(idl::abi::USER_END + 4096));
    refused("start unfurnished", bare.start(entry, entry, 0), Error::NotConfigured)?;
    refused("a page beyond the region", bare.configure(table, space, region, PageIndex(1)), Error::BadRange)?;
    bare.configure(table, space, region, PageIndex(0)).map_err(said("configure"))?;
    refused("start in the kernel", bare.start(beyond, entry, 0), Error::BadRange)?;
    refused("suspend what stands", bare.suspend(), Error::WrongState)?;
    refused("yield for another", bare.yield_(), Error::WrongState)?;
    let spinner = Puppet::new(&SPIN)?;
    spinner.go(&Registers::default())?;
    let running = spinner.thread();
    refused("configure what runs", running.configure(table, space, region, PageIndex(0)), Error::WrongState)?;
    refused("start what runs", running.start(entry, entry, 0), Error::WrongState)?;
    refused("resume what runs", running.resume(), Error::WrongState)?;
    refused("read what runs", running.read_registers(), Error::WrongState)?;
    refused("write what runs", running.write_registers(), Error::WrongState)?;
    running.suspend().map_err(said("suspend"))?;
    running.read_registers().map_err(said("read"))?;
    let mut frame = page::frame().map_err(said("frame"))?;
    check_eq!(frame.registers.rip, spinner.code());
    frame.registers.rip = idl::abi::USER_END + 4096;
    page::set_frame(&frame).map_err(said("frame"))?;
    refused("send it into the kernel", running.write_registers(), Error::BadRange)?;
    bindings(running)?;
    pageless(bare)
}

fn bindings(thread: Cap<Thread>) -> Outcome {
    let notification = memory::create::<Notification>(0).map_err(said("notification"))?;
    thread.bind(notification.handle()).map_err(said("bind"))?;
    let other = memory::create::<Thread>(0).map_err(said("thread"))?;
    refused("bind it to another", other.bind(notification.handle()), Error::AlreadyBound)?;
    thread.bind(Handle::NONE).map_err(said("unbind"))?;
    other.bind(notification.handle()).map_err(said("bind when free again"))
}

/// Whoever has no message page cannot read or write registers.
fn pageless(of: Cap<Thread>) -> Outcome {
    let caller = puppet::caller()?;
    for method in [8, 9] {
        let call = Call { op: Cap::<Thread>::op(method).0, handle: of.handle(), ..Call::default() };
        let result = puppet::ask(&caller, &call)?;
        refused("registers without a page", result.status().map(|_| ()), Error::NotConfigured)?;
    }
    Ok(())
}

pub(crate) fn of_guests() -> Outcome {
    let guest = memory::create::<Guest>(0).map_err(said("guest"))?;
    refused("enter a guest without a space", guest.enter(Deadline::POLL), Error::NotConfigured)?;
    let space = memory::create::<AddressSpace>(8).map_err(said("space"))?;
    guest.configure(space.handle()).map_err(said("configure"))?;
    let mut frame = page::frame().map_err(said("frame"))?;
    frame.registers = Registers { rip: idl::abi::USER_END + 4096, ..Registers::default() };
    page::set_frame(&frame).map_err(said("frame"))?;
    refused("enter the kernel", guest.enter(Deadline::POLL), Error::BadRange)?;
    frame.registers.rip = 0x40_0000;
    page::set_frame(&frame).map_err(said("frame"))?;
    check_eq!(guest.enter(Deadline::NEVER), Ok(TrapKind::PageFault));
    let caller = puppet::caller()?;
    let enter = Call { op: Cap::<Guest>::op(2).0, handle: guest.handle(), ..Call::default() };
    refused(
        "enter without a page",
        puppet::ask(&caller, &enter)?.status().map(|_| ()),
        Error::NotConfigured,
    )?;
    occupied(guest, space)
}

/// A guest has room for one.
fn occupied(guest: Cap<Guest>, space: Cap<AddressSpace>) -> Outcome {
    let code = Puppet::new(&SPIN)?;
    let own = environment().space().handle();
    guest.configure(own).map_err(said("configure with the own space"))?;
    let rip = code.code();
    let other = thread::spawn(move || -> Result<TrapKind, Error> {
        let mut frame = page::frame()?;
        frame.registers = Registers { rip, rflags: 2, ..Registers::default() };
        page::set_frame(&frame)?;
        guest.enter(time::after(core::time::Duration::from_millis(600)))
    });
    let other = other.map_err(said("spawn"))?;
    time::sleep(core::time::Duration::from_millis(15));
    refused("configure what is entered", guest.configure(space.handle()), Error::Busy)?;
    refused("enter what is entered", guest.enter(Deadline::POLL), Error::Busy)?;
    let left = other.join(time::after(core::time::Duration::from_secs(5))).map_err(said("join"))?;
    check_eq!(left, Ok(TrapKind::Interrupted));
    Ok(())
}
