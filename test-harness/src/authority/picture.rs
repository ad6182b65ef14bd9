//! The authority of a manifest as a picture: a box for each subOS, its servers in it, and an arrow for each way.

use svg::node::element::path::Data;
use svg::node::element::{Group, Marker, Path, Rectangle};

use super::{Authority, Holder, Kind, Link};
use crate::drawing::{INK, OWNERS, PAPER, label, page, rounded};

const MARGIN: f64 = 24.0;
const WIDTH: f64 = 300.0;
const GAP: f64 = 240.0;
const LINE: f64 = 16.0;
const TOP: f64 = 48.0;

/// Where a holder's box is.
#[derive(Clone, Copy)]
struct Place {
    x: f64,
    y: f64,
    height: f64,
}

/// An SVG document.
#[must_use]
pub fn picture(authority: &Authority, title: &str) -> String {
    let places = lay_out(authority);
    let bottom = places.iter().map(|place| place.y + place.height).fold(TOP, f64::max);
    let right = MARGIN + WIDTH + GAP + WIDTH + GAP;
    let arrow = Marker::new()
        .set("id", "arrow")
        .set("viewBox", "0 0 10 10")
        .set("refX", 9)
        .set("refY", 5)
        .set("markerWidth", 7)
        .set("markerHeight", 7)
        .set("orient", "auto-start-reverse")
        .add(Path::new().set("d", "M0,0 L10,5 L0,10 z").set("fill", INK));
    let title = format!("Who can reach what: {title}");
    let mut page = page(right, bottom + MARGIN, MARGIN, &title).add(arrow);
    for (index, holder) in authority.holders.iter().enumerate() {
        page = page.add(holder_box(holder, places[index], colour(authority, index)));
    }
    for (index, link) in drawn(authority).enumerate() {
        page = page.add(way(link, &places, index));
    }
    page.to_string()
}

/// What is drawn of the links: a window once, and not that a supervisor or an init makes what is in its hands anyway.
fn drawn(authority: &Authority) -> impl Iterator<Item = &Link> {
    authority.links.iter().filter(|link| match link.kind {
        Kind::Calls => true,
        Kind::Window => link.from < link.to,
        Kind::Birth | Kind::Makes => false,
    })
}

/// SubOSes below each other on the left, and each one's servers to the right of it.
fn lay_out(authority: &Authority) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    let (mut left, mut right) = (TOP, TOP);
    for holder in &authority.holders {
        let lines = f64::from(u32::try_from(holder.holds.len() + 1).unwrap_or(u32::MAX));
        let height = (lines + 0.75) * LINE;
        let place = match holder.part_of {
            None => {
                left = left.max(right);
                right = left;
                let place = Place { x: MARGIN, y: left, height };
                left += height + MARGIN;
                place
            }
            Some(_) => {
                let place = Place { x: MARGIN + WIDTH + GAP, y: right, height };
                right += height + MARGIN;
                place
            }
        };
        places.push(place);
    }
    places
}

fn colour(authority: &Authority, index: usize) -> &'static str {
    let owner = authority.holders[index].part_of.unwrap_or(index);
    let number = authority.holders[..owner].iter().filter(|holder| holder.part_of.is_none()).count();
    if owner == 0 { INK } else { OWNERS[(number - 1) % OWNERS.len()] }
}

fn holder_box(holder: &Holder, place: Place, colour: &str) -> Group {
    let frame = Rectangle::new()
        .set("x", rounded(place.x))
        .set("y", rounded(place.y))
        .set("width", WIDTH)
        .set("height", rounded(place.height))
        .set("rx", 4)
        .set("fill", PAPER)
        .set("stroke", colour)
        .set("stroke-width", if holder.part_of.is_none() { 3 } else { 1 });
    let name = holder.name.rsplit('/').next().unwrap_or(&holder.name);
    let mut group =
        Group::new().add(frame).add(label(place.x + 8.0, place.y + LINE, name).set("font-weight", "bold"));
    let mut y = place.y + LINE;
    for line in &holder.holds {
        y += LINE;
        group = group.add(label(place.x + 8.0, y, line));
    }
    group
}

/// An arrow on the right of both boxes, or a line on the left for what goes both ways between subOSes.
fn way(link: &Link, places: &[Place], index: usize) -> Group {
    let (from, to) = (places[link.from], places[link.to]);
    // Ways that begin or end at one box do so at different heights.
    let shift = f64::from(u32::try_from(index % 4).unwrap_or(0)) * 6.0;
    let edge = from.x + WIDTH;
    let (start, end) = (from.y + LINE + shift, to.y + LINE + shift);
    let bulge = edge + 40.0 + shift * 4.0;
    let curve = Data::new().move_to((edge, rounded(start))).cubic_curve_to((
        bulge,
        rounded(start),
        bulge,
        rounded(end),
        to.x + WIDTH,
        rounded(end),
    ));
    let mut line =
        Path::new().set("d", curve).set("fill", "none").set("stroke", INK).set("marker-end", "url(#arrow)");
    let what = match link.kind {
        Kind::Window => {
            line = line.set("marker-start", "url(#arrow)").set("stroke-dasharray", "4 3");
            format!("window: {}", link.with)
        }
        _ => link.with.clone(),
    };
    let middle = f64::midpoint(start, end);
    Group::new().add(line).add(label(edge + (bulge - edge) * 0.75 + 6.0, middle, &what).set("font-size", 11))
}
