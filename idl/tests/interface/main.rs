//! An interface, its client and its server, all in this process.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod events;
mod example;
mod peers;

use std::cell::Cell;

use caps::{Error, Handle, Kind, Rights};
use example::{Example, ExampleClient, ExampleDispatch, ExampleError, Pair, Server};
use idl::abi::{OpWord, REGISTER_WORDS, ResultWord};
use idl::interface::{
    Answer, CallError, Caller, Dispatch, Full, Generation, InProcess, Interface, Label, Long, Parcel,
    Passable, Passed, Passing, Request, Session, Sessions, Short, Transport, Verdict, status,
};
use idl::kernel::endpoint::Endpoint;
use idl::kernel::region::Region;
use idl::types::{Badge, Deadline, Pages};
use idl::{Cap, Invoke, interface};
use proptest::prelude::*;

type Client = ExampleClient<InProcess<ExampleDispatch<Server>>>;

fn transport(badge: Badge) -> InProcess<ExampleDispatch<Server>> {
    InProcess::new(ExampleDispatch(Server::default()), badge)
}

fn client() -> Client {
    ExampleClient::connect(transport(Badge(77))).expect("the server has this interface")
}

/// No kernel at all.
#[derive(Clone, Copy, Default)]
struct Nobody;

impl Invoke for Nobody {
    fn invoke(
        &self,
        _: OpWord,
        _: Handle,
        words: [u64; REGISTER_WORDS],
        _: Deadline,
        _: Handle,
    ) -> (ResultWord, Badge, [u64; REGISTER_WORDS]) {
        (ResultWord::error(Error::NotConfigured), Badge(0), words)
    }
}

#[test]
fn calls_reach_the_server_and_come_back() {
    let client = client();
    assert_eq!(client.divide(84, 2), Ok(42));
    assert_eq!(client.divide(84, 0), Err(CallError::Refused(ExampleError::DivisionByZero)));
    assert_eq!(client.who(), Ok(77));
    assert_eq!(client.repeat("ab", 3).as_deref(), Ok("ababab"));
    assert_eq!(client.constant().as_deref(), Ok("constant"));
    let pair = |left: &str, right: &[u32]| Pair {
        left: left.try_into().unwrap(),
        right: heapless::Vec::from_slice(right).unwrap(),
    };
    assert_eq!(client.turn(pair("abc", &[1, 2])), Ok(pair("cba", &[2, 1])));
    assert_eq!(client.turn(pair("", &[])), Err(CallError::Refused(ExampleError::Empty)));
}

#[test]
fn one_way_requests_arrive() {
    let client = client();
    assert_eq!(client.note(Pages(3)), Ok(()));
    assert_eq!(client.say("one "), Ok(()));
    assert_eq!(client.say("way"), Ok(()));
    let server = into_server(client);
    assert_eq!((server.noted, server.said.as_str()), (Some(Pages(3)), "one way"));
}

fn into_server(client: Client) -> Server {
    // A client gives its transport away only by reference, so what it did is asked of the server it made.
    let transport = client.transport();
    transport.restart(ExampleDispatch(Server::default())).unwrap().0
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_sent() {
    let client = client();
    assert_eq!(client.repeat(&"x".repeat(513), 1), Err(CallError::TooLong));
    assert_eq!(client.repeat(&"x".repeat(500), 4).unwrap().len(), 2000);
    let mut server = ExampleDispatch(Server::default());
    let lie = |length: usize| {
        // What a client would send that does not keep to `#[max(512)]`.
        let mut bytes = [0_u8; 2032];
        let text = "x".repeat(length);
        let used = postcard::to_slice(&(text.as_str(), 1_u32), &mut bytes).unwrap().len();
        let mut words = vec![used as u64];
        words.extend(
            bytes[..used.next_multiple_of(8)]
                .chunks(8)
                .map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap())),
        );
        words
    };
    assert_eq!(answer(&mut server, Badge(0), 5, &lie(512)).label, status::OK);
    assert_eq!(answer(&mut server, Badge(0), 5, &lie(513)).label, status::MALFORMED);
}

#[test]
fn deadlines_travel_with_the_call() {
    let client = ExampleClient::connect(transport(Badge(0)).until(Deadline(500))).unwrap();
    assert_eq!(client.deadline(1, 2, 3, 4, 5), Ok(500), "five words and a deadline");
    assert_eq!(client.until(Deadline(400)).deadline(1, 2, 3, 4, 5), Ok(400), "the earlier one counts");
    assert_eq!(client.until(Deadline(600)).deadline(1, 2, 3, 4, 5), Ok(500));
    assert_eq!(client.until(Deadline::NEVER).deadline(1, 2, 3, 4, 5), Ok(500));
    assert_eq!(client.repeat("deadline", 1).as_deref(), Ok("deadline"));
    assert_eq!(self::client().deadline(1, 2, 3, 4, 5), Ok(0), "none is none");
}

