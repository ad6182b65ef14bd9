//! The echo client. Granted: 0, the server's endpoint, to call; 1, the page of its tally, on which it counts the calls that
//! came back right.
#![no_std]
#![no_main]

use core::fmt::Debug;
use core::time::Duration;

use idl::interface::{CallError, Transport};
use subos_echo::{EchoClient, Question};
use userlib::cap::Endpoint;
use userlib::server::Connection;
use userlib::tally::Tally;
use userlib::{Cap, Error, cap, environment, time};

userlib::main!(main);

/// How long an answer may take. The server may be a moment away: init starts it again when it crashes.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before calling a server again that was away.
const NAP: Duration = Duration::from_millis(2);

fn main() -> Result<(), &'static str> {
    let tally = Tally::on(environment().granted(1)).map_err(Error::name)?;
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

/// Calls without pause until the server is away.
fn call<T: Transport>(client: &EchoClient<T>, tally: &Tally) {
    loop {
        let number = tally.count();
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
