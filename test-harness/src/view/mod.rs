//! How a run is shown: live while it happens, and at the end as tables and pictures.

mod live;
mod picture;
mod table;
mod text;

use crate::drawing::OWNERS;

pub use live::Live;
pub use picture::picture;
pub use table::{aligned, grouped, listed, silences, summary};
pub use text::timeline;

/// The same colours for terminals as [`OWNERS`] for pictures.
const COLOURS: [&str; OWNERS.len()] =
    ["\x1b[36m", "\x1b[33m", "\x1b[32m", "\x1b[35m", "\x1b[34m", "\x1b[31m"];

/// The colour of an owner, in the order of [`crate::story::Timeline::owners`]: for terminals and for pictures.
fn colour(owners: &[String], owner: &str) -> (&'static str, &'static str) {
    let index = owners.iter().position(|known| known == owner).unwrap_or(0) % OWNERS.len();
    (COLOURS[index], OWNERS[index])
}
