//! The echo client. Granted: 0, the server's endpoint, to call; 1, a page to write, for three words: how many calls came back
//! right, when the last of them did, and the longest time between two of them, which whoever reads it sets to 0.
#![no_std]
#![no_main]

use core::fmt::Debug;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use idl::interface::{CallError, Transport};
use subos_echo::{EchoClient, Question};
use userlib::cap::Endpoint;
use userlib::memory::Mapping;
use userlib::server::Connection;
use userlib::{Cap, Error, Rights, cap, environment, time};

userlib::main!(main);

/// How long an answer may take. The server may be a moment away: init starts it again when it crashes.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before calling a server again that was away.
const NAP: Duration = Duration::from_millis(2);

fn main() -> Result<(), &'static str> {
    let page =
        Mapping::of(cap(environment().granted(1)), Rights::READ | Rights::WRITE).map_err(Error::name)?;
    let word = |index| page.word(index).ok_or("the page for the counts is empty");
    let tally = Tally { count: word(0)?, last: word(1)?, longest: word(2)? };
    let endpoint: Cap<Endpoint> = cap(environment().granted(0));
    loop {
        let connection = Connection::new(endpoint).patience(PATIENCE);
        match EchoClient::connect(connection) {
            Ok(client) => call(&client, &tally),
            Err(CallError::Kernel(_) | CallError::Dead(_)) => {}
            Err(error) => panic!("connecting to the server: {error}"),
        }
        time::sleep(NAP);
    }
}

/// What others see of its calls.
struct Tally<'p> {
    count: &'p AtomicU64,
    last: &'p AtomicU64,
    longest: &'p AtomicU64,
}

impl Tally<'_> {
    /// Another call came back right.
    fn add(&self) {
        let now = time::now().0;
        let last = self.last.load(Ordering::Relaxed);
        if last != 0 {
            self.longest.fetch_max(now.saturating_sub(last), Ordering::Relaxed);
        }
        self.last.store(now, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Calls without pause until the server is away.
fn call<T: Transport>(client: &EchoClient<T>, tally: &Tally<'_>) {
    loop {
        let number = tally.count.load(Ordering::Relaxed);
        let right = match Question::number(number) {
            Question::Value(value) => judge(client.echo(value).map(|answer| answer == value)),
            Question::Text(text) => judge(client.repeat(&text).map(|answer| answer == text)),
        };
        match right {
            None => return,
            Some(true) => tally.add(),
            Some(false) => panic!("call {number}: the answer is wrong"),
        }
    }
}

/// Whether the answer is right; `None` if there is none because the server is away.
fn judge<E: Debug>(answer: Result<bool, CallError<E>>) -> Option<bool> {
    match answer {
        Ok(right) => Some(right),
        Err(CallError::Kernel(_) | CallError::Dead(_)) => None,
        Err(error) => panic!("the server answers with an error: {error:?}"),
    }
}
