//! Where [`crate::sync`] takes its atomics from, and the only place: the crate beside this one that tries every
//! interleaving of those protocols compiles the same files with a module of this name that is made of `loom`.

pub use core::hint::spin_loop;
pub use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
