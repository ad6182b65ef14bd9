//! Events over endpoints: subscribers that do as they should, and those that do not. Whatever one of them does, the server
//! goes on, and another is told everything.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use idl::abi::MESSAGE_CAPS;
use idl::interface::{CallError, Caller, Generation, Label, SUBSCRIBE, Session, Subscribed, status};
use idl::message::Message;
use userlib::cap::{Endpoint, Notification, Region};
use userlib::server::{Connection, EventBell, Service, offer};
use userlib::{
    Cap, Error, Handle, Rights, cap, check, check_eq, environment, memory, page, slots, thread, time,
};

use crate::processes::Child;
use crate::{Outcome, PATIENCE, said};

/// How many subscribers there can be.
const SUBSCRIBERS: usize = 2;
/// How many events are kept for each.
const QUEUE: usize = 8;

/// A watched number.
#[idl::interface(rights(READ, WRITE))]
pub(crate) trait Gauge {
    /// Sets it.
    #[requires(WRITE)]
    fn set(&self, value: u64);
    /// How many subscribers there are.
    fn subscribers(&self) -> u64;
    /// How many slots of the server's table are taken.
    fn slots(&self) -> u64;
    /// It was set.
    #[event]
    #[requires(READ)]
    fn changed(&self, from: u64, to: u64);
}

#[derive(Default)]
struct Number {
    value: u64,
    events: GaugeEvents<EventBell, SUBSCRIBERS, QUEUE>,
}

impl GaugeServer for Number {
    fn set(&mut self, _: Caller<Gauge>, value: u64) {
        let from = core::mem::replace(&mut self.value, value);
        self.events.changed(from, value);
    }

    fn subscribers(&mut self, _: Caller<Gauge>) -> u64 {
        self.events.count() as u64
    }

    fn slots(&mut self, _: Caller<Gauge>) -> u64 {
        slots::taken() as u64
    }

    fn events(&mut self) -> &mut dyn Subscribed {
        &mut self.events
    }
}

/// A gauge served by a thread of this program.
fn gauge() -> Result<Cap<Endpoint>, String> {
    let service = Service::create().map_err(said("service"))?;
    let server = thread::spawn(move || service.serve(&mut GaugeDispatch(Number::default())));
    server.map_err(said("spawn"))?;
    Ok(service.endpoint())
}

/// A capability to call, of this session with all rights.
fn session(endpoint: Cap<Endpoint>, number: u32) -> Result<Cap<Endpoint>, String> {
    let badge = Session::new(number, Gauge::READ | Gauge::WRITE).badge();
    memory::mint(endpoint, Rights::CALL | Rights::DERIVE, badge).map_err(said("mint"))
}

fn client(endpoint: Cap<Endpoint>, number: u32) -> Result<GaugeClient<Connection>, String> {
    GaugeClient::connect(Connection::new(session(endpoint, number)?).patience(PATIENCE))
        .map_err(told("connect"))
}

fn told(what: &str) -> impl Fn(CallError) -> String + '_ {
    move |error| format!("{what}: {error}")
}

/// A notification, with which it has subscribed.
fn subscribe(client: &GaugeClient<Connection>) -> Result<Cap<Notification>, String> {
    let bell = memory::create::<Notification>(0).map_err(said("bell"))?;
    offer(bell, |bell| client.subscribe(bell)).map_err(said("copy"))?.map_err(told("subscribe"))?;
    Ok(bell)
}

/// All that there is to be told.
fn drain(client: &GaugeClient<Connection>) -> Result<Vec<GaugeEvent>, String> {
    let mut all = Vec::new();
    while let Some(event) = client.next_event().map_err(told("next event"))? {
        all.push(event);
    }
    Ok(all)
}

