//! Between the assembly and the kernel: why it was entered ([`cause`]), the unsafe shell (`enter`), and what must hold
//! before user code runs ([`exit`]).

pub mod cause;
#[cfg(feature = "image")]
pub(crate) mod enter;
pub mod exit;

pub use cause::{Cause, Fault};
pub use exit::Exit;
