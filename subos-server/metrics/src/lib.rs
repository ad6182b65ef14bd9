//! Collects what other servers count: a service that many report to and few read.
//!
//! Design principles
//!
//! 1. *Who measures does not stop what is measured.* A report is a one-way call with two words; who watches is told by events,
//!    which wait for nobody; and a [`Meter`] that cannot report goes on without.
//! 2. *A counter is its maker's.* Nobody else can add to it, and nobody can make so many that others cannot make any.
//! 3. *All at once by lent memory*: a reader lends a buffer and gets every counter as a row, however many there are.
//!
//! Reading order: [`Metrics`] (the interface), [`Collector`] (the server), [`Meter`] (what a server reports with). `client.rs`
//! watches.
#![no_std]
#![forbid(unsafe_code)]

use heapless::{String, Vec};
use idl::interface::{CallError, Caller, Lent, Subscribed, Transport, right};
use idl::kernel::region::Region;
use userlib::server::{EventBell, View};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Longest name of a counter, in bytes.
pub const NAME: usize = 24;
/// Most counters.
pub const COUNTERS: usize = 64;
/// Most counters of one reporter.
pub const EACH: usize = 8;
/// Those who watch are told whenever a counter has passed another multiple of this.
pub const STEP: u64 = 256;
/// Most who watch.
const WATCHERS: usize = 4;
/// How much is kept for each of them.
const QUEUE: usize = 32;
/// What memory must allow in which a reader wants the counters.
pub const FILL: u16 = right::READ | right::WRITE | right::DERIVE;

/// Why the collector refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, idl::Word)]
pub enum MetricsError {
    /// There are [`COUNTERS`] counters, or the reporter has [`EACH`].
    Full = 1,
    /// Somebody else has a counter of that name.
    Taken,
    /// A counter has a name.
    NoName,
    /// The memory cannot be mapped.
    Unusable,
}

/// A counter, as readers get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Row {
    /// Its name, and zeros after it.
    pub name: [u8; NAME],
    /// How much was counted.
    pub value: u64,
}

impl Row {
    /// Its name, as far as it is text.
    #[must_use]
    pub fn name(&self) -> &str {
        let length = self.name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
        core::str::from_utf8(&self.name[..length]).unwrap_or("?")
    }
}

/// Collects counters.
#[idl::interface(version = 1, rights(REPORT, READ))]
pub trait Metrics {
    /// The number of the caller's counter of this name; it is made if there is none.
    #[requires(REPORT)]
    #[bytes]
    #[idempotent]
    fn counter(&self, #[max(NAME)] name: &str) -> Result<u32, MetricsError>;
    /// Adds to a counter of the caller's. What is added to others is dropped.
    #[requires(REPORT)]
    #[one_way]
    fn add(&self, counter: u32, amount: u64);
    /// Fills the memory with rows, by the counters' numbers; answers with how many counters there are.
    #[requires(READ)]
    #[idempotent]
    fn read(&self, rows: Lent<Region, FILL>) -> Result<u64, MetricsError>;
    /// A counter has passed another multiple of [`STEP`].
    #[event]
    #[requires(READ)]
    fn passed(&self, counter: u32, value: u64);
}

/// One counter.
#[derive(Debug)]
struct Counter {
    name: String<NAME>,
    /// The session that made it.
    maker: u32,
    value: u64,
}

/// A counter's number, by its place.
fn number(place: usize) -> Result<u32, MetricsError> {
    u32::try_from(place).map_err(|_| MetricsError::Full)
}

/// The server.
#[derive(Debug, Default)]
pub struct Collector {
    counters: Vec<Counter, COUNTERS>,
    events: MetricsEvents<EventBell, WATCHERS, QUEUE>,
}

impl MetricsServer for Collector {
    fn counter(&mut self, caller: Caller<Metrics>, name: &str) -> Result<u32, MetricsError> {
        if name.is_empty() {
            return Err(MetricsError::NoName);
        }
        if let Some(index) = self.counters.iter().position(|counter| counter.name == name) {
            let own = self.counters[index].maker == caller.number();
            return if own { number(index) } else { Err(MetricsError::Taken) };
        }
        let maker = caller.number();
        if self.counters.iter().filter(|counter| counter.maker == maker).count() >= EACH {
            return Err(MetricsError::Full);
        }
        // What is too long was refused before.
        let name = String::try_from(name).map_err(|_| MetricsError::NoName)?;
        self.counters.push(Counter { name, maker, value: 0 }).map_err(|_| MetricsError::Full)?;
        number(self.counters.len() - 1)
    }

    fn add(&mut self, caller: Caller<Metrics>, counter: u32, amount: u64) {
        let Some(found) = self.counters.get_mut(counter as usize) else { return };
        if found.maker != caller.number() {
            return;
        }
        let before = found.value;
        found.value = before.saturating_add(amount);
        let value = found.value;
        if before / STEP != value / STEP {
            self.events.passed(counter, value);
        }
    }

    fn read(&mut self, _: Caller<Metrics>, rows: Lent<Region, FILL>) -> Result<u64, MetricsError> {
        let mut view = View::<Row, FILL>::of(&rows).map_err(|_| MetricsError::Unusable)?;
        for (index, counter) in self.counters.iter().enumerate() {
            let mut name = [0; NAME];
            name[..counter.name.len()].copy_from_slice(counter.name.as_bytes());
            view.write(index, &[Row { name, value: counter.value }]);
        }
        Ok(self.counters.len() as u64)
    }

