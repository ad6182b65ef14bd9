//! A client of the store. The argument `role=writer` lets it write and read back, `role=reader` only read; what the table
//! does not allow it, it tries too, and must be refused. It counts what it has done right on its tally.
#![no_std]
#![no_main]

use core::fmt::Write;
use core::time::Duration;

use heapless::String;
use idl::interface::{CallError, Transport};
use subos_store::{KEY, Store, StoreClient, StoreError};
use userlib::directory::{self, DirectoryError};
use userlib::tally::Tally;
use userlib::{Error, environment, time};

userlib::main!(main);

/// What the server is called in the table.
const SERVER: &str = "store";
/// How long an answer may take. The server may be away for a while: init lets it rest after a crash.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many keys are written, again and again.
const KEYS: u64 = 16;

/// Why the client cannot go on as it is.
enum Setback {
    /// The server has died, and forgotten all: from the beginning.
    Forgotten,
    /// Something that must not be.
    Wrong(&'static str),
}

fn main() -> Result<(), &'static str> {
    let tally = Tally::on(environment().granted(directory::GRANTED_TALLY)).map_err(Error::name)?;
    let writes = match environment().argument("role") {
        Some("writer") => true,
        Some("reader") => false,
        _ => return Err("the argument role is writer or reader"),
    };
    must_be_refused(writes)?;
    let access = if writes { Store::READ | Store::WRITE } else { Store::READ };
    let way =
        directory::open(SERVER, access).map_err(|_| "the table gives no connection")?.patience(PATIENCE);
    loop {
        let again = match StoreClient::connect(way) {
            Ok(store) if writes => write(&store, &tally),
            Ok(store) => read(&store, &tally),
            Err(error) => setback(&error),
        };
        match again {
            Setback::Forgotten => time::sleep(Duration::from_millis(2)),
            Setback::Wrong(what) => return Err(what),
        }
    }
}

/// The directory refuses more than the table says.
fn must_be_refused(writes: bool) -> Result<(), &'static str> {
    let refused = |result: Result<_, CallError<DirectoryError>>, error| match result {
        Err(CallError::Refused(why)) if why == error => Ok(()),
        _ => Err("the directory hands out what the table does not allow"),
    };
    refused(directory::open("nobody", Store::READ).map(drop), DirectoryError::NoSuchServer)?;
    if !writes {
        let more = Store::READ | Store::WRITE;
        refused(directory::open(SERVER, more).map(drop), DirectoryError::NotInTable)?;
    }
    // A right that the interface does not even have.
    let unknown = idl::interface::Access::<Store>::from_bits(1 << 15);
    refused(directory::open(SERVER, unknown).map(drop), DirectoryError::NotInTable)
}

/// Writes, and reads what it wrote.
fn write<T: Transport>(store: &StoreClient<T>, tally: &Tally) -> Setback {
    for round in 0_u64.. {
        let mut value = String::<32>::new();
        // It fits.
        let _ = write!(value, "{round}");
        let key = key(round % KEYS);
        let done = store.put(&key, &value).and_then(|()| store.get(&key));
        match done {
            Ok(got) if got == value => tally.add(),
            Ok(_) => return Setback::Wrong("the store keeps something else than was put"),
            // It died between the two, and came back empty.
            Err(CallError::Refused(StoreError::NoSuchKey)) => return Setback::Forgotten,
            Err(error) => return setback(&error),
        }
    }
    Setback::Forgotten
}

/// Reads what the writer wrote, and cannot write.
fn read<T: Transport>(store: &StoreClient<T>, tally: &Tally) -> Setback {
    for round in 0_u64.. {
        let key = key(round % KEYS);
        match store.get(&key) {
            Ok(value) if value.parse::<u64>().is_ok() => tally.add(),
            Ok(_) => return Setback::Wrong("nobody wrote that"),
            // The writer has not come so far.
            Err(CallError::Refused(StoreError::NoSuchKey)) => time::sleep(Duration::from_millis(1)),
            Err(error) => return setback(&error),
        }
        match store.remove(&key) {
            Err(CallError::Denied(_)) => {}
            Err(error @ (CallError::Dead(_) | CallError::Kernel(_))) => return setback(&error),
            _ => return Setback::Wrong("a reader can write"),
        }
    }
    Setback::Forgotten
}

fn key(number: u64) -> String<KEY> {
    let mut key = String::new();
    // It fits.
    let _ = write!(key, "key-{number}");
    key
}

/// What an error means for this client.
fn setback<E>(error: &CallError<E>) -> Setback {
    match error {
        CallError::Dead(_) | CallError::Kernel(_) => Setback::Forgotten,
        _ => Setback::Wrong("the store answers as no store does"),
    }
}
