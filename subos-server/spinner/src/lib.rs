//! A subOS that is good for nothing but to be killed: one thread never yields, another lets its timer expire all
//! the time. Whatever takes its core has to take it by force.
#![no_std]
#![forbid(unsafe_code)]

use core::time::Duration;

/// How short the ticking thread sleeps.
pub const TICK: Duration = Duration::from_micros(50);
