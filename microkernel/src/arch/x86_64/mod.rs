//! x86-64. Reading order: [`instructions`] and [`serial`], then [`paging`], [`physmap`], [`half`] and [`tlb`] for
//! memory; [`area`], [`core`](mod@self::core), [`mailbox`] for what each core has; [`segments`], [`interrupts`], [`apic`], [`clock`]
//! for what the processor needs; [`frame`], `entry` and `traps` for the way in and out; `park` for the way between owners.
//!
//! Manual references are to the Intel Software Developer's Manual (SDM) and the AMD64 Architecture Programmer's
//! Manual (APM); section numbers as of 2023.

pub mod apic;
pub mod area;
pub mod clock;
pub mod core;
pub mod features;
pub mod frame;
pub mod half;
pub mod instructions;
pub mod interrupts;
pub mod layout;
pub mod mailbox;
pub mod pages;
pub mod paging;
pub mod physmap;
#[cfg(feature = "image")]
pub mod routes;
pub mod segments;
pub mod serial;
pub mod testing;
pub mod tlb;

#[cfg(feature = "image")]
pub(crate) mod entry;
#[cfg(feature = "image")]
pub mod image;
#[cfg(feature = "image")]
pub mod park;
#[cfg(feature = "image")]
pub(crate) mod planted;
#[cfg(feature = "image")]
mod start;
#[cfg(feature = "image")]
pub mod trampoline;
#[cfg(feature = "image")]
pub(crate) mod traps;
