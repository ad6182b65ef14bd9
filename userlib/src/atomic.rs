//! Where [`crate::channel`]'s rings take their atomics from, and the only place: `microkernel/loom` compiles them with a
//! module of this name that is made of `loom`.

pub(crate) use core::sync::atomic::{AtomicU64, Ordering, fence};
