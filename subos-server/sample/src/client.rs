//! A client, as a program: it calls the server without pause, and counts on its tally what came back right.
#![no_std]
#![no_main]

use core::time::Duration;

use idl::interface::{CallError, Transport};
use subos_sample::{Sample, SampleClient, SampleError, round};
use userlib::tally::Tally;
use userlib::{Error, directory, environment, time};

userlib::main!(main);

/// How long an answer may take. The server may be away for a while: init lets it rest after a crash.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before calling a server again that was away.
const NAP: Duration = Duration::from_millis(2);

fn main() -> Result<(), &'static str> {
    let tally = Tally::on(environment().granted(directory::GRANTED_TALLY)).map_err(Error::name)?;
    let way = directory::open("sample", Sample::READ | Sample::WRITE);
    let way = way.map_err(|_| "the table gives no connection")?.patience(PATIENCE);
    loop {
        let error = match SampleClient::connect(way) {
            Ok(client) => rounds(&client, &tally),
            Err(error) => error.widen(),
        };
        match error {
            // It has died, and init starts it again.
            CallError::Dead(_) | CallError::Kernel(_) => time::sleep(NAP),
            error => panic!("the server answers with an error: {error:?}"),
        }
    }
}

/// Calls until that fails.
fn rounds<T: Transport>(client: &SampleClient<T>, tally: &Tally) -> CallError<SampleError> {
    loop {
        match round(client) {
            Ok(true) => tally.add(),
            Ok(false) => panic!("the sum is wrong"),
            Err(error) => return error,
        }
    }
}
