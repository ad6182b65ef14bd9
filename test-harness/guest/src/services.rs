//! Servers and clients that do as they should, and those that do not. Whatever one of them does, a third party that
//! calls the same server, or another, gets its answers.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use core::time::Duration;

use idl::abi::MESSAGE_CAPS;
use idl::interface::{CallError, Generation, Label, Session, status};
use idl::message::{Fault, Message, Received};
use idl::types::Pages;
use userlib::cap::{Endpoint, Notification, Region};
use userlib::memory::{self, Mapping};
use userlib::process::Process;
use userlib::server::{Connection, Service};
use userlib::{Cap, Error, Handle, Rights, cap, check, check_eq, environment, page, slots, thread, time};

use crate::depot::{Depot, DepotClient, DepotDispatch, DepotError, Keeper, LAST_LENT, NOTE};
use crate::library::line;
use crate::parlour::ParlourClient;
use crate::processes::Child;
use crate::{Outcome, PATIENCE, said};

const BRIEF: Duration = Duration::from_millis(5);

type Client = DepotClient<Connection>;

/// A depot served by a thread of this program.
fn depot() -> Result<Cap<Endpoint>, String> {
    let service = Service::create().map_err(said("service"))?;
    let server = thread::spawn(move || service.serve(&mut DepotDispatch(Keeper::default())));
    server.map_err(said("spawn"))?;
    Ok(service.endpoint())
}

/// A client with a session and all rights.
fn client(endpoint: Cap<Endpoint>) -> Result<Client, String> {
    let badge = Session::new(1, Depot::USE).badge();
    let caller = memory::mint(endpoint, Rights::CALL | Rights::DERIVE, badge).map_err(said("mint"))?;
    DepotClient::connect(Connection::new(caller).patience(PATIENCE))
        .map_err(|error| format!("connect: {error}"))
}

/// That a third party is served.
fn still_serves(client: &Client) -> Outcome {
    client.note(7).map_err(|error| format!("note: {error}"))?;
    check_eq!(client.noted(), Ok(7));
    Ok(())
}

/// What was lent is used for the call, comes back changed, and nothing of it stays.
pub(crate) fn lent_memory_comes_back() -> Outcome {
    let client = client(depot()?)?;
    let memory = Mapping::new(Pages(16)).map_err(said("memory"))?;
    let words = memory.len() as u64 / 8;
    for round in 1..=20_u64 {
        let before = slots::taken();
        check_eq!(client.fill(round, memory.region().lend()), Ok(words));
        check_eq!(client.sum(memory.region().lend()), Ok(words * round));
        check_eq!(slots::taken(), before, "slots taken after round {round}");
        let lent = Handle(LAST_LENT.load(Ordering::Relaxed));
        let info = environment().cspace().info(lent).map(|info| info.kind);
        check!(matches!(info, Err(Error::EmptySlot | Error::StaleHandle)), "what was lent is still there");
    }
    let read_only = memory::copy(memory.region(), Rights::READ | Rights::DERIVE).map_err(said("copy"))?;
    check_eq!(client.fill(1, read_only.lend()), Err(CallError::Kernel(Error::MissingRight)));
    check_eq!(client.sum(read_only.lend()), Ok(words * 20));
    Ok(())
}

/// A capability goes from hand to hand, more often than it could be derived, and each giver has it no more.
pub(crate) fn moved_capabilities_move() -> Outcome {
    let client = client(depot()?)?;
    let (token, _) = line()?;
    let mut held = memory::copy(token, Rights::all()).map_err(said("copy"))?;
    for round in 0..40 {
        check_eq!(client.keep(held.give()), Ok(()), "round {round}");
        let info = environment().cspace().info(held.handle()).map(|info| info.kind);
        check!(matches!(info, Err(Error::EmptySlot | Error::StaleHandle)), "round {round}: it is still here");
        slots::release(held.handle().index());
        held = client.give().map_err(|error| format!("round {round}: {error:?}"))?.cap();
    }
    check_eq!(client.give().map(|_| ()), Err(CallError::Refused(DepotError::Empty)));
    // It is the same endpoint still, and goes with the first capability to it.
    slots::delete(token.handle()).map_err(said("delete"))?;
    let info = environment().cspace().info(held.handle()).map(|info| info.kind);
    check!(info.is_err(), "it outlives its origin");
    Ok(())
}

