//! Stand-ins and tormentors.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use caps::Error;
use idl::interface::{CallError, Caller, Dispatch, Generation, InProcess, REPEATS, Transport};
use idl::peer::schema::{Effect, compare, hold, text};
use idl::peer::{Failing, Failure, Recorder, Replay, Tape, attack};
use idl::types::Badge;

use crate::example::{Example, ExampleClient, ExampleDispatch, ExampleError, ExampleMock, Server};

fn server() -> InProcess<ExampleDispatch<Server>> {
    InProcess::new(ExampleDispatch(Server::default()), Badge(77))
}

/// For what is called only to see it panic.
fn ignore<T>(_: T) {}

/// What a panic said.
fn panic_of(test: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(test)).expect_err("it did not panic");
    payload
        .downcast_ref::<String>()
        .cloned()
        .unwrap_or_else(|| (*payload.downcast_ref::<&str>().expect("panics have a message")).to_owned())
}

#[test]
fn a_mock_answers_what_it_is_told_and_panics_at_the_rest() {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&asked);
    let mock = ExampleMock::new().divide(move |caller, value, by| {
        seen.borrow_mut().push((caller.number(), value, by));
        Err(ExampleError::Empty)
    });
    let client = ExampleClient::connect(InProcess::new(ExampleDispatch(mock), Badge(3))).unwrap();
    assert_eq!(client.divide(6, 2), Err(CallError::Refused(ExampleError::Empty)));
    assert_eq!(*asked.borrow(), [(3, 6, 2)]);
    assert_eq!(panic_of(|| ignore(client.who())), "nobody expects a call of Example::who");
}

#[test]
fn what_may_be_repeated_is_and_nothing_else() {
    // Call 0 opens the connection.
    let dies_at = |calls: &'static [u32], how| {
        let plan = move |call| calls.contains(&call).then_some(how);
        ExampleClient::connect(Failing::new(server(), plan)).unwrap()
    };
    let client = dies_at(&[1], Failure::DiesBefore);
    assert_eq!(client.who(), Err(CallError::Dead(Generation(1))), "it may not");
    let client = dies_at(&[1], Failure::DiesAfter);
    assert_eq!(client.repeat("a", 2).as_deref(), Ok("aa"), "it may");
    assert_eq!(client.transport().calls(), 4, "open, call, open, call");
    let client = dies_at(&[1], Failure::TimesOut);
    assert_eq!(client.repeat("a", 2), Err(CallError::Kernel(Error::TimedOut)), "time is not given twice");
    let client = dies_at(&[2], Failure::DiesBefore);
    client.who().unwrap();
    assert_eq!(client.repeat("a", 1).as_deref(), Ok("a"));
    let never = |call| (call > 0 && call % 2 == 1).then_some(Failure::DiesBefore);
    let client = ExampleClient::connect(Failing::new(server(), never)).unwrap();
    assert_eq!(client.repeat("a", 1), Err(CallError::Dead(Generation(1))));
    assert_eq!(client.transport().calls(), 2 + 2 * REPEATS, "it gives up");
}

fn talk<T: Transport>(client: &ExampleClient<T>) {
    assert_eq!(client.divide(84, 2), Ok(42));
    assert_eq!(client.repeat("ab", 3).as_deref(), Ok("ababab"));
    assert_eq!(client.divide(1, 0), Err(CallError::Refused(ExampleError::DivisionByZero)));
    assert_eq!(client.say("goodbye"), Ok(()));
}

#[test]
fn what_was_recorded_is_said_again() {
    let client = ExampleClient::connect(Recorder::new(server())).unwrap();
    talk(&client);
    let written = client.transport().tape().to_string();
    let tape: Tape = written.parse().unwrap();
    assert_eq!(tape.0.len(), 5);
    let client = ExampleClient::connect(Replay::new(tape.clone())).unwrap();
    talk(&client);
    assert_eq!(client.transport().left(), 0);
    assert!(panic_of(|| ignore(client.who())).contains("request 5"), "the tape is at its end");
    let other = ExampleClient::connect(Replay::new(tape)).unwrap();
    let said = panic_of(|| ignore(other.divide(84, 3)));
    assert!(said.contains("request 1 is not what the tape has"), "{said}");
    assert_eq!("101 54 x".parse::<Tape>(), Err("101 54 x".to_owned()));
}

