//! Events: subscribing, fetching, losing, and those who never fetch.

use std::cell::RefCell;
use std::rc::Rc;

use caps::{Handle, Rights};
use idl::interface::{
    Access, Bell, BellCap, CallError, Caller, Dispatch, Generation, InProcess, Interface, Moved, Passable,
    Session, Subscribed,
};
use idl::peer::schema::{Effect, compare, hold, text};
use idl::peer::{Failing, Failure, attack};

/// How many events are kept for each subscriber.
const QUEUE: usize = 4;
/// How many subscribers there can be.
const SUBSCRIBERS: usize = 2;

/// A watched number.
#[idl::interface(version = 1, rights(READ, WRITE))]
pub(crate) trait Gauge {
    /// Sets it.
    #[requires(WRITE)]
    fn set(&self, value: u64);
    /// It was set.
    #[event]
    #[requires(READ)]
    fn changed(&self, from: u64, to: u64);
    /// It was set to nothing.
    #[event]
    fn emptied(&self);
}

thread_local! {
    /// Which bells were rung, which of them answer, and which were given back.
    static BELLS: RefCell<Bells> = RefCell::default();
}

#[derive(Default)]
struct Bells {
    rung: Vec<u64>,
    gone: Vec<u64>,
    dropped: Vec<u64>,
}

/// A bell that notes what becomes of it.
#[derive(Debug)]
struct NotedBell(u64);

impl Bell for NotedBell {
    fn new(notification: Handle) -> Self {
        Self(notification.0)
    }

    fn ring(&mut self) -> bool {
        BELLS.with_borrow_mut(|bells| {
            bells.rung.push(self.0);
            !bells.gone.contains(&self.0)
        })
    }
}

impl Drop for NotedBell {
    fn drop(&mut self) {
        BELLS.with_borrow_mut(|bells| bells.dropped.push(self.0));
    }
}

fn rung() -> Vec<u64> {
    BELLS.with_borrow_mut(|bells| std::mem::take(&mut bells.rung))
}

fn dropped() -> Vec<u64> {
    BELLS.with_borrow_mut(|bells| std::mem::take(&mut bells.dropped))
}

#[derive(Default)]
struct Number {
    value: u64,
    events: GaugeEvents<NotedBell, SUBSCRIBERS, QUEUE>,
}

impl GaugeServer for Number {
    fn set(&mut self, _: Caller<Gauge>, value: u64) {
        let from = std::mem::replace(&mut self.value, value);
        self.events.changed(from, value);
        if value == 0 {
            self.events.emptied();
        }
    }

    fn events(&mut self) -> &mut dyn Subscribed {
        &mut self.events
    }
}

type Server = Rc<RefCell<GaugeDispatch<Number>>>;

/// A server with several clients in one process.
#[derive(Clone)]
struct Shared(Server);

impl Dispatch for Shared {
    type Interface = Gauge;

    fn dispatch(
        &mut self,
        method: u32,
        caller: Caller<Gauge>,
        request: &idl::interface::Request<'_>,
        answer: &mut idl::interface::Answer,
    ) -> Result<(), idl::interface::Refusal> {
        self.0.borrow_mut().dispatch(method, caller, request, answer)
    }

    fn answer(
        &mut self,
        life: Generation,
        badge: idl::types::Badge,
        request: &idl::interface::Request<'_>,
        answer: &mut idl::interface::Answer,
    ) -> idl::interface::Verdict {
        self.0.borrow_mut().answer(life, badge, request, answer)
    }
}

fn server() -> Shared {
    Shared(Rc::new(RefCell::new(GaugeDispatch(Number::default()))))
}

fn client(server: &Shared, number: u32, access: Access<Gauge>) -> GaugeClient<InProcess<Shared>> {
    GaugeClient::connect(InProcess::with_session(server.clone(), Session::new(number, access))).unwrap()
}

fn bell(number: u64) -> BellCap {
    Moved::from_handle(Handle(number))
}