#[test]
fn rights_are_those_of_the_badge() {
    let client = |access| {
        let session = Session::new(5, access);
        ExampleClient::connect(InProcess::with_session(ExampleDispatch(Server::default()), session)).unwrap()
    };
    let reader = client(Example::READ);
    assert_eq!((reader.count(), reader.count(), reader.who()), (Ok(1), Ok(2), Ok(5)));
    let Err(CallError::Denied(rights)) = reader.clear() else { panic!("cleared without the right") };
    assert_eq!(rights.to_string(), "WRITE");
    let stranger = self::client();
    let Err(error) = stranger.clear() else { panic!("cleared without rights") };
    assert_eq!(error.to_string(), "the caller's session lacks the rights READ | WRITE");
    let writer = client(Example::READ | Example::WRITE);
    assert_eq!((writer.count(), writer.clear(), writer.count()), (Ok(1), Ok(()), Ok(1)));
}

#[test]
fn sessions_are_kept_apart_and_bounded() {
    let caller =
        |number| Caller::<Example> { session: Session::new(number, Example::READ), until: Deadline::NEVER };
    let mut sessions = Sessions::<Example, u32, 2>::new();
    *sessions.of(caller(1)).unwrap() += 10;
    *sessions.of(caller(2)).unwrap() += 1;
    *sessions.of(caller(1)).unwrap() += 10;
    assert_eq!(sessions.of(caller(1)), Ok(&mut 20));
    assert_eq!(sessions.of(caller(3)), Err(Full));
    assert_eq!(sessions.close(1), Some(20));
    assert_eq!(sessions.of(caller(3)), Ok(&mut 0));
    assert_eq!(format!("{:?}", caller(3).session), "session 3 (READ)");
}

#[test]
fn a_server_that_was_started_again_is_noticed() {
    let client = client();
    assert_eq!((client.generation(), client.who()), (Generation(1), Ok(77)));
    client.transport().restart(ExampleDispatch(Server::default())).unwrap();
    assert_eq!(client.who(), Err(CallError::Dead(Generation(1))));
    assert_eq!(client.who(), Err(CallError::Dead(Generation(1))), "not until it connects again");
    assert_eq!(client.repeat("a", 1).as_deref(), Ok("a"), "what may be repeated connects by itself");
    assert_eq!((client.generation(), client.who()), (Generation(2), Ok(77)));
    client.transport().restart(ExampleDispatch(Server::default())).unwrap();
    assert_eq!(client.who(), Err(CallError::Dead(Generation(2))));
    assert_eq!(client.reconnect(), Ok(()));
    assert_eq!(client.who(), Ok(77));
}

#[test]
fn capabilities_arrive_as_values() {
    let client = client();
    let region = |number| Cap::<Region, _>::with(Handle(number), Nobody);
    assert_eq!(client.look(1, region(0x10).lend(), region(0x20).lend()), Ok(0x2011));
    assert_eq!(client.label("four", region(0x10).lend()), Ok(0x14));
    let endpoint = Cap::<Endpoint, _>::with(Handle(9), Nobody);
    assert_eq!(client.give(), Err(CallError::Refused(ExampleError::Empty)));
    assert_eq!(client.keep(endpoint.give()), Ok(()));
    let back = client.give().unwrap();
    assert_eq!(back.cap::<Nobody>().handle(), Handle(9));
}

#[test]
fn wrong_capabilities_do_not_reach_the_server() {
    let right = Rights::READ | Rights::WRITE;
    let buffer = Passed { handle: Handle(4), passing: Passing::Moved, kind: Kind::Region, rights: right };
    let ask = |capabilities: &[Passed]| {
        let mut server = ExampleDispatch(Server::default());
        let mut answer = Answer::new();
        let parcel = Parcel::of(capabilities);
        let request = Request { label: 10, words: &[0], parcel: &parcel };
        let verdict = server.answer(Generation::FIRST, Badge(0), &request, &mut answer);
        assert_eq!(verdict == Verdict::Taken, answer.message.label == status::OK);
        answer.message.label
    };
    assert_eq!(ask(&[buffer, buffer]), status::OK);
    assert_eq!(ask(&[buffer]), status::WRONG_CAPABILITY, "one is missing");
    let wrong_kind = Passed { kind: Kind::Endpoint, ..buffer };
    assert_eq!(ask(&[buffer, wrong_kind]), status::WRONG_CAPABILITY);
    let too_weak = Passed { rights: Rights::READ, ..buffer };
    assert_eq!(ask(&[too_weak, buffer]), status::WRONG_CAPABILITY);
    let lent = example::Buffer::from_handle(Handle(4)).to_passed();
    assert_eq!(lent, Passed { passing: Passing::Lent, ..buffer });
}

#[test]
fn another_interface_is_noticed() {
    /// The same methods under another name.
    #[interface(version = 9)]
    pub trait Other {
        /// The quotient.
        fn divide(&self, value: u64, by: u32) -> u64;
    }

    let transport = transport(Badge(0));
    let Err(refused) = OtherClient::connect(&transport) else { panic!("it connected") };
    let (other, example) = (Other::FINGERPRINT, Example::FINGERPRINT);
    let text = format!(
        "the client wants Other version 9 ({other:016x}), the server is Example version 3 ({example:016x})"
    );
    assert_eq!(refused.to_string(), text);
}