    fn events(&mut self) -> &mut dyn Subscribed {
        &mut self.events
    }
}

/// What a server reports a counter with. It never fails: a report that cannot be made is dropped, and after the collector was
/// started again the counter begins anew.
#[derive(Debug)]
pub struct Meter<T> {
    metrics: MetricsClient<T>,
    name: &'static str,
    number: Option<u32>,
}

impl<T: Transport> Meter<T> {
    /// For the counter of this name.
    pub const fn new(transport: T, name: &'static str) -> Self {
        Self { metrics: MetricsClient::new(transport), name, number: None }
    }

    /// Counts.
    pub fn add(&mut self, amount: u64) {
        if self.number.is_none() {
            // Another collector may be there than the last time, with other numbers: a call must be to that one.
            self.number = self.metrics.reconnect().ok().and_then(|()| self.metrics.counter(self.name).ok());
        }
        let Some(number) = self.number else { return };
        if let Err(CallError::Dead(_) | CallError::Kernel(_)) = self.metrics.add(number, amount) {
            self.number = None;
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;
    use std::vec;

    use idl::interface::{Access, BellCap, InProcess, Moved, Passable, Session};
    use idl::peer::schema::hold;
    use idl::peer::{Failing, Failure, attack};
    use userlib::server::HostMemory;

    use super::*;

    type Server = InProcess<MetricsDispatch<Collector>>;

    fn server(access: Access<Metrics>) -> Server {
        InProcess::with_session(MetricsDispatch(Collector::default()), Session::new(1, access))
    }

    fn both() -> Access<Metrics> {
        Metrics::REPORT | Metrics::READ
    }

    /// All counters, and how many there are.
    fn rows<T: Transport>(client: &MetricsClient<T>, room: usize) -> (std::vec::Vec<Row>, u64) {
        let memory = HostMemory::new(vec![0; room * size_of::<Row>()]);
        let count = client.read(memory.region().lend()).unwrap();
        let bytes = memory.bytes();
        let rows = bytes.chunks_exact(size_of::<Row>()).map(|row| Row::read_from_bytes(row).unwrap());
        (rows.collect(), count)
    }

    #[test]
    fn what_is_counted_is_read() {
        let client = MetricsClient::connect(server(both())).unwrap();
        let (hits, misses) = (client.counter("hits").unwrap(), client.counter("misses").unwrap());
        assert_eq!(client.counter("hits"), Ok(hits), "it is the same");
        client.add(hits, 3).unwrap();
        client.add(misses, 1).unwrap();
        client.add(hits, 2).unwrap();
        client.add(99, 1).unwrap();
        let (seen, count) = rows(&client, 3);
        assert_eq!(count, 2);
        let seen = seen.iter().map(|row| (row.name(), row.value));
        assert_eq!(seen.collect::<vec::Vec<_>>(), [("hits", 5), ("misses", 1), ("", 0)]);
        let (seen, count) = rows(&client, 1);
        assert_eq!((seen.len(), count), (1, 2), "what has no room is left out, and the count tells it");
        client.add(hits, u64::MAX).unwrap();
        assert_eq!(rows(&client, 1).0[0].value, u64::MAX, "it stays where it is at the end");
    }

    #[test]
    fn nobody_counts_for_others_or_leaves_them_no_room() {
        let mut collector = Collector::default();
        let caller =
            |number| Caller { session: Session::new(number, both()), until: idl::types::Deadline::NEVER };
        let own = collector.counter(caller(1), "own").unwrap();
        assert_eq!(collector.counter(caller(2), "own"), Err(MetricsError::Taken));
        collector.add(caller(2), own, 7);
        assert_eq!(collector.counters[0].value, 0);
        for number in 1..EACH {
            collector.counter(caller(1), &format!("{number}")).unwrap();
        }
        assert_eq!(collector.counter(caller(1), "one more"), Err(MetricsError::Full));
        assert_eq!(collector.counter(caller(2), "another's"), number(EACH));
        assert_eq!(collector.counter(caller(2), ""), Err(MetricsError::NoName));
    }

    #[test]
    fn who_watches_is_told_of_each_step() {
        let client = MetricsClient::connect(server(both())).unwrap();
        let bell: BellCap = Moved::from_handle(idl::Handle(1));
        client.subscribe(bell).unwrap();
        let counter = client.counter("calls").unwrap();
        for amount in [STEP - 1, 1, 1, 5 * STEP] {
            client.add(counter, amount).unwrap();
        }
        assert_eq!(client.next_event(), Ok(Some(MetricsEvent::Passed { counter, value: STEP })));
        assert_eq!(client.next_event(), Ok(Some(MetricsEvent::Passed { counter, value: 6 * STEP + 1 })));
        assert_eq!(client.next_event(), Ok(None));
    }

    #[test]
    fn a_meter_goes_on_without_a_collector() {
        // Call 0 opens the connection, 1 asks for the number, 2 and what follows count.
        let dies = |call| (call == 3).then_some(Failure::DiesBefore);
        let mut meter = Meter::new(Failing::new(server(both()), dies), "calls");
        for _ in 0..4 {
            meter.add(1);
        }
        let client = MetricsClient::new(meter.metrics.transport().transport());
        assert_eq!(rows(&client, 1).0[0].value, 3, "one was lost with the collector that did not count it");
        let mut refused = Meter::new(server(Metrics::READ), "calls");
        refused.add(1);
        assert_eq!(refused.number, None);
    }

    #[test]
    fn it_withstands_an_attack() {
        for seed in 0..10 {
            attack(&mut MetricsDispatch(Collector::default()), seed);
        }
    }

    #[test]
    fn its_schema_is_the_committed_one() {
        hold::<Metrics>(concat!(env!("CARGO_MANIFEST_DIR"), "/metrics.schema"));
    }
}
