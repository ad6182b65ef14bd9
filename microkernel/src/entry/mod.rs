//! Between the assembly and the kernel: why it was entered ([`cause`]), the unsafe shell (`enter`), which way a system call
//! takes (`call`), and what must hold before user code runs ([`exit`]).

#[cfg(feature = "image")]
mod call;
pub mod cause;
#[cfg(feature = "image")]
pub(crate) mod enter;
pub mod exit;

pub use cause::{Cause, Fault};
pub use exit::Exit;