mod before {
    //! The example as it was two versions ago: fewer methods, then one that differs.

    pub(crate) mod fewer {
        use crate::example::ExampleError;

        /// Calculates.
        #[idl::interface(version = 2)]
        pub trait Example {
            /// The quotient.
            fn divide(&self, value: u64, by: u32) -> Result<u64, ExampleError>;
            /// The number of the session.
            fn who(&self) -> u32;
        }
    }

    pub(crate) mod narrower {
        use crate::example::ExampleError;

        /// Calculates.
        #[idl::interface(version = 1)]
        pub trait Example {
            /// The quotient.
            fn divide(&self, value: u32, by: u32) -> Result<u64, ExampleError>;
        }
    }
}

#[test]
fn an_older_client_is_served_if_what_it_knows_is_the_same() {
    let transport = transport(Badge(6));
    let older = before::fewer::ExampleClient::connect(&transport).unwrap();
    assert_eq!((older.divide(9, 3), older.who()), (Ok(3), Ok(6)));
    let Err(refused) = before::narrower::ExampleClient::connect(&transport) else { panic!("it connected") };
    let text = refused.to_string();
    assert!(text.starts_with("interface Example: the client has version 1 ("), "{text}");
    assert!(text.contains("), the server version 3 ("), "{text}");
    let newer = InProcess::new(before::fewer::ExampleDispatch(Small), Badge(0));
    assert!(ExampleClient::connect(&newer).is_err(), "the server lacks methods");
}

struct Small;

impl before::fewer::ExampleServer for Small {
    fn divide(&mut self, _: Caller<before::fewer::Example>, value: u64, _: u32) -> Result<u64, ExampleError> {
        Ok(value)
    }

    fn who(&mut self, _: Caller<before::fewer::Example>) -> u32 {
        0
    }
}

#[test]
fn the_table_says_what_there_is() {
    assert_eq!((Example::NAME, Example::VERSION), ("Example", 3));
    let names: Vec<&str> = Example::METHODS.iter().map(|method| method.name).collect();
    assert_eq!(names[..5], ["divide", "who", "deadline", "note", "repeat"]);
    assert_eq!(Example::METHODS[0].signature, "divide(value: u64, by: u32) -> Result<u64, ExampleError>");
    assert_eq!(Example::METHODS[4].signature, "#[bytes] repeat(text: &str, times: u32) -> String<2000>");
    assert_eq!((Example::METHODS[1].number, Example::METHODS[1].docs), (2, "The number of the session."));
    assert_eq!((Example::METHODS[7].requires, Example::METHODS[8].requires), (1, 3));
}

fn answer(server: &mut ExampleDispatch<Server>, badge: Badge, label: u32, words: &[u64]) -> Long {
    let mut answer = Answer::new();
    let request = Request { label, words, parcel: &Parcel::new() };
    server.answer(Generation::FIRST, badge, &request, &mut answer);
    answer.message
}

/// Answers with whatever it is told to.
struct Liar(Cell<Short>);

impl Transport for Liar {
    fn call_short(&self, _: &Short, _: Deadline) -> Result<Short, Error> {
        Ok(self.0.get())
    }

    fn call_long(&self, message: &mut Long, _: Deadline) -> Result<(), Error> {
        let short = self.0.get();
        (message.label, message.count) = (short.label, short.count);
        message.words[..5].copy_from_slice(&short.words);
        Ok(())
    }

    fn send(&self, _: &Long, _: Deadline) -> Result<(), Error> {
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_server_answers_anything(
        method in 0u32..20,
        generation in 0u16..3,
        has_deadline: bool,
        badge: u64,
        words in prop::collection::vec(any::<u64>(), 0..40),
    ) {
        let mut server = ExampleDispatch(Server::default());
        let length = words.first().map_or(0, |word| word % 320);
        let mut words = words;
        if let Some(first) = words.first_mut() {
            *first = length;
        }
        let label = Label { method, generation: Generation(generation), has_deadline };
        let answered = answer(&mut server, Badge(badge), label.pack(), &words);
        prop_assert!(answered.label <= status::WRONG_CAPABILITY);
        if generation == 2 && method > 0 {
            prop_assert_eq!(answered.label, status::RESTARTED);
        }
    }

    #[test]
    fn a_client_survives_any_answer(label in 0u32..12, count in 0u8..=5, words: [u64; 5]) {
        let liar = || Liar(Cell::new(Short { label, count, words }));
        let client = ExampleClient::new(liar());
        if let Ok(quotient) = client.divide(1, 1) {
            prop_assert_eq!((label, count, quotient), (status::OK, 1, words[0]));
        }
        let _ = (client.note(Pages(1)), client.constant(), client.give());
        // It repeats no more often than it may, and connects to nothing that is not the same.
        let _ = (client.repeat("a", 1), ExampleClient::connect(liar()).map(|_| ()));
    }
}
