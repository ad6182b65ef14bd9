//! From the first Rust instruction to the seal. Reading order: `start`, then [`firmware`], [`acpi`], [`memory`] for
//! what the machine is, `roots` and `cores` for what is made of it.
//!
//! Boot runs on the first core, on the boot stack and the boot page tables, where the image is writable. Everything it
//! computes once and for all goes into sealed cells. It ends by loading subOS 0's home root, in which the image is
//! read-only and the boot stack and tables do not exist.

pub mod acpi;
pub mod firmware;
pub mod info;
pub mod memory;

#[cfg(feature = "image")]
pub mod cores;
#[cfg(feature = "image")]
mod roots;
#[cfg(feature = "image")]
mod start;

pub use info::BootInfo;
#[cfg(feature = "image")]
pub(crate) use start::{boot_main, cores_ready};