/// A subscriber is signalled once, fetches in order, and is told of what was lost.
pub(crate) fn a_subscriber_is_told() -> Outcome {
    let endpoint = gauge()?;
    let (reader, writer) = (client(endpoint, 1)?, client(endpoint, 2)?);
    check_eq!(reader.next_event(), Err(CallError::NotSubscribed));
    let bell = subscribe(&reader)?;
    // It waits in a thread of its own, so that it is really woken.
    let waiter = thread::spawn(move || bell.wait(time::after(PATIENCE))).map_err(said("spawn"))?;
    writer.set(1).map_err(told("set"))?;
    check!(waiter.join(time::after(PATIENCE)).map_err(said("join"))?.is_ok(), "it was not signalled");
    writer.set(2).map_err(told("set"))?;
    let both = [GaugeEvent::Changed { from: 0, to: 1 }, GaugeEvent::Changed { from: 1, to: 2 }];
    check_eq!(drain(&reader)?, both);
    check_eq!(
        bell.wait(time::after(Duration::from_millis(1))),
        Err(Error::TimedOut),
        "it was signalled again"
    );
    for value in 3..=2 + QUEUE as u64 + 5 {
        writer.set(value).map_err(told("set"))?;
    }
    check!(bell.wait(time::after(PATIENCE)).is_ok(), "after it had fetched all it was not signalled");
    let all = drain(&reader)?;
    check_eq!((all.len(), all.last()), (QUEUE + 1, Some(&GaugeEvent::Lost(5))));
    reader.unsubscribe().map_err(told("unsubscribe"))?;
    check_eq!(writer.subscribers(), Ok(0));
    check_eq!(reader.next_event(), Err(CallError::NotSubscribed));
    Ok(())
}

/// Asks to be told, as a client of another making might.
fn forge(endpoint: Cap<Endpoint>, words: &[u64], handles: &[Handle]) -> Result<u32, String> {
    let mut message = Message::short(Label::new(SUBSCRIBE.number, Generation::ANY).pack(), words);
    let mut all = [Handle::NONE; MESSAGE_CAPS];
    all[..handles.len()].copy_from_slice(handles);
    page::set_send_caps(&all, [false; MESSAGE_CAPS]).map_err(said("page"))?;
    message.caps = u8::try_from(handles.len()).unwrap_or(0);
    Ok(endpoint.call(&message, time::after(PATIENCE)).map_err(said("call"))?.label)
}

/// What is no notification, or cannot be signalled, is refused, and nothing of it stays with the server.
pub(crate) fn what_is_no_bell_is_refused() -> Outcome {
    let endpoint = gauge()?;
    let caller = session(endpoint, 1)?;
    let honest = client(endpoint, 2)?;
    let region = memory::create::<Region>(1).map_err(said("region"))?.handle();
    let bell = memory::create::<Notification>(0).map_err(said("bell"))?;
    let deaf = memory::copy(bell, Rights::RECEIVE | Rights::DERIVE).map_err(said("copy"))?.handle();
    let before = slots::taken();
    for round in 0..3 {
        for handles in
            [&[] as &[Handle], &[region], &[deaf], &[Handle::NONE], &[Handle(bell.handle().0 ^ 1 << 40)]]
        {
            check_eq!(forge(caller, &[1], handles)?, status::WRONG_CAPABILITY, "{handles:?}");
        }
        for words in [&[] as &[u64], &[1, 2]] {
            check_eq!(forge(caller, words, &[bell.handle()])?, status::MALFORMED);
        }
        check_eq!(
            forge(endpoint, &[1], &[bell.handle()])?,
            status::DENIED,
            "without a badge there are no rights"
        );
        check_eq!(slots::taken(), before, "slots taken after round {round}");
    }
    check_eq!(honest.subscribers(), Ok(0));
    Ok(())
}

