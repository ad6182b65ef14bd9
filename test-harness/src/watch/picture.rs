//! Steps as one SVG picture: a panel for each, one below the other, in which the forest is drawn as a tree, what is new
//! green, what changed or is going amber, what went red; and the ledger as a strip of cores and a strip of chunks.

use caps::State;
use caps::ledger::{Holder, SubOsId};
use caps_spec::ledger::LedgerModel;
use svg::node::element::{Group, Line, Rectangle, Title};

use super::{Change, Step};
use crate::check::show::holder_text;
use crate::drawing::{self, OWNERS, label, rounded};

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 24.0;
const ROW: f64 = 22.0;
const INDENT: f64 = 26.0;
const HEAD: f64 = 48.0;
const STRIP: f64 = 30.0;
const GAP: f64 = 26.0;
const FAINT: &str = "#9a9a9a";
const NEW: &str = "#d9f2dc";
const OTHER: &str = "#fdebc8";
const GONE: &str = "#f8d4d4";
const PLAIN: &str = "#f2f2f2";

/// The picture, as the text of an SVG file.
#[must_use]
pub fn picture(steps: &[Step], title: &str) -> String {
    let mut panels = Group::new();
    let (mut y, mut before) = (56.0, None);
    for (number, step) in (1..).zip(steps) {
        let (panel, height) = panel(step, before, number, y);
        panels = panels.add(panel);
        y += height + GAP;
        before = Some(step);
    }
    drawing::page(WIDTH, y, LEFT, title).add(panels).to_string()
}

/// One step, and how high it is.
fn panel(step: &Step, before: Option<&Step>, number: usize, top: f64) -> (Group, f64) {
    let refused = step.answered.starts_with("refused");
    let mut group = Group::new()
        .add(rule(top - 12.0))
        .add(label(LEFT, top + 10.0, &format!("{number}. {}", step.asked)).set("font-weight", "bold"))
        .add(label(LEFT, top + 28.0, &outcome(step)).set("fill", if refused { "#b02a2a" } else { FAINT }));
    let mut y = top + HEAD;
    let rows = step.rows(before);
    let place = |wanted| rows.iter().position(|(at, _)| *at == wanted);
    for (row, (at, depth)) in rows.iter().enumerate() {
        let (x, centre) = (LEFT + INDENT * steps_in(*depth), y + ROW * steps_in(row) + 9.0);
        let change = step.change(before, *at);
        let node = step.tree.0.get(at).or(before.and_then(|before| before.tree.0.get(at)));
        let Some(node) = node else { continue };
        if let Some(above) = node.parent.and_then(place) {
            let from = y + ROW * steps_in(above) + 18.0;
            group = group.add(branch(x - INDENT + 9.0, from, x, centre));
        }
        let going = node.state.intersects(State::REVOKING | State::DELETING | State::RESETTING);
        let colour = match change {
            Change::Gone => GONE,
            Change::New => NEW,
            Change::Other => OTHER,
            Change::Same if going => OTHER,
            Change::Same => PLAIN,
        };
        let text = step.describe(before, *at);
        let mut words = label(x + 8.0, centre + 4.0, &text);
        if change == Change::Gone {
            words = words.set("text-decoration", "line-through").set("fill", FAINT);
        }
        let dashed = if node.state.contains(State::LOCKED) { "4 3" } else { "none" };
        group = group
            .add(frame(x, centre - 9.0, width_of(&text), colour).set("stroke-dasharray", dashed))
            .add(words);
    }
    y += ROW * steps_in(rows.len());
    if let Some(ledger) = &step.ledger {
        group = group.add(strips(ledger, y + 6.0));
        y += 2.0 * STRIP + 12.0;
    }
    (group, y - top)
}

fn outcome(step: &Step) -> String {
    match step.effects.len() {
        0 => step.answered.clone(),
        _ => format!("{}; the kernel is told: {}", step.answered, step.effects.join(", ")),
    }
}

