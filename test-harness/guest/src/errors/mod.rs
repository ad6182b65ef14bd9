//! Every error that the kernel's interface declares, provoked. The harness holds what was seen against what is declared.

mod memory;
mod messages;
mod supervising;
mod tables;
mod targets;
mod threads;
mod uplink;

pub(crate) use memory::{of_regions, of_spaces, of_untyped};
pub(crate) use messages::{of_consoles, of_endpoints, of_notifications, of_replies};
pub(crate) use supervising::{of_condemned_suboses, of_machine, of_suboses};
pub(crate) use tables::{of_lookup, of_tables};
pub(crate) use targets::of_every_target;
pub(crate) use threads::{of_guests, of_threads};
pub(crate) use uplink::{of_uplinks, subos as uplink_subos};

use alloc::format;

use userlib::Error;

use crate::Outcome;

/// Checks that an operation was refused for this reason.
fn refused<T: core::fmt::Debug>(what: &str, result: Result<T, Error>, error: Error) -> Outcome {
    match result {
        Err(found) if found == error => Ok(()),
        Err(found) => Err(format!("{what}: {found}, not {error}")),
        Ok(value) => Err(format!("{what}: {value:?}, not {error}")),
    }
}
