//! The echo client. Granted: 0, the server's endpoint, to call; 1, a page for its count, to write.
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
    let count = page.word(0).ok_or("the page for the count is empty")?;
    let endpoint: Cap<Endpoint> = cap(environment().granted(0));
    loop {
        let connection = Connection::new(endpoint).patience(PATIENCE);
        match EchoClient::connect(connection) {
            Ok(client) => call(&client, count),
            Err(CallError::Kernel(_) | CallError::Dead(_)) => {}
            Err(error) => panic!("connecting to the server: {error}"),
        }
        time::sleep(NAP);
    }
}

/// Calls without pause until the server is away.
fn call<T: Transport>(client: &EchoClient<T>, count: &AtomicU64) {
    loop {
        let number = count.load(Ordering::Relaxed);
        let right = match Question::number(number) {
            Question::Value(value) => judge(client.echo(value).map(|answer| answer == value)),
            Question::Text(text) => judge(client.repeat(&text).map(|answer| answer == text)),
        };
        match right {
            None => return,
            Some(true) => count.store(number + 1, Ordering::Relaxed),
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
