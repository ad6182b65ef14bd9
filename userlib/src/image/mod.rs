//! The freestanding half: what replaces an operating system's start-up files and a C library.

mod entry;
mod functions;
mod panic;
mod system_call;

pub use entry::start_program;
pub(crate) use entry::{calls, halt, stack_pointer, stray_write, thread_entry};
pub(crate) use system_call::{Raw, mark, pause, raw, ticks};
