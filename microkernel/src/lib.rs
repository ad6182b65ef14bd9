//! Under construction.
#![no_std]
pub mod limits;
pub mod types;