#[test]
fn an_attack_reaches_every_method_and_finds_nothing() {
    for seed in 0..20 {
        let reached = attack(&mut ExampleDispatch(Server::default()), seed);
        assert!(reached.values().all(|times| *times > 10), "{reached:?}");
    }
}

/// Divides by what it is given.
#[idl::interface]
pub(crate) trait Fragile {
    /// The quotient.
    fn divide(&self, value: u64, by: u32) -> u64;
}

#[test]
fn an_attack_finds_what_panics() {
    let mock = FragileMock::new().divide(|_, value, by| value / u64::from(by));
    let said = panic_of(|| ignore(attack(&mut FragileDispatch(mock), 1)));
    assert_eq!(said, "attempt to divide by zero");
}

/// A server whose dispatch does not look at rights.
struct Careless(ExampleDispatch<Server>);

impl Dispatch for Careless {
    type Interface = Example;

    fn dispatch(
        &mut self,
        method: u32,
        mut caller: Caller<Example>,
        request: &idl::interface::Request<'_>,
        answer: &mut idl::interface::Answer,
    ) -> Result<(), idl::interface::Refusal> {
        caller.session.access = Example::READ | Example::WRITE;
        self.0.dispatch(method, caller, request, answer)
    }
}

#[test]
fn an_attack_finds_a_right_that_is_not_asked_for() {
    let said = panic_of(|| ignore(attack(&mut Careless(ExampleDispatch(Server::default())), 1)));
    assert!(said.contains(" was reached without its rights by Throw {"), "{said}");
}

#[test]
fn the_schema_is_the_committed_one() {
    hold::<Example>(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interface/example.schema"));
}

/// The changes that making one text of the other brings.
fn changed(from: &str, to: &str) -> Vec<(Effect, String)> {
    let now = text::<Example>();
    assert!(now.contains(from), "the schema does not say {from}");
    let changes = compare(&now, &now.replacen(from, to, 1));
    changes.into_iter().map(|change| (change.effect, change.what)).collect()
}

#[test]
fn a_change_is_judged_by_what_it_does_to_clients() {
    use Effect::{Breaks, Keeps};
    let now = text::<Example>();
    let more = compare(&now, &format!("{now}15 more\n"));
    assert_eq!((more[0].effect, more[0].what.as_str(), more.len()), (Keeps, "more is new", 1));
    for (from, to, effect, what) in [
        ("Example version 3", "Other version 3", Breaks, "Example is called Other"),
        ("version 3", "version 4", Keeps, "version 3 is version 4"),
        (
            "READ, WRITE\n",
            "READ, WRITE, ADMIN\n",
            Keeps,
            "the rights were READ, WRITE and are READ, WRITE, ADMIN",
        ),
        ("READ, WRITE\n", "WRITE, READ\n", Breaks, "the rights were READ, WRITE and are WRITE, READ"),
        ("2 who\n", "2 whom\n", Breaks, "method 2 was who and is whom"),
        (
            "by: u32",
            "by: u16",
            Breaks,
            "divide: it was `takes value: u64, takes by: u32` and is `takes value: u64, takes by: u16`",
        ),
        ("  requires READ\n", "", Keeps, "count: it was `requires READ` and is `nothing of that`"),
        (
            "  requires READ\n",
            "  requires READ | WRITE\n",
            Breaks,
            "count: it was `requires READ` and is `requires READ | WRITE`",
        ),
        ("  may be repeated\n", "", Keeps, "repeat: it was `may be repeated` and is `nothing of that`"),
        ("  has no answer\n", "", Breaks, "note: it was `has no answer` and is `nothing of that`"),
        (
            "DivisionByZero = 1",
            "DivisionByZero = 7",
            Breaks,
            "divide: it was `refuses ExampleError[DivisionByZero = 1, Empty = 2]` and is `refuses ExampleError[DivisionByZero = 7, Empty = 2]`",
        ),
    ] {
        assert_eq!(changed(from, to), [(effect, what.to_owned())], "{from} -> {to}");
    }
}
