//! What the user library offers: threads, locks, memory, interfaces over endpoints.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use idl::abi::STACK_SIZE;
use idl::interface::{CallError, Interface};
use idl::message::{Fault, Received};
use idl::types::{Badge, Bits, Deadline, Pages};
use userlib::cap::{Endpoint, Notification, Reply};
use userlib::memory::{self, Mapping};
use userlib::server::{Connection, Service};
use userlib::sync::Mutex;
use userlib::{Error, Rights, check, check_eq, slots, thread, time};

use crate::parlour::{Host, Parlour, ParlourClient, ParlourDispatch, ParlourError};
use crate::{Outcome, PATIENCE, said};

/// The heap grows over several regions, and gives back what was freed.
pub(crate) fn heap_grows() -> Outcome {
    for round in 0..4_u64 {
        let mut lists = Vec::new();
        for index in 0..64_u64 {
            let list: Vec<u64> = (0..4096).map(|value| value * index + round).collect();
            lists.push(list);
        }
        for (index, list) in (0..).zip(&lists) {
            check!(
                list.iter().zip(0..).all(|(value, at)| *value == at * index + round),
                "list {index} changed"
            );
        }
    }
    Ok(())
}

/// Threads run, return values, and see what was written before.
pub(crate) fn threads_return_values() -> Outcome {
    let mut threads = Vec::new();
    for number in 1..=8_u64 {
        threads.push(thread::spawn(move || (1..=number).product::<u64>()).map_err(said("spawn"))?);
    }
    let mut products = Vec::new();
    for thread in threads {
        products.push(thread.join(time::after(PATIENCE)).map_err(said("join"))?);
    }
    check_eq!(products, [1, 2, 6, 24, 120, 720, 5040, 40320]);
    Ok(())
}

/// A lock keeps threads apart even when they are preempted within it.
pub(crate) fn a_lock_excludes() -> Outcome {
    let count = Arc::new(Mutex::new(0_u64));
    let mut threads = Vec::new();
    for _ in 0..4 {
        let count = Arc::clone(&count);
        let work = move || {
            for _ in 0..200 {
                let mut count = count.lock();
                let seen = *count;
                thread::yield_now();
                *count = seen + 1;
            }
        };
        threads.push(thread::spawn(work).map_err(said("spawn"))?);
    }
    for thread in threads {
        thread.join(time::after(PATIENCE)).map_err(said("join"))?;
    }
    check_eq!(*count.lock(), 800);
    Ok(())
}

/// Running over the end of a stack faults at the page below it, and the handler learns of it.
pub(crate) fn a_stack_overflow_faults() -> Outcome {
    fn descend(depth: u64) -> u64 {
        let room = core::hint::black_box([depth; 64]);
        if depth == 0 { room[0] } else { descend(depth - 1) + core::hint::black_box(room)[1] }
    }
    let (endpoint, reply) = line()?;
    let thread = thread::Builder::new()
        .faults(endpoint.handle(), Badge(9))
        .spawn(|| descend(core::hint::black_box(u64::from(u32::MAX))))
        .map_err(said("spawn"))?;
    let (badge, fault) = next_fault(endpoint, reply)?;
    check_eq!(badge, Badge(9));
    check_eq!(fault.trap.vector, 14);
    let state = thread.thread().info().map_err(said("info"))?.state;
    check_eq!(state, idl::types::ThreadState::Faulted);
    // The stack's lower end is aligned to its size; the fault lies just below.
    let below = fault.trap.address.next_multiple_of(STACK_SIZE) - fault.trap.address;
    check!(below <= 4096, "the fault is {below} bytes below a stack");
    Ok(())
}

/// Mappings read back what was written; unmapped ones are gone.
pub(crate) fn mappings_come_and_go() -> Outcome {
    let mapping = Mapping::new(Pages(3)).map_err(said("map"))?;
    let mut bytes = [1; 16];
    check_eq!(mapping.read(8192 + 4090, &mut bytes), 6);
    check_eq!(bytes[..7], [0, 0, 0, 0, 0, 0, 1]);
    check_eq!(mapping.write(4090, b"over a page's end"), 17);
    let mut bytes = [0; 17];
    mapping.read(4090, &mut bytes);
    check_eq!(&bytes, b"over a page's end");
    let (region, address) = (mapping.region(), mapping.address());
    mapping.unmap().map_err(said("unmap"))?;
    // The same pages, elsewhere or at the same place, hold the same bytes.
    let again = Mapping::of(region, Rights::READ).map_err(said("map again"))?;
    check_eq!(again.address(), address);
    let mut bytes = [0; 4];
    again.read(4090, &mut bytes);
    check_eq!(&bytes, b"over");
    again.unmap().map_err(said("unmap again"))?;
    slots::delete(region.handle()).map_err(said("delete"))?;
    check_eq!(region.info(), Err(Error::EmptySlot));
    Ok(())
}

