//! An interface with everything that can go wrong, and its server.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use idl::interface::{Caller, Lent, Moved, Passable, right};
use idl::message::Message;
use idl::types::Deadline;
use userlib::cap::{Endpoint, Region};
use userlib::server::View;
use userlib::{Cap, time};

/// What memory must allow to be summed.
pub(crate) const SHOW: u16 = right::READ | right::DERIVE;
/// What memory must allow to be filled.
pub(crate) const FILL: u16 = SHOW | right::WRITE;
/// What an endpoint must allow to be kept.
pub(crate) const KEEP: u16 = right::CALL | right::DERIVE;

/// The number of `note`.
pub(crate) const NOTE: u32 = 5;

/// Why the depot refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, idl::Word)]
pub(crate) enum DepotError {
    /// There is nothing.
    Empty = 1,
    /// The memory cannot be mapped.
    Unusable,
}

/// Keeps and counts.
#[idl::interface(rights(USE))]
pub(crate) trait Depot {
    /// The sum of all numbers in the memory.
    fn sum(&self, numbers: Lent<Region, SHOW>) -> Result<u64, DepotError>;
    /// Fills the memory with this number; answers with how often.
    fn fill(&self, number: u64, numbers: Lent<Region, FILL>) -> Result<u64, DepotError>;
    /// Keeps an endpoint.
    fn keep(&self, endpoint: Moved<Endpoint, KEEP>);
    /// Gives the last endpoint back.
    fn give(&self) -> Result<Moved<Endpoint, KEEP>, DepotError>;
    /// Remembers a number.
    #[one_way]
    fn note(&self, number: u64);
    /// The number that was noted last.
    #[requires(USE)]
    #[idempotent]
    fn noted(&self) -> u64;
    /// How long the caller still waits, in ticks.
    fn time_left(&self) -> u64;
    /// Answers only after so many milliseconds.
    fn dawdle(&self, milliseconds: u32);
    /// Sums twice, and calls the gate between; answers with both.
    fn sum_twice(
        &self,
        numbers: Lent<Region, SHOW>,
        gate: Lent<Endpoint, { right::CALL }>,
    ) -> Result<[u64; 5], DepotError>;
    /// Never answers.
    fn crash(&self);
}

/// What the server was lent last.
pub(crate) static LAST_LENT: AtomicU64 = AtomicU64::new(0);

/// The server.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    kept: Vec<Moved<Endpoint, KEEP>>,
    noted: u64,
}

fn sum<const RIGHTS: u16>(view: &View<u64, RIGHTS>) -> u64 {
    (0..view.len()).filter_map(|index| view.get(index)).fold(0, u64::wrapping_add)
}

impl DepotServer for Keeper {
    fn sum(&mut self, _: Caller<Depot>, numbers: Lent<Region, SHOW>) -> Result<u64, DepotError> {
        LAST_LENT.store(numbers.handle().0, Ordering::Relaxed);
        View::of(&numbers).map(|view| sum(&view)).map_err(|_| DepotError::Unusable)
    }

    fn fill(
        &mut self,
        _: Caller<Depot>,
        number: u64,
        numbers: Lent<Region, FILL>,
    ) -> Result<u64, DepotError> {
        let mut view = View::of(&numbers).map_err(|_| DepotError::Unusable)?;
        Ok((0..view.len()).map(|index| view.write(index, &[number]) as u64).sum())
    }

    fn keep(&mut self, _: Caller<Depot>, endpoint: Moved<Endpoint, KEEP>) {
        self.kept.push(endpoint);
    }

    fn give(&mut self, _: Caller<Depot>) -> Result<Moved<Endpoint, KEEP>, DepotError> {
        self.kept.pop().ok_or(DepotError::Empty)
    }

    fn note(&mut self, _: Caller<Depot>, number: u64) {
        self.noted = number;
    }

    fn noted(&mut self, _: Caller<Depot>) -> u64 {
        self.noted
    }

    fn time_left(&mut self, caller: Caller<Depot>) -> u64 {
        caller.until.0.saturating_sub(time::now().0)
    }

    fn dawdle(&mut self, _: Caller<Depot>, milliseconds: u32) {
        time::sleep(Duration::from_millis(milliseconds.into()));
    }

    fn sum_twice(
        &mut self,
        _: Caller<Depot>,
        numbers: Lent<Region, SHOW>,
        gate: Lent<Endpoint, { right::CALL }>,
    ) -> Result<[u64; 5], DepotError> {
        let view = View::<u64, SHOW>::of(&numbers).map_err(|_| DepotError::Unusable)?;
        let first = sum(&view);
        let gate: Cap<Endpoint> = gate.cap();
        gate.call(&Message::default(), Deadline::NEVER).map_err(|_| DepotError::Empty)?;
        Ok([first, sum(&view), 0, 0, 0])
    }

    fn crash(&mut self, _: Caller<Depot>) {
        userlib::testing::stray_write(0x1_2340);
    }
}
