//! The transport over a line of bytes: what an operator on the host says to a machine over a serial port.
//!
//! A line loses its beginning and its end: a peer comes when the other has spoken already, and goes in the middle of a
//! word. So everything travels in [frames](frame) that say how long they are and have a checksum, and between two of them
//! there is a byte that is in none. What is no frame is skipped, and counted.
//!
//! [`Serial`] is the client's end, a [`Transport`](crate::interface::Transport); [`Served`] the server's. There is one call
//! at a time. Capabilities do not cross: a line is between two machines.

mod client;
pub mod frame;
mod served;

pub use client::{Serial, Wire};
pub use frame::{Frame, Frames, Rubbish};
pub use served::{Line, Served};