/// Who never fetches, subscribes without an end, and takes its notification away: another is told everything, and what the
/// server has does not grow.
pub(crate) fn who_never_fetches_harms_itself() -> Outcome {
    let endpoint = gauge()?;
    let (idle, busy, third) = (client(endpoint, 1)?, client(endpoint, 2)?, client(endpoint, 3)?);
    let mute = subscribe(&idle)?;
    let bell = subscribe(&busy)?;
    let spare = memory::create::<Notification>(0).map_err(said("bell"))?;
    let refused = offer(spare, |bell| third.subscribe(bell)).map_err(said("copy"))?;
    check_eq!(refused, Err(CallError::NoRoom));
    let before = busy.slots().map_err(told("slots"))?;
    for value in 1..=500 {
        busy.set(value).map_err(told("set"))?;
        check!(bell.wait(time::after(PATIENCE)).is_ok(), "it was not signalled of {value}");
        check_eq!(drain(&busy)?, [GaugeEvent::Changed { from: value - 1, to: value }]);
        offer(mute, |bell| idle.subscribe(bell)).map_err(said("copy"))?.map_err(told("again"))?;
    }
    check_eq!(busy.slots(), Ok(before), "subscribing again and again takes slots");
    for value in 501..=600 {
        busy.set(value).map_err(told("set"))?;
        drain(&busy)?;
    }
    let all = drain(&idle)?;
    check_eq!(all.last(), Some(&GaugeEvent::Lost(100 - QUEUE as u64)));
    slots::delete(mute.handle()).map_err(said("delete"))?;
    busy.set(601).map_err(told("set"))?;
    check_eq!(busy.subscribers(), Ok(1), "who cannot be signalled is forgotten");
    check_eq!(drain(&busy)?, [GaugeEvent::Changed { from: 600, to: 601 }]);
    check_eq!(idle.next_event(), Err(CallError::NotSubscribed));
    subscribe(&third).map(|_| ())
}

/// Who asks for events without a pause is served in turn, as everybody else.
pub(crate) fn who_floods_with_fetches_harms_itself() -> Outcome {
    let endpoint = gauge()?;
    let honest = client(endpoint, 1)?;
    let bell = subscribe(&honest)?;
    let mut floods = Vec::new();
    for number in 10..14 {
        let flood = client(endpoint, number)?;
        let flood = move || {
            for _ in 0..400 {
                // It is no subscriber, or it is; it is told that, or nothing.
                let _ = (flood.next_event(), flood.unsubscribe());
            }
        };
        floods.push(thread::spawn(flood).map_err(said("spawn"))?);
    }
    let mut value = 0;
    while floods.iter().any(|flood| !flood.is_done()) {
        value += 1;
        honest.set(value).map_err(told("set"))?;
        check!(bell.wait(time::after(PATIENCE)).is_ok(), "it was not signalled of {value}");
        check_eq!(drain(&honest)?, [GaugeEvent::Changed { from: value - 1, to: value }]);
    }
    check!(value >= 20, "only {value} events in a flood of 3200 calls");
    Ok(())
}

/// A subscriber that dies takes its notification with it: the server forgets it when there is something to tell.
pub(crate) fn a_subscriber_that_dies_is_forgotten() -> Outcome {
    let endpoint = gauge()?;
    let honest = client(endpoint, 1)?;
    let bell = subscribe(&honest)?;
    let (children, caller) = (Child::new()?, session(endpoint, 2)?);
    let mut taken = Vec::new();
    for value in 1..=4 {
        let child = children.start("child::subscriber", Some(caller), Generation::FIRST)?;
        while honest.subscribers().map_err(told("subscribers"))? < 2 {
            time::sleep(Duration::from_millis(1));
        }
        let budget = child.end().map_err(said("end"))?;
        slots::delete(budget.handle()).map_err(said("delete"))?;
        honest.set(value).map_err(told("set"))?;
        check_eq!(honest.subscribers(), Ok(1), "the dead are not told");
        check!(bell.wait(time::after(PATIENCE)).is_ok(), "it was not signalled of {value}");
        check_eq!(drain(&honest)?, [GaugeEvent::Changed { from: value - 1, to: value }]);
        taken.push(honest.slots().map_err(told("slots"))?);
    }
    check!(
        taken.windows(2).all(|two| two[0] == two[1]),
        "what the dead gave the server stays: {taken:?} slots"
    );
    Ok(())
}

/// Subscribes to the gauge that it was granted, and waits for ever.
pub(crate) fn subscribe_and_wait() {
    let client = GaugeClient::new(Connection::new(cap(environment().granted(0))));
    let Ok(bell) = memory::create::<Notification>(0) else { return };
    if let Ok(Ok(())) = offer(bell, |bell| client.subscribe(bell)) {
        loop {
            let _ = bell.wait(idl::types::Deadline::NEVER);
        }
    }
}
