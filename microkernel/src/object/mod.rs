//! The kernel's objects: one file a kind. Each file checks a call completely before it changes anything.

pub mod address_space;
mod address_space_calls;
mod core;
mod cspace;
mod debug_console;
pub mod endpoint;
pub mod guest;
mod machine;
mod messages;
pub mod notification;
mod region;
pub mod reply;
mod subos;
pub mod thread;
mod thread_calls;
mod untyped;
mod uplink;
