//! Synchronisation between cores: the kernel's fair lock.

pub mod lock;

pub use lock::{Guard, KernelLock, Refused, Wait};