/// Sends what a client of another making might: this label, these words, these capabilities.
fn forge(endpoint: Cap<Endpoint>, method: u32, words: &[u64], handles: &[Handle]) -> Result<u32, String> {
    let mut message = Message::short(Label::new(method, Generation::ANY).pack(), words);
    let mut all = [Handle::NONE; MESSAGE_CAPS];
    all[..handles.len()].copy_from_slice(handles);
    page::set_send_caps(&all, [false; MESSAGE_CAPS]).map_err(said("page"))?;
    message.caps = u8::try_from(handles.len()).unwrap_or(0);
    Ok(endpoint.call(&message, time::after(PATIENCE)).map_err(said("call"))?.label)
}

/// Forged handles, other kinds, too few rights, too few and too many: refused, and nothing of it stays with the server.
pub(crate) fn wrong_capabilities_are_refused() -> Outcome {
    let endpoint = depot()?;
    let client = client(endpoint)?;
    let region = memory::create::<Region>(1).map_err(said("region"))?.handle();
    let bell = memory::create::<Notification>(0).map_err(said("bell"))?.handle();
    let weak = memory::copy(cap::<Region>(region), Rights::DERIVE).map_err(said("copy"))?.handle();
    let forged = Handle(region.0 ^ 1 << 40);
    let sum = |handles: &[Handle]| forge(endpoint, 1, &[], handles);
    let before = slots::taken();
    for round in 0..3 {
        check_eq!(sum(&[region])?, status::OK, "round {round}");
        check_eq!(sum(&[])?, status::WRONG_CAPABILITY);
        check_eq!(sum(&[bell])?, status::WRONG_CAPABILITY);
        check_eq!(sum(&[weak])?, status::WRONG_CAPABILITY);
        check_eq!(sum(&[forged])?, status::WRONG_CAPABILITY);
        check_eq!(sum(&[Handle::NONE])?, status::WRONG_CAPABILITY);
        // The server has room for two: one is not asked for, and the others do not arrive.
        check_eq!(sum(&[region, bell, region, bell])?, status::OK);
        // To a method that wants none, and to one that there is not.
        check_eq!(forge(endpoint, NOTE, &[9], &[region])?, status::OK);
        check_eq!(forge(endpoint, 99, &[], &[region])?, status::UNKNOWN_METHOD);
        check_eq!(slots::taken(), before, "slots taken after round {round}");
    }
    still_serves(&client)
}

/// Wrong numbers of words, wrong labels, wrong lengths, another life: each is told what is wrong.
pub(crate) fn wrong_messages_are_refused() -> Outcome {
    let endpoint = depot()?;
    let client = client(endpoint)?;
    check_eq!(forge(endpoint, NOTE, &[], &[])?, status::MALFORMED);
    check_eq!(forge(endpoint, NOTE, &[1, 2], &[])?, status::MALFORMED);
    check_eq!(forge(endpoint, 11, &[], &[])?, status::UNKNOWN_METHOD);
    check_eq!(forge(endpoint, 6, &[], &[])?, status::DENIED, "without a badge there are no rights");
    check_eq!(forge(endpoint, 0, &[1, 2], &[])?, status::WRONG_INTERFACE);
    check_eq!(forge(endpoint, 0, &[], &[])?, status::WRONG_INTERFACE);
    for (label, expected) in [
        (1 << 25, status::UNKNOWN_METHOD),
        (Label::new(NOTE, Generation(9)).pack(), status::RESTARTED),
        (Label { has_deadline: true, ..Label::new(7, Generation::ANY) }.pack(), status::MALFORMED),
    ] {
        let answer = endpoint.call(&Message { label, ..Message::default() }, time::after(PATIENCE));
        check_eq!(answer.map(|answer| answer.label), Ok(expected));
    }
    // Everything that the page holds, as words and as bytes with a length that lies.
    for count in [6, 100, 255] {
        for length in [0, 1, 2040, u64::MAX] {
            let mut message = Message::short(Label::new(4, Generation::ANY).pack(), &[length, 1, 2, 3, 4]);
            message.count = count;
            let answer = endpoint.call(&message, time::after(PATIENCE)).map_err(said("call"))?;
            check!(answer.label != status::OK, "{count} words with length {length} were taken");
        }
    }
    still_serves(&client)
}

