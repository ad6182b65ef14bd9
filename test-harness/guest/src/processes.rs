//! Processes: made, served by, ended, made again; and what their parent learns when they go wrong.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use idl::abi::TrapKind;
use idl::bundle::{BOOT, Bundle};
use idl::interface::{CallError, Generation};
use idl::message::{Fault, Message};
use idl::types::{Badge, Pages};
use userlib::cap::{Endpoint, Reply};
use userlib::process::{Builder, Process};
use userlib::server::{Connection, Service};
use userlib::{Cap, Error, Rights, cap, check, check_eq, environment, println};

use crate::library::{line, next_fault};
use crate::parlour::{Host, ParlourClient, ParlourDispatch};
use crate::{Outcome, PATIENCE, events, said, services, turns};

/// An address at which nothing is ever mapped.
const NOWHERE: u64 = 0x1_2340;

/// Programs that the cases run as children: the same image with other arguments.
pub(crate) const CHILDREN: &[(&str, fn())] = &[
    ("child::serve", serve),
    ("child::stray", stray),
    ("child::panic", panic),
    ("child::hoard", hoard),
    ("child::depot", services::serve_depot),
    ("child::caller", services::call_depot),
    ("child::waiter", turns::wait_at_the_gate),
    ("child::subscriber", events::subscribe_and_wait),
];

/// Serves the parlour on the endpoint it was granted.
fn serve() {
    let endpoint = cap::<Endpoint>(environment().granted(0));
    match Service::on(endpoint) {
        Ok(service) => {
            let error = service.serve(&mut ParlourDispatch(Host::default()));
            println!("the child stops serving: {error}");
        }
        Err(error) => println!("the child cannot serve: {error}"),
    }
}

/// Writes where nothing is.
fn stray() {
    userlib::testing::stray_write(NOWHERE);
}

fn panic() {
    panic!("as the case wants it");
}

/// Wants more memory than it has.
fn hoard() {
    let hoard: alloc::vec::Vec<u8> = core::hint::black_box(alloc::vec::Vec::with_capacity(1 << 30));
    println!("the child has {}", hoard.capacity());
}

fn start(arguments: &str, faults: Cap<Endpoint>, grant: Option<Cap<Endpoint>>) -> Result<Process, String> {
    start_life(arguments, faults, grant, Generation::FIRST)
}

fn start_life(
    arguments: &str,
    faults: Cap<Endpoint>,
    grant: Option<Cap<Endpoint>>,
    life: Generation,
) -> Result<Process, String> {
    let files = environment().files().map_err(said("files"))?;
    let bundle = Bundle::parse(files).map_err(|error| format!("bundle: {error:?}"))?;
    let image = bundle.find(BOOT).ok_or("no boot program in the bundle")?;
    let mut child = Builder::new(image.data)
        .arguments(arguments)
        .memory(Pages(400))
        .generation(life)
        .faults(faults.handle(), Badge(5));
    if let Some(endpoint) = grant {
        child = child.grant(endpoint.handle(), Rights::RECEIVE | Rights::CALL);
    }
    child.start().map_err(|error| format!("start: {error}"))
}

/// Where the faults of children come to, and are answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Child {
    faults: Cap<Endpoint>,
    reply: Cap<Reply>,
}

impl Child {
    /// Nobody's faults yet.
    pub(crate) fn new() -> Result<Self, String> {
        let (faults, reply) = line()?;
        Ok(Self { faults, reply })
    }

    /// Starts a child in this life, with an endpoint.
    pub(crate) fn start(
        &self,
        arguments: &str,
        grant: Option<Cap<Endpoint>>,
        life: Generation,
    ) -> Result<Process, String> {
        start_life(arguments, self.faults, grant, life)
    }

    /// The next fault, whenever it comes.
    pub(crate) fn next_fault(&self) -> Result<(Badge, Fault), String> {
        next_fault(self.faults, self.reply)
    }

    /// Lets whoever made the fault go on.
    pub(crate) fn resume(&self) -> Result<(), String> {
        self.reply.reply(&Message::default()).map_err(said("reply"))
    }
}

/// A process serves an interface to its parent; it ends, and another is made from the same memory.
pub(crate) fn a_process_serves() -> Outcome {
    let (faults, _) = line()?;
    for _ in 0..3 {
        let (endpoint, _) = line()?;
        let child = start("child::serve", faults, Some(endpoint))?;
        let client = ParlourClient::connect(Connection::new(endpoint).patience(PATIENCE));
        let client = client.map_err(|error| format!("connect: {error}"))?;
        check_eq!(client.divide(10, 3), Ok(3));
        check_eq!(client.repeat("process ", 20).map(|text| text.len()), Ok(160));
        let budget = child.end().map_err(said("end"))?;
        check_eq!(budget.info().map_err(said("info"))?.used, 0);
        let hurried = ParlourClient::new(Connection::new(endpoint).patience(Duration::from_millis(5)));
        check_eq!(hurried.divide(10, 3), Err(CallError::Kernel(Error::TimedOut)));
        userlib::slots::delete(budget.handle()).map_err(said("delete"))?;
    }
    Ok(())
}

/// A stray write reaches the parent with its address and place.
pub(crate) fn a_stray_write_is_reported() -> Outcome {
    let (faults, reply) = line()?;
    let child = start("child::stray", faults, None)?;
    let (badge, fault) = next_fault(faults, reply)?;
    check_eq!(badge, Badge(5));
    check_eq!(fault.trap.kind, TrapKind::PageFault as u32);
    check_eq!(fault.trap.address, NOWHERE);
    check!((0x20_0000..0x100_0000).contains(&fault.rip), "rip is {:#x}", fault.rip);
    child.end().map_err(said("end")).map(|_| ())
}

/// A panic says where on the console, and reaches the parent as an invalid instruction.
pub(crate) fn a_panic_is_reported() -> Outcome {
    let (faults, reply) = line()?;
    let child = start("child::panic", faults, None)?;
    let (_, fault) = next_fault(faults, reply)?;
    check_eq!((fault.trap.kind, fault.trap.vector), (TrapKind::Exception as u32, 6));
    child.end().map_err(said("end")).map(|_| ())
}

/// A process that wants more memory than it was given ends, and nothing of its parent does.
pub(crate) fn a_process_stays_in_its_budget() -> Outcome {
    let (faults, reply) = line()?;
    let child = start("child::hoard", faults, None)?;
    let (_, fault) = next_fault(faults, reply)?;
    check_eq!(fault.trap.vector, 6);
    child.end().map_err(said("end")).map(|_| ())
}