#[test]
fn a_subscriber_is_told_in_order() {
    let server = server();
    let gauge = client(&server, 1, Gauge::READ | Gauge::WRITE);
    assert_eq!(gauge.next_event(), Err(CallError::NotSubscribed));
    gauge.set(7).unwrap();
    gauge.subscribe(bell(1)).unwrap();
    assert_eq!(gauge.next_event(), Ok(None), "what was before is not told");
    gauge.set(8).unwrap();
    gauge.set(0).unwrap();
    assert_eq!(rung(), [1], "once, until all is fetched");
    assert_eq!(gauge.next_event(), Ok(Some(GaugeEvent::Changed { from: 7, to: 8 })));
    gauge.set(9).unwrap();
    assert_eq!(rung(), [], "there was something left");
    assert_eq!(gauge.next_event(), Ok(Some(GaugeEvent::Changed { from: 8, to: 0 })));
    assert_eq!(gauge.next_event(), Ok(Some(GaugeEvent::Emptied {})));
    assert_eq!(gauge.next_event(), Ok(Some(GaugeEvent::Changed { from: 0, to: 9 })));
    assert_eq!(gauge.next_event(), Ok(None));
    gauge.set(1).unwrap();
    assert_eq!(rung(), [1]);
    gauge.unsubscribe().unwrap();
    assert_eq!(dropped(), [1]);
    assert_eq!(gauge.next_event(), Err(CallError::NotSubscribed));
}

#[test]
fn what_was_lost_is_counted_and_told_in_its_place() {
    let server = server();
    let gauge = client(&server, 1, Gauge::READ | Gauge::WRITE);
    gauge.subscribe(bell(1)).unwrap();
    for value in 1..=10 {
        gauge.set(value).unwrap();
    }
    assert_eq!(gauge.next_event(), Ok(Some(GaugeEvent::Changed { from: 0, to: 1 })));
    gauge.set(11).unwrap();
    for value in 2..=QUEUE as u64 {
        assert_eq!(gauge.next_event(), Ok(Some(GaugeEvent::Changed { from: value - 1, to: value })));
    }
    assert_eq!(
        gauge.next_event(),
        Ok(Some(GaugeEvent::Lost(7))),
        "also what came after the queue had room again"
    );
    assert_eq!(gauge.next_event(), Ok(None));
    gauge.set(12).unwrap();
    assert_eq!(gauge.next_event(), Ok(Some(GaugeEvent::Changed { from: 11, to: 12 })));
    assert_eq!(rung(), [1, 1]);
}

#[test]
fn who_never_fetches_harms_itself_alone() {
    let server = server();
    let idle = client(&server, 1, Gauge::READ);
    let busy = client(&server, 2, Gauge::READ | Gauge::WRITE);
    let third = client(&server, 3, Gauge::READ);
    idle.subscribe(bell(1)).unwrap();
    busy.subscribe(bell(2)).unwrap();
    assert_eq!(third.subscribe(bell(3)), Err(CallError::NoRoom));
    for value in 1..=1000 {
        busy.set(value).unwrap();
        assert_eq!(busy.next_event(), Ok(Some(GaugeEvent::Changed { from: value - 1, to: value })));
        assert_eq!(busy.next_event(), Ok(None));
    }
    assert_eq!(rung().iter().filter(|bell| **bell == 1).count(), 1, "it is signalled no more than once");
    // Subscribing over and over takes no more room, and the bells come back.
    for number in 10..100 {
        idle.subscribe(bell(number)).unwrap();
    }
    assert_eq!(dropped().len(), 90);
    assert_eq!(busy.set(5), Ok(()));
    // A bell that is no more: who had it is forgotten, and another has room.
    BELLS.with_borrow_mut(|bells| bells.gone.push(99));
    assert_eq!(idle.next_event(), Ok(Some(GaugeEvent::Changed { from: 1000, to: 5 })));
    assert_eq!(idle.next_event(), Ok(None));
    assert_eq!(busy.set(6), Ok(()));
    assert_eq!(idle.next_event(), Err(CallError::NotSubscribed));
    assert_eq!(third.subscribe(bell(3)), Ok(()));
}

