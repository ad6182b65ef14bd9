//! Peers for tests on the host: what stands in for a server or a client, and what torments one. Feature `peers`.
//!
//! - `StoreMock`, generated: a server made of closures.
//! - [`Failing`]: a transport that loses what a plan says.
//! - [`Recorder`] and [`Replay`]: what was said, kept as text and held against a client later.
//! - [`attack`]: arbitrary calls and bytes against a server.
//! - [`schema`]: what an interface is, as a file, and whether a change of it breaks clients.

mod arbitrary;
mod attack;
mod failing;
mod record;
pub mod schema;

pub use attack::{Reached, attack};
pub use failing::{Failing, Failure};
pub use record::{Exchange, Recorder, Replay, Tape};
#[doc(hidden)]
pub use std::boxed::Box;
