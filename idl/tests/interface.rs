//! An interface, its client and its server, all in this process.

use std::cell::Cell;

use caps::Error;
use idl::interface::{
    Answer, CallError, Dispatch, InProcess, Interface, Long, Request, Short, Transport, status,
};
use idl::types::{Badge, Pages};
use idl::{Word, interface};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// Why arithmetic is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArithmeticError {
    /// By zero.
    DivisionByZero,
}

impl Word for ArithmeticError {
    const NAME: &'static str = "ArithmeticError";

    fn to_word(self) -> u64 {
        0
    }

    fn from_word(word: u64) -> Result<Self, Error> {
        if word == 0 { Ok(Self::DivisionByZero) } else { Err(Error::InvalidArgument) }
    }
}

/// A pair, to travel as bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    left: String,
    right: Vec<u32>,
}

/// Calculates, and more.
#[interface]
pub trait Example {
    /// The quotient.
    fn divide(&self, value: u64, by: u32) -> Result<u64, ArithmeticError>;
    /// Who calls.
    fn who(&self) -> Badge;
    /// Nothing comes back.
    fn note(&self, pages: Pages);
    /// The text, so often.
    #[bytes]
    fn repeat(&self, text: &str, times: u32) -> String;
    /// The pair, the other way round, unless it is empty.
    #[bytes]
    fn turn(&self, pair: Pair) -> Result<Pair, ArithmeticError>;
    /// A fixed answer.
    #[bytes]
    fn constant(&self) -> String;
}

#[derive(Default)]
struct Server {
    noted: Option<Pages>,
}

impl ExampleServer for Server {
    fn divide(&mut self, _: Badge, value: u64, by: u32) -> Result<u64, ArithmeticError> {
        value.checked_div(u64::from(by)).ok_or(ArithmeticError::DivisionByZero)
    }

    fn who(&mut self, caller: Badge) -> Badge {
        caller
    }

    fn note(&mut self, _: Badge, pages: Pages) {
        self.noted = Some(pages);
    }

    fn repeat(&mut self, _: Badge, text: &str, times: u32) -> String {
        text.repeat(times as usize)
    }

    fn turn(&mut self, _: Badge, pair: Pair) -> Result<Pair, ArithmeticError> {
        if pair.right.is_empty() {
            return Err(ArithmeticError::DivisionByZero);
        }
        let right = pair.right.into_iter().rev().collect();
        Ok(Pair { left: pair.left.chars().rev().collect(), right })
    }

    fn constant(&mut self, _: Badge) -> String {
        "constant".to_owned()
    }
}

fn client() -> ExampleClient<InProcess<ExampleDispatch<Server>>> {
    let transport = InProcess::new(ExampleDispatch(Server::default()), Badge(77));
    ExampleClient::connect(transport).expect("the server has this interface")
}

#[test]
fn calls_reach_the_server_and_come_back() {
    let client = client();
    assert_eq!(client.divide(84, 2), Ok(42));
    assert_eq!(client.divide(84, 0), Err(CallError::Refused(ArithmeticError::DivisionByZero)));
    assert_eq!(client.who(), Ok(Badge(77)));
    assert_eq!(client.note(Pages(3)), Ok(()));
    assert_eq!(client.repeat("ab", 3).as_deref(), Ok("ababab"));
    assert_eq!(client.constant().as_deref(), Ok("constant"));
    let pair = Pair { left: "abc".to_owned(), right: vec![1, 2] };
    assert_eq!(client.turn(pair), Ok(Pair { left: "cba".to_owned(), right: vec![2, 1] }));
    let empty = Pair { left: String::new(), right: vec![] };
    assert_eq!(client.turn(empty), Err(CallError::Refused(ArithmeticError::DivisionByZero)));
}

#[test]
fn what_does_not_fit_is_refused_on_either_side() {
    let client = client();
    assert_eq!(client.repeat(&"x".repeat(3000), 1), Err(CallError::TooLong));
    assert_eq!(client.repeat("x", 3000), Err(CallError::TooLong));
    let most = client.repeat("x", 2020).unwrap();
    assert_eq!(most.len(), 2020);
}

#[test]
fn another_interface_is_noticed() {
    /// The same methods under another name.
    #[interface]
    pub trait Other {
        /// The quotient.
        fn divide(&self, value: u64, by: u32) -> u64;
    }

    assert_ne!(Example::FINGERPRINT, Other::FINGERPRINT);
    let transport = InProcess::new(ExampleDispatch(Server::default()), Badge(0));
    let refused = OtherClient::connect(&transport).map(|_| ());
    assert_eq!(refused, Err(CallError::WrongInterface(Example::FINGERPRINT)));
}

#[test]
fn the_table_says_what_there_is() {
    assert_eq!(Example::NAME, "Example");
    let names: Vec<&str> = Example::METHODS.iter().map(|method| method.name).collect();
    assert_eq!(names, ["divide", "who", "note", "repeat", "turn", "constant"]);
    assert_eq!(Example::METHODS[0].signature, "divide(value: u64, by: u32) -> Result<u64, ArithmeticError>");
    assert_eq!(Example::METHODS[3].signature, "#[bytes] repeat(text: &str, times: u32) -> String");
    assert_eq!((Example::METHODS[1].label, Example::METHODS[1].docs), (2, "Who calls."));
}

/// Answers with whatever it is told to.
struct Liar(Cell<Short>);

impl Transport for Liar {
    fn call_short(&self, _: &Short) -> Result<Short, Error> {
        Ok(self.0.get())
    }

    fn call_long(&self, _: u32, message: &mut Long) -> Result<u32, Error> {
        let short = self.0.get();
        message.count = short.count;
        message.words[..5].copy_from_slice(&short.words);
        Ok(short.label)
    }
}

proptest! {
    #[test]
    fn a_server_answers_anything(label in 0u32..12, words in prop::collection::vec(any::<u64>(), 0..40)) {
        let mut server = ExampleDispatch(Server::default());
        let mut answer = Answer::new();
        let length = words.first().map_or(0, |word| word % 320);
        let mut words = words;
        if let Some(first) = words.first_mut() {
            *first = length;
        }
        server.answer(Badge(0), &Request { label, words: &words }, &mut answer);
        prop_assert_eq!(answer.label == status::UNKNOWN_METHOD, label > 6);
    }

    #[test]
    fn a_client_survives_any_answer(label in 0u32..8, count in 0u8..=5, words: [u64; 5]) {
        let client = ExampleClient::new(Liar(Cell::new(Short { label, count, words })));
        if let Ok(quotient) = client.divide(1, 1) {
            prop_assert_eq!((label, count, quotient), (status::OK, 1, words[0]));
        }
        let _ = (client.note(Pages(1)), client.constant());
    }
}
