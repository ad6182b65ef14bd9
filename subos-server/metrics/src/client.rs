//! A watcher: it sleeps until some counter has passed another step, then reads them all, and shows them now and then. On its
//! tally it counts the steps of which it was told.
#![no_std]
#![no_main]

use core::time::Duration;

use idl::interface::{CallError, Transport};
use idl::types::{Deadline, Pages};
use subos_metrics::{COUNTERS, Metrics, MetricsClient, MetricsEvent, Row};
use userlib::cap::Notification;
use userlib::server::{Buffer, offer};
use userlib::tally::Tally;
use userlib::{Cap, Error, directory, environment, memory, println, time};
use zerocopy::{FromZeros, IntoBytes};

userlib::main!(main);

/// How long an answer may take. The server may be away for a while: init lets it rest after a crash.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before calling a server again that was away.
const NAP: Duration = Duration::from_millis(2);
/// Of how many steps the counters are shown once.
const SHOWN_EVERY: u64 = 32;

fn main() -> Result<(), &'static str> {
    let tally = Tally::on(environment().granted(directory::GRANTED_TALLY)).map_err(Error::name)?;
    let way = directory::open("metrics", Metrics::READ).map_err(|_| "the table gives no connection")?;
    let way = way.patience(PATIENCE);
    let bell = memory::create::<Notification>(0).map_err(Error::name)?;
    let buffer = Buffer::new(Pages(1)).map_err(Error::name)?;
    loop {
        let Err(error) = MetricsClient::connect(way).and_then(|client| watch(&client, bell, &buffer, &tally));
        match error {
            CallError::Dead(_) | CallError::Kernel(_) | CallError::NotSubscribed => time::sleep(NAP),
            error => panic!("the collector answers with an error: {error:?}"),
        }
    }
}

/// Watches until a call fails.
fn watch<T: Transport>(
    client: &MetricsClient<T>,
    bell: Cap<Notification>,
    buffer: &Buffer,
    tally: &Tally,
) -> Result<core::convert::Infallible, CallError> {
    offer(bell, |bell| client.subscribe(bell)).map_err(CallError::Kernel)??;
    loop {
        bell.wait(Deadline::NEVER).map_err(CallError::Kernel)?;
        while let Some(event) = client.next_event()? {
            let MetricsEvent::Passed { counter, value } = event else { continue };
            let (rows, count) = read(client, buffer)?;
            let row =
                rows[..count].get(counter as usize).expect("a counter of which something is told is there");
            assert!(row.value >= value, "a counter has gone back");
            tally.add();
            if tally.count() % SHOWN_EVERY == 1 {
                rows[..count].iter().for_each(|row| println!("{}: {}", row.name(), row.value));
            }
        }
    }
}

/// All counters, and how many there are.
fn read<T: Transport>(
    client: &MetricsClient<T>,
    buffer: &Buffer,
) -> Result<([Row; COUNTERS], usize), CallError> {
    let mut rows = [Row::new_zeroed(); COUNTERS];
    let count = client.read(buffer.region().lend()).map_err(|error| match error {
        CallError::Refused(error) => panic!("the collector does not take the buffer: {error:?}"),
        CallError::Dead(life) => CallError::Dead(life),
        CallError::Kernel(error) => CallError::Kernel(error),
        error => panic!("the collector answers with an error: {error:?}"),
    })?;
    buffer.read(0, rows.as_mut_bytes());
    Ok((rows, usize::try_from(count).unwrap_or(COUNTERS).min(COUNTERS)))
}