/// A client of another interface is told so, by name and version.
pub(crate) fn a_wrong_fingerprint_is_told() -> Outcome {
    let endpoint = depot()?;
    let Err(error) = ParlourClient::connect(Connection::new(endpoint).patience(PATIENCE)) else {
        return Err("it connected".into());
    };
    let text = format!("{error}");
    check!(text.starts_with("the client wants Parlour version 1 ("), "{text}");
    check!(text.contains("), the server is Depot version 1 ("), "{text}");
    Ok(())
}

/// The server knows until when its caller waits; a caller that waits no longer costs the server nothing.
pub(crate) fn callers_that_give_up_are_no_error() -> Outcome {
    let endpoint = depot()?;
    let patient = client(endpoint)?;
    let left = patient.time_left().map_err(|error| format!("{error}"))?;
    let most = time::ticks(PATIENCE).0;
    check!(left > 0 && left <= most, "{left} of {most} ticks are left");
    check_eq!(DepotClient::new(Connection::new(endpoint)).time_left(), Ok(0));
    let hurried = DepotClient::new(Connection::new(endpoint).patience(BRIEF));
    for _ in 0..3 {
        check_eq!(hurried.dawdle(30), Err(CallError::Kernel(Error::TimedOut)));
        still_serves(&patient)?;
    }
    Ok(())
}

/// A server that never answers costs its callers their patience, and nobody else anything.
pub(crate) fn a_server_that_never_answers() -> Outcome {
    let (silent, reply) = line()?;
    let other = client(depot()?)?;
    let mut callers = Vec::new();
    for _ in 0..4 {
        let call =
            move || DepotClient::new(Connection::new(silent).patience(Duration::from_millis(40))).noted();
        callers.push(thread::spawn(call).map_err(said("spawn"))?);
    }
    // One call is taken, and held; the others wait in vain.
    let received = silent.receive(&reply, time::after(PATIENCE)).map_err(said("receive"))?;
    check!(matches!(received, Received::Message { .. }));
    still_serves(&other)?;
    for caller in callers {
        let outcome = caller.join(time::after(PATIENCE)).map_err(said("join"))?;
        check_eq!(outcome, Err(CallError::Kernel(Error::TimedOut)));
    }
    check_eq!(reply.reply(&Message::default()), Err(Error::NotPending));
    still_serves(&other)
}

/// Looks after a child that serves a depot: the next fault that is one.
fn next_crash(child: &mut Process, faults: &Child) -> Result<Fault, String> {
    loop {
        let (_, fault) = faults.next_fault()?;
        if !child.mend(&fault).map_err(said("mend"))? {
            return Ok(fault);
        }
        faults.resume()?;
    }
}

/// A server that dies in mid-call: its caller learns which life ended, and what may be repeated is.
pub(crate) fn a_server_that_dies_in_mid_call() -> Outcome {
    let other = client(depot()?)?;
    let (endpoint, _) = line()?;
    let faults = Child::new()?;
    let badge = Session::new(1, Depot::USE).badge();
    let caller = memory::mint(endpoint, Rights::CALL, badge).map_err(said("mint"))?;
    let mut life = Generation::FIRST;
    let mut child = faults.start("child::depot", Some(endpoint), life)?;
    let connection = Connection::new(caller).patience(PATIENCE);
    let mut depot = DepotClient::connect(connection).map_err(|error| format!("connect: {error}"))?;
    for _ in 0..3 {
        check_eq!(depot.generation(), life);
        check_eq!(depot.note(5), Ok(()));
        check_eq!(depot.noted(), Ok(5));
        let crash = thread::spawn(move || (depot.crash(), depot)).map_err(said("spawn"))?;
        let fault = next_crash(&mut child, &faults)?;
        check_eq!(fault.trap.address, 0x1_2340);
        still_serves(&other)?;
        child.end().map_err(said("end"))?;
        let outcome = crash.join(time::after(PATIENCE)).map_err(said("join"))?;
        check_eq!(outcome.0, Err(CallError::Dead(life)));
        depot = outcome.1;
        life = life.next();
        child = faults.start("child::depot", Some(endpoint), life)?;
        check_eq!(depot.time_left(), Err(CallError::Dead(Generation(life.0 - 1))), "it is another life");
        check_eq!(depot.noted(), Ok(0), "what may be repeated is, and the new life knows nothing");
        check_eq!(depot.generation(), life);
    }
    child.end().map_err(said("end")).map(|_| ())
}

