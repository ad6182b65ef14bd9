//! What all pictures have in common: an SVG page with its title, how text is set, and the colours.

use svg::Document;
use svg::node::element::{Rectangle, Text};

/// The colour of the page.
pub(crate) const PAPER: &str = "#ffffff";
/// The colour of text and axes.
pub(crate) const INK: &str = "#222222";
/// The colours of owners, used in turn.
pub(crate) const OWNERS: [&str; 6] = ["#4c78a8", "#f58518", "#54a24b", "#b279a2", "#72b7b2", "#e45756"];

/// An empty page of this size, with a title that begins at `left`.
pub(crate) fn page(width: f64, height: f64, left: f64, title: &str) -> Document {
    Document::new()
        .set("viewBox", (0.0, 0.0, width, height))
        .set("width", width)
        .set("height", height)
        .set("font-family", "system-ui, sans-serif")
        .set("font-size", 12)
        .add(Rectangle::new().set("width", "100%").set("height", "100%").set("fill", PAPER))
        .add(label(left, 24.0, title).set("font-size", 16).set("font-weight", "bold"))
}

/// A line of text.
pub(crate) fn label(x: f64, y: f64, text: &str) -> Text {
    Text::new(text).set("x", rounded(x)).set("y", rounded(y)).set("fill", INK)
}

/// To a tenth of a unit: the file stays short.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
