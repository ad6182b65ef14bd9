//! Under construction.
#![no_std]

pub mod bundle;
pub mod plan;
pub mod program;
pub mod record;