#[test]
fn rights_decide_what_is_told() {
    let server = server();
    let writer = client(&server, 1, Gauge::WRITE);
    let reader = client(&server, 2, Gauge::READ);
    writer.subscribe(bell(1)).unwrap();
    reader.subscribe(bell(2)).unwrap();
    writer.set(5).unwrap();
    writer.set(0).unwrap();
    assert_eq!(writer.next_event(), Ok(Some(GaugeEvent::Emptied {})), "no right is asked for that");
    assert_eq!(writer.next_event(), Ok(None));
    // Another capability of the same session, with fewer rights.
    let weaker = client(&server, 2, Gauge::WRITE);
    assert_eq!(weaker.next_event(), Err(CallError::NotSubscribed));
    assert_eq!(reader.next_event(), Ok(Some(GaugeEvent::Changed { from: 0, to: 5 })));
}

/// Only for those who may look.
#[idl::interface(version = 1, rights(LOOK))]
pub(crate) trait Closed {
    /// Something was seen.
    #[event]
    #[requires(LOOK)]
    fn seen(&self, what: u32);
}

#[test]
fn without_a_right_for_any_event_nobody_subscribes() {
    let mock = ClosedDispatch(ClosedMock::new());
    let closed = ClosedClient::connect(InProcess::new(mock, idl::types::Badge(1))).unwrap();
    let Err(CallError::Denied(missing)) = closed.subscribe(bell(1)) else { panic!("it was let in") };
    assert_eq!(missing.to_string(), "LOOK");
    // A mock tells what a test lets it tell.
    let session = Session::new(1, Closed::LOOK);
    let seen =
        ClosedClient::connect(InProcess::with_session(ClosedDispatch(ClosedMock::new()), session)).unwrap();
    seen.subscribe(bell(1)).unwrap();
    seen.transport().with(|server| server.0.events.seen(4)).unwrap();
    assert_eq!(seen.next_event(), Ok(Some(ClosedEvent::Seen { what: 4 })));
    assert_eq!(seen.next_event(), Ok(None));
}

#[test]
fn a_server_that_dies_knows_its_subscribers_no_more() {
    let session = Session::new(1, Gauge::READ | Gauge::WRITE);
    let transport = InProcess::with_session(GaugeDispatch(Number::default()), session);
    let gauge = GaugeClient::connect(transport).unwrap();
    gauge.subscribe(bell(1)).unwrap();
    gauge.set(1).unwrap();
    gauge.transport().restart(GaugeDispatch(Number::default()));
    assert_eq!(gauge.next_event(), Err(CallError::Dead(Generation::FIRST)));
    gauge.reconnect().unwrap();
    assert_eq!(gauge.next_event(), Err(CallError::NotSubscribed));
    gauge.subscribe(bell(1)).unwrap();
    assert_eq!(gauge.next_event(), Ok(None));
}

#[test]
fn a_failing_way_fails_events_too() {
    let session = Session::new(1, Gauge::READ | Gauge::WRITE);
    let server = InProcess::with_session(GaugeDispatch(Number::default()), session);
    let dies = |call| (call == 1).then_some(Failure::DiesBefore);
    let gauge = GaugeClient::connect(Failing::new(server, dies)).unwrap();
    assert_eq!(gauge.subscribe(bell(1)), Err(CallError::Dead(Generation::FIRST)));
    assert_eq!(gauge.subscribe(bell(1)), Ok(()));
}