/// A client that takes back what it lent, in mid-call: the server goes on, and reads zeros.
pub(crate) fn lent_memory_is_taken_back_in_mid_call() -> Outcome {
    let (endpoint, _) = line()?;
    let (gate, at_the_gate) = line()?;
    let faults = Child::new()?;
    let mut child = faults.start("child::depot", Some(endpoint), Generation::FIRST)?;
    let honest = client(endpoint)?;
    let memory = Mapping::new(Pages(4)).map_err(said("memory"))?;
    for index in 0..memory.len() / 8 {
        memory.word(index).ok_or("no word")?.store(1, Ordering::Relaxed);
    }
    for round in 0..3 {
        let loan = memory::copy(memory.region(), Rights::READ | Rights::DERIVE).map_err(said("copy"))?;
        let thief = move || DepotClient::new(Connection::new(endpoint)).sum_twice(loan.lend(), gate.lend());
        let thief = thread::spawn(thief).map_err(said("spawn"))?;
        gate.receive(&at_the_gate, time::after(PATIENCE)).map_err(said("gate"))?;
        slots::delete(loan.handle()).map_err(said("delete"))?;
        at_the_gate.reply(&Message::default()).map_err(said("reply"))?;
        for page in 0..4 {
            let (_, fault) = faults.next_fault()?;
            check!(child.mend(&fault).map_err(said("mend"))?, "round {round}, page {page}: {fault}");
            faults.resume()?;
        }
        let outcome = thief.join(time::after(PATIENCE)).map_err(said("join"))?;
        check_eq!(outcome, Ok([2048, 0, 0, 0, 0]), "round {round}: at first all, then nothing");
        check_eq!(honest.sum(memory.region().lend()), Ok(2048));
        still_serves(&honest)?;
    }
    child.end().map_err(said("end")).map(|_| ())
}

/// A client that dies while the server works for it, with memory lent: the server goes on.
pub(crate) fn a_client_that_dies_in_mid_call() -> Outcome {
    let (endpoint, _) = line()?;
    let nursed = Child::new()?;
    let mut server = nursed.start("child::depot", Some(endpoint), Generation::FIRST)?;
    let nurse = thread::spawn(move || next_crash(&mut server, &nursed)).map_err(said("spawn"))?;
    let honest = client(endpoint)?;
    let others = Child::new()?;
    for _ in 0..5 {
        let child = others.start("child::caller", Some(endpoint), Generation::FIRST)?;
        // It calls without a pause; sooner or later it dies in each of its calls.
        time::sleep(BRIEF);
        still_serves(&honest)?;
        child.end().map_err(said("end"))?;
        still_serves(&honest)?;
    }
    check!(!nurse.is_done(), "the server crashed");
    Ok(())
}

/// Callers that flood a server with rubbish and with calls that they do not wait for: everybody else is served in turn.
pub(crate) fn a_flood_drowns_nobody() -> Outcome {
    let endpoint = depot()?;
    let honest = client(endpoint)?;
    let mut floods = Vec::new();
    for number in 0..8_u32 {
        let flood = move || {
            for round in 0..300_u32 {
                let rubbish = Message::short(number * round, &[u64::from(round); 5]);
                // Whatever comes of it: some are refused, some time out.
                let _ = if round % 2 == 0 {
                    endpoint.call(&rubbish, time::after(BRIEF)).map(|_| ())
                } else {
                    endpoint.send(&rubbish, time::after(BRIEF))
                };
            }
        };
        floods.push(thread::spawn(flood).map_err(said("spawn"))?);
    }
    let mut served = 0;
    while floods.iter().any(|flood| !flood.is_done()) {
        still_serves(&honest)?;
        served += 1;
    }
    check!(served >= 20, "only {served} calls in a flood of 2400");
    Ok(())
}

/// Serves a depot on the endpoint that it was granted.
pub(crate) fn serve_depot() {
    if let Ok(service) = Service::on(cap(environment().granted(0))) {
        service.serve(&mut DepotDispatch(Keeper::default()));
    }
}

/// Calls a depot over and over, with memory lent.
pub(crate) fn call_depot() {
    let client = DepotClient::new(Connection::new(cap(environment().granted(0))));
    let Ok(memory) = Mapping::new(Pages(4)) else { return };
    loop {
        let _ = (client.sum(memory.region().lend()), client.dawdle(1));
    }
}
