//! What was done and what was missing, for whoever runs the system.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::process::ExitStatus;
use crate::signal::Signal;

/// Counts since the start.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Calls that are not implemented, by number.
    pub(crate) missing: BTreeMap<u32, u64>,
    /// All calls made.
    pub calls: u64,
    /// Processes made.
    pub processes: u64,
    /// Programs executed.
    pub executed: u64,
    /// Processes that a signal ended, by its number.
    pub(crate) killed: BTreeMap<u8, u64>,
    /// Processes ended because a fault found no memory.
    pub out_of_memory: u64,
    /// How the first program ended.
    pub exit: Option<ExitStatus>,
}

impl Report {
    /// Notes a call that nobody implements; it answers `ENOSYS`.
    pub(crate) fn missing(&mut self, number: u32) {
        // Numbers far outside the table count together: a program must not fill the map.
        let number = if number < 1024 { number } else { u32::MAX };
        *self.missing.entry(number).or_default() += 1;
    }

    pub(crate) fn killed(&mut self, signal: Signal) {
        *self.killed.entry(signal.number()).or_default() += 1;
    }

    /// Calls that answered `ENOSYS`, by name, with how often.
    #[must_use]
    pub fn missing_calls(&self) -> Vec<(String, u64)> {
        self.missing.iter().map(|(&number, &times)| (call_name(number), times)).collect()
    }

    /// Calls that answered `ENOSYS`, by number, with how often.
    #[must_use]
    pub fn missing_numbers(&self) -> Vec<(u32, u64)> {
        self.missing.iter().map(|(&number, &times)| (number, times)).collect()
    }

    /// Processes that a signal ended, by its number, with how often.
    #[must_use]
    pub fn killed_by(&self) -> Vec<(u8, u64)> {
        self.killed.iter().map(|(&signal, &times)| (signal, times)).collect()
    }
}

/// The name of a call, or its number.
#[must_use]
pub fn call_name(number: u32) -> String {
    let known = usize::try_from(number).ok().and_then(syscalls::Sysno::new);
    known.map_or_else(|| alloc::format!("{number}"), |call| call.name().to_string())
}