#[test]
fn what_is_no_notification_is_refused() {
    let session = Session::new(1, Gauge::READ | Gauge::WRITE);
    let mut server = GaugeDispatch(Number::default());
    let request = |passed: &[idl::interface::Passed], words: &[u64], server: &mut GaugeDispatch<Number>| {
        let parcel = idl::interface::Parcel::of(passed);
        let request = idl::interface::Request { label: 253, words, parcel: &parcel };
        let mut answer = idl::interface::Answer::new();
        server.answer(Generation::FIRST, session.badge(), &request, &mut answer);
        answer.message.label
    };
    use idl::interface::status;
    let good = bell(1).to_passed();
    let kind = idl::interface::Passed { kind: caps::Kind::Region, ..good };
    let weak = idl::interface::Passed { rights: Rights::RECEIVE, ..good };
    assert_eq!(request(&[], &[2], &mut server), status::WRONG_CAPABILITY);
    assert_eq!(request(&[kind], &[2], &mut server), status::WRONG_CAPABILITY);
    assert_eq!(request(&[weak], &[2], &mut server), status::WRONG_CAPABILITY);
    assert_eq!(request(&[good], &[], &mut server), status::MALFORMED);
    assert_eq!(request(&[good], &[1, 2], &mut server), status::MALFORMED);
    assert_eq!(server.0.events.count(), 0);
    // Who knows fewer events is told those; who claims to know more than there are is told those that there are.
    assert_eq!(request(&[good], &[u64::MAX], &mut server), status::OK);
    assert_eq!(request(&[good], &[0], &mut server), status::OK);
    server.0.events.emptied();
    assert_eq!(server.0.events().next(1, u16::MAX), Ok([0; 5]), "it knows none");
}

#[test]
fn an_attack_finds_nothing() {
    for seed in 0..20 {
        attack(&mut GaugeDispatch(Number::default()), seed);
    }
}

#[test]
fn the_schema_has_events_and_judges_their_changes() {
    use Effect::{Breaks, Keeps};
    hold::<Gauge>(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interface/gauge.schema"));
    let now = text::<Gauge>();
    for (from, to, effect, what) in [
        ("event 2 emptied\n", "", Breaks, "emptied is gone"),
        ("event 2 emptied\n", "event 2 cleared\n", Breaks, "event 2 was emptied and is cleared"),
        ("event 2 emptied\n", "event 2 emptied\nevent 3 more\n", Keeps, "more is new"),
        (
            "  takes to: u64\n",
            "",
            Breaks,
            "changed: it was `takes from: u64, takes to: u64` and is `takes from: u64`",
        ),
        (
            "u64\n  requires READ\n",
            "u64\n",
            Keeps,
            "changed: it was `requires READ` and is `nothing of that`",
        ),
    ] {
        assert!(now.contains(from), "{from:?} is not in {now}");
        let changes = compare(&now, &now.replacen(from, to, 1));
        let changes: Vec<_> = changes.into_iter().map(|change| (change.effect, change.what)).collect();
        assert_eq!(changes, [(effect, what.to_owned())], "{from} -> {to}");
    }
}

/// As the gauge was before somebody added an event, and a method.
mod before {
    /// A watched number.
    #[idl::interface(version = 1, rights(READ, WRITE))]
    pub(crate) trait Gauge {
        /// Sets it.
        #[requires(WRITE)]
        fn set(&self, value: u64);
        /// It was set.
        #[event]
        #[requires(READ)]
        fn changed(&self, from: u64, to: u64);
    }
}

/// Something else by the same name.
mod other {
    /// A watched number.
    #[idl::interface(version = 1, rights(READ, WRITE))]
    pub(crate) trait Gauge {
        /// Sets it.
        #[requires(WRITE)]
        fn set(&self, value: u64);
        /// It was set.
        #[event]
        #[requires(READ)]
        fn changed(&self, from: u64, to: u32);
    }
}

#[test]
fn an_older_client_is_told_what_it_knows() {
    let session = Session::<Gauge>::new(1, Gauge::READ | Gauge::WRITE);
    let transport = || InProcess::new(GaugeDispatch(Number::default()), session.badge());
    let gauge = before::GaugeClient::connect(transport()).unwrap();
    gauge.subscribe(bell(1)).unwrap();
    gauge.set(0).unwrap();
    assert_eq!(gauge.next_event(), Ok(Some(before::GaugeEvent::Changed { from: 0, to: 0 })));
    assert_eq!(gauge.next_event(), Ok(None), "it does not know the other");
    let refused = other::GaugeClient::connect(transport());
    assert!(matches!(refused, Err(CallError::WrongInterface(_))));
    assert_ne!(before::Gauge::FINGERPRINT, other::Gauge::FINGERPRINT);
}