/// Who has which core, and which chunk.
fn strips(model: &LedgerModel, top: f64) -> Group {
    let cores = model.cores.iter().map(|(core, holder)| (format!("core {core}"), *holder));
    let mut chunks: Vec<(String, Holder)> =
        (0..model.chunk_count()).map(|chunk| (format!("chunk {chunk}"), Holder::Reserved)).collect();
    let mut set = |chunk: u32, holder: Holder| {
        if let Some((_, place)) = chunks.get_mut(chunk as usize) {
            *place = holder;
        }
    };
    model.pool.iter().for_each(|chunk| set(*chunk, Holder::Pool));
    model.quarantined.iter().for_each(|chunk| set(*chunk, Holder::Quarantined));
    for lot in model.lots.values() {
        lot.chunks.iter().for_each(|chunk| set(*chunk, lot.holder));
    }
    Group::new().add(strip("cores", cores.collect(), top)).add(strip("memory", chunks, top + STRIP))
}

fn strip(name: &str, places: Vec<(String, Holder)>, top: f64) -> Group {
    let width = ((WIDTH - 2.0 * LEFT - 64.0) / steps_in(places.len().max(1))).min(64.0);
    let mut group = Group::new().add(label(LEFT, top + 16.0, name).set("fill", FAINT));
    for (number, (what, holder)) in places.iter().enumerate() {
        let x = LEFT + 64.0 + width * steps_in(number);
        let place = Rectangle::new()
            .set("x", rounded(x))
            .set("y", rounded(top))
            .set("width", rounded((width - 1.0).max(0.5)))
            .set("height", STRIP - 8.0)
            .set("fill", colour(*holder))
            .set("fill-opacity", if matches!(holder, Holder::Leaving(..)) { 0.45 } else { 1.0 })
            .add(Title::new(format!("{what}: {}", holder_text(*holder))));
        group = group.add(place);
        if width > 40.0 {
            let text = match holder {
                Holder::SubOs(subos) => format!("subOS {}", subos.index),
                Holder::Leaving(_, phase) => format!("{phase:?}"),
                _ => String::new(),
            };
            group = group.add(label(x + 3.0, top + 15.0, &text).set("font-size", 9));
        }
    }
    group
}

fn colour(holder: Holder) -> &'static str {
    let of = |subos: SubOsId| OWNERS[usize::from(subos.index) % OWNERS.len()];
    match holder {
        Holder::Reserved => "#cccccc",
        Holder::Pool => "#eeeeee",
        Holder::SubOs(subos) | Holder::Leaving(subos, _) => of(subos),
        Holder::Quarantined => "#333333",
    }
}

fn branch(x: f64, from: f64, to: f64, y: f64) -> Group {
    let line = |x1: f64, y1: f64, x2: f64, y2: f64| {
        Line::new()
            .set("x1", rounded(x1))
            .set("y1", rounded(y1))
            .set("x2", rounded(x2))
            .set("y2", rounded(y2))
            .set("stroke", FAINT)
    };
    Group::new().add(line(x, from, x, y)).add(line(x, y, to, y))
}

fn frame(x: f64, y: f64, width: f64, fill: &str) -> Rectangle {
    Rectangle::new()
        .set("x", rounded(x))
        .set("y", rounded(y))
        .set("width", rounded(width))
        .set("height", 18)
        .set("rx", 4)
        .set("fill", fill)
        .set("stroke", FAINT)
}

fn rule(y: f64) -> Line {
    Line::new().set("x1", LEFT).set("x2", WIDTH - LEFT).set("y1", y).set("y2", y).set("stroke", "#dddddd")
}

/// About how wide a text is.
fn width_of(text: &str) -> f64 {
    16.0 + 6.6 * steps_in(text.chars().count())
}

#[expect(clippy::cast_precision_loss, reason = "a picture needs no more than 52 bits")]
fn steps_in(count: usize) -> f64 {
    count as f64
}
