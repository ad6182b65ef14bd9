//! An interface with something of everything, and its server.

use std::collections::BTreeMap;

use heapless::{String, Vec};
use idl::interface;
use idl::interface::{Caller, Lent, Moved, right};
use idl::kernel::endpoint::Endpoint;
use idl::kernel::region::Region;
use idl::types::{Deadline, Pages};
use serde::{Deserialize, Serialize};

/// Why the example refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, idl::Word)]
pub(crate) enum ExampleError {
    /// By zero.
    DivisionByZero = 1,
    /// There is nothing in it.
    Empty,
}

/// A pair, to travel as bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, idl::Value)]
pub(crate) struct Pair {
    pub(crate) left: String<16>,
    pub(crate) right: Vec<u32, 8>,
}

/// What a buffer must allow.
const BUFFER: u16 = right::READ | right::WRITE;
/// A buffer.
pub(crate) type Buffer = Lent<Region, BUFFER>;

/// Calculates, and more.
#[interface(version = 3, rights(READ, WRITE))]
pub(crate) trait Example {
    /// The quotient.
    fn divide(&self, value: u64, by: u32) -> Result<u64, ExampleError>;
    /// The number of the session.
    fn who(&self) -> u32;
    /// Until when the caller waits.
    fn deadline(&self, a: u64, b: u64, c: u64, d: u64, e: u64) -> u64;
    /// Nothing comes back.
    #[one_way]
    fn note(&self, pages: Pages);
    /// The text, so often.
    #[bytes]
    #[idempotent]
    fn repeat(&self, #[max(512)] text: &str, times: u32) -> String<2000>;
    /// The pair, the other way round, unless it is empty.
    #[bytes]
    fn turn(&self, pair: Pair) -> Result<Pair, ExampleError>;
    /// A fixed answer.
    #[bytes]
    fn constant(&self) -> String<16>;
    /// Counts the calls of the session.
    #[requires(READ)]
    #[idempotent]
    fn count(&self) -> u32;
    /// Begins the count of the session anew.
    #[requires(READ | WRITE)]
    fn clear(&self);
    /// What is lent, by its number.
    fn look(&self, salt: u64, buffer: Lent<Region, BUFFER>, other: Lent<Region, BUFFER>) -> u64;
    /// Keeps an endpoint.
    fn keep(&self, endpoint: Moved<Endpoint, { right::CALL }>) -> Result<(), ExampleError>;
    /// Gives the endpoint back that was kept.
    fn give(&self) -> Result<Moved<Endpoint, { right::CALL }>, ExampleError>;
    /// Text with something lent.
    #[bytes]
    fn label(&self, #[max(32)] text: &str, buffer: Lent<Region, BUFFER>) -> u64;
    /// Text that is only said.
    #[bytes]
    #[one_way]
    fn say(&self, #[max(32)] text: &str);
}

#[derive(Default)]
pub(crate) struct Server {
    pub(crate) noted: Option<Pages>,
    pub(crate) said: std::string::String,
    pub(crate) kept: Option<Moved<Endpoint, { right::CALL }>>,
    pub(crate) counts: BTreeMap<u32, u32>,
}

impl ExampleServer for Server {
    fn divide(&mut self, _: Caller<Example>, value: u64, by: u32) -> Result<u64, ExampleError> {
        value.checked_div(u64::from(by)).ok_or(ExampleError::DivisionByZero)
    }

    fn who(&mut self, caller: Caller<Example>) -> u32 {
        caller.number()
    }

    fn deadline(&mut self, caller: Caller<Example>, a: u64, b: u64, c: u64, d: u64, e: u64) -> u64 {
        let Deadline(until) = caller.until;
        if (a, b, c, d, e) == (1, 2, 3, 4, 5) { until } else { u64::MAX }
    }

    fn note(&mut self, _: Caller<Example>, pages: Pages) {
        self.noted = Some(pages);
    }

    fn repeat(&mut self, _: Caller<Example>, text: &str, times: u32) -> String<2000> {
        let mut all = String::new();
        for _ in 0..times.min(2000) {
            if all.push_str(text).is_err() {
                return String::new();
            }
        }
        all
    }

    fn turn(&mut self, _: Caller<Example>, pair: Pair) -> Result<Pair, ExampleError> {
        if pair.right.is_empty() {
            return Err(ExampleError::Empty);
        }
        let right = pair.right.into_iter().rev().collect();
        Ok(Pair { left: pair.left.chars().rev().collect(), right })
    }

    fn constant(&mut self, _: Caller<Example>) -> String<16> {
        String::try_from("constant").unwrap()
    }

    fn count(&mut self, caller: Caller<Example>) -> u32 {
        let count = self.counts.entry(caller.number()).or_default();
        *count += 1;
        *count
    }

    fn clear(&mut self, caller: Caller<Example>) {
        self.counts.remove(&caller.number());
    }

    fn look(&mut self, _: Caller<Example>, salt: u64, buffer: Buffer, other: Buffer) -> u64 {
        let (buffer, other) = (interface::Passable::handle(&buffer), interface::Passable::handle(&other));
        salt ^ buffer.0 ^ (other.0 << 8)
    }

    fn keep(
        &mut self,
        _: Caller<Example>,
        endpoint: Moved<Endpoint, { right::CALL }>,
    ) -> Result<(), ExampleError> {
        self.kept = Some(endpoint);
        Ok(())
    }

    fn give(&mut self, _: Caller<Example>) -> Result<Moved<Endpoint, { right::CALL }>, ExampleError> {
        self.kept.take().ok_or(ExampleError::Empty)
    }

    fn label(&mut self, _: Caller<Example>, text: &str, buffer: Buffer) -> u64 {
        text.len() as u64 + interface::Passable::handle(&buffer).0
    }

    fn say(&mut self, _: Caller<Example>, text: &str) {
        self.said.push_str(text);
    }
}