/// An interface over an endpoint: in registers, as bytes, refused, and from two clients told apart by badge.
pub(crate) fn an_interface_is_served() -> Outcome {
    let service = Service::create().map_err(said("service"))?;
    let endpoint = service.endpoint();
    let server = thread::spawn(move || service.serve(&mut ParlourDispatch(Host::default())));
    server.map_err(said("spawn"))?;
    let caller = memory::mint(endpoint, Rights::CALL, Badge(41)).map_err(said("mint"))?;
    let other = memory::mint(endpoint, Rights::CALL, Badge(42)).map_err(said("mint"))?;
    let client = ParlourClient::connect(Connection::new(caller).patience(PATIENCE));
    let client = client.map_err(|error| format!("connect: {error}"))?;
    check_eq!(client.divide(84, 2), Ok(42));
    check_eq!(client.divide(84, 0), Err(CallError::Refused(ParlourError::DivisionByZero)));
    check_eq!(client.who(), Ok(41));
    check_eq!(ParlourClient::new(Connection::new(other)).who(), Ok(42));
    check_eq!(client.repeat("abc", 100).map(|text| text.len()), Ok(300));
    let long = "a".repeat(513);
    check_eq!(client.repeat(&long, 1), Err(CallError::TooLong));
    check_eq!(client.calls(), Ok(5));
    check_eq!(Parlour::NAME, "Parlour");
    Ok(())
}

/// A call that nobody serves ends when patience does; a server whose endpoint goes is let go.
pub(crate) fn waits_end() -> Outcome {
    let endpoint = memory::create::<Endpoint>(0).map_err(said("endpoint"))?;
    let client = ParlourClient::new(Connection::new(endpoint).patience(Duration::from_millis(5)));
    check_eq!(client.who(), Err(CallError::Kernel(Error::TimedOut)));
    let service = Service::on(endpoint).map_err(said("service"))?;
    let server = thread::spawn(move || service.serve(&mut ParlourDispatch(Host::default())));
    let server = server.map_err(said("spawn"))?;
    time::sleep(Duration::from_millis(5));
    slots::delete(endpoint.handle()).map_err(said("delete"))?;
    check_eq!(server.join(time::after(PATIENCE)), Ok(Error::Cancelled));
    Ok(())
}

/// One wait covers messages and signals.
pub(crate) fn signals_end_a_receive() -> Outcome {
    let (endpoint, reply) = line()?;
    let notification = memory::create::<Notification>(0).map_err(said("notification"))?;
    thread::current().bind(notification.handle()).map_err(said("bind"))?;
    let signaller = thread::spawn(move || {
        time::sleep(Duration::from_millis(2));
        notification.signal(Bits(0b101))
    });
    let signaller = signaller.map_err(said("spawn"))?;
    let received = endpoint.receive(&reply, time::after(PATIENCE));
    check_eq!(received, Ok(Received::Signal(Bits(0b101))));
    check_eq!(signaller.join(time::after(PATIENCE)), Ok(Ok(())));
    check_eq!(endpoint.receive(&reply, Deadline::POLL), Err(Error::TimedOut));
    Ok(())
}

/// An endpoint and a reply of its own.
pub(crate) fn line() -> Result<(userlib::Cap<Endpoint>, userlib::Cap<Reply>), String> {
    let endpoint = memory::create::<Endpoint>(0).map_err(said("endpoint"))?;
    let reply = memory::create::<Reply>(0).map_err(said("reply"))?;
    Ok((endpoint, reply))
}

/// The next message, which must report a fault.
pub(crate) fn next_fault(
    endpoint: userlib::Cap<Endpoint>,
    reply: userlib::Cap<Reply>,
) -> Result<(Badge, Fault), String> {
    match endpoint.receive(&reply, time::after(PATIENCE)).map_err(said("receive"))? {
        Received::Message { badge, message } => {
            let fault = Fault::from_message(&message).ok_or("a message that is not a fault")?;
            Ok((badge, fault))
        }
        Received::Signal(bits) => Err(format!("a signal: {bits:?}")),
    }
}
