//! How a run is shown: live while it happens, and at the end as tables and pictures.

mod live;
mod picture;
mod table;
mod text;

pub use live::Live;
pub use picture::picture;
pub use table::{aligned, grouped, silences, summary};
pub use text::timeline;

/// The colours of owners, in the order of [`crate::story::Timeline::owners`]: ANSI, and for pictures.
const COLOURS: [(&str, &str); 6] = [
    ("\x1b[36m", "#4c78a8"),
    ("\x1b[33m", "#f58518"),
    ("\x1b[32m", "#54a24b"),
    ("\x1b[35m", "#b279a2"),
    ("\x1b[34m", "#72b7b2"),
    ("\x1b[31m", "#e45756"),
];

/// The colour of an owner, for terminals and for pictures.
fn colour(owners: &[String], owner: &str) -> (&'static str, &'static str) {
    let index = owners.iter().position(|known| known == owner).unwrap_or(0);
    COLOURS.get(index % COLOURS.len()).copied().unwrap_or(("", "#888888"))
}
