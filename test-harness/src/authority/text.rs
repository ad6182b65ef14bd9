//! The authority of a manifest as tables.

use std::fmt::Write;

use super::{Authority, Kind};
use crate::view::listed;

/// Two tables: what each has in its hands alone, and whom it may reach.
#[must_use]
pub fn text(authority: &Authority) -> String {
    let mut holders = vec![row(["who", "holds, alone"])];
    for holder in &authority.holders {
        for (index, line) in holder.holds.iter().enumerate() {
            holders.push(row([if index == 0 { &holder.name } else { "" }, line]));
        }
    }
    let mut reach = vec![row(["who", "may reach", "how", "with"])];
    for (from, holder) in authority.holders.iter().enumerate() {
        let name = |place: usize| authority.holders.get(place).map_or("", |holder| holder.name.as_str());
        let mut begin = holder.name.as_str();
        for link in authority.links.iter().filter(|link| link.from == from) {
            reach.push(row([begin, name(link.to), how(link.kind), &link.with]));
            begin = "";
        }
        for place in authority.beyond(from) {
            reach.push(row([begin, name(place), "through others", "what those may do"]));
            begin = "";
        }
    }
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(text, "{}\n{}", listed(&holders), listed(&reach));
    text
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// How one reaches another, in a word.
pub(super) const fn how(kind: Kind) -> &'static str {
    match kind {
        Kind::Calls => "calls",
        Kind::Window => "window",
        Kind::Birth => "share",
        Kind::Makes => "makes",
    }
}
