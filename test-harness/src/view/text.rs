//! The timeline as text.

use std::fmt::Write;

use super::colour;
use crate::story::{FREE, Span, Timeline};

/// Columns of the picture.
const WIDTH: u64 = 72;
/// From nothing to everything.
const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Who had which core and how much memory, over time; in colours or without.
#[must_use]
pub fn timeline(timeline: &Timeline, colours: bool) -> String {
    let owners = timeline.owners();
    let letters = letters(&owners);
    let paint = |owner: &str, text: String| match colours {
        true if owner != FREE => format!("{}{text}\x1b[0m", colour(&owners, owner).0),
        _ => text,
    };
    let mut text = String::new();
    // Writing to a string cannot fail; so below.
    let _ = writeln!(text, "  cores");
    for (core, spans) in timeline.cores() {
        let cells: String = (0..WIDTH)
            .map(|column| match at(&spans, timeline.length(), column) {
                Some(owner) if owner != FREE => paint(owner, letter(&letters, owner).to_string()),
                _ => "·".to_owned(),
            })
            .collect();
        let _ = writeln!(text, "  {core:>10} {cells}");
    }
    let _ = writeln!(text, "  memory");
    let memory = timeline.memory();
    let most = memory.iter().flat_map(|(_, spans)| spans).map(|span| span.value).max().unwrap_or(1).max(1);
    for (subos, spans) in &memory {
        let cells: String = (0..WIDTH)
            .map(|column| {
                let amount = at(spans, timeline.length(), column).copied().unwrap_or(0);
                let level = usize::try_from((amount * 8).div_ceil(most)).unwrap_or(8);
                LEVELS.get(level).copied().unwrap_or(' ')
            })
            .collect();
        let amounts: Vec<String> = spans.iter().map(|span| span.value.to_string()).collect();
        let _ = writeln!(text, "  {subos:>10} {} {} MiB", paint(subos, cells), amounts.join(" → "));
    }
    let end =
        timeline.seconds(timeline.length()).map(|seconds| format!("{seconds:.2} s")).unwrap_or_default();
    let width = usize::try_from(WIDTH).unwrap_or(0).saturating_sub(1);
    let _ = writeln!(text, "  {:>10} 0{end:>width$}", "");
    let legend: Vec<String> = owners
        .iter()
        .map(|owner| format!("{} {owner}", paint(owner, letter(&letters, owner).to_string())))
        .collect();
    let _ = writeln!(text, "  {:>10} {}, · nobody", "", legend.join(", "));
    text
}

/// What had the most of a column.
fn at<T>(spans: &[Span<T>], length: u64, column: u64) -> Option<&T> {
    let (from, to) =
        (length * column / WIDTH, (length * (column + 1) / WIDTH).max(length * column / WIDTH + 1));
    let overlap = |span: &Span<T>| span.to.min(to).saturating_sub(span.from.max(from));
    spans.iter().filter(|span| overlap(span) > 0).max_by_key(|span| overlap(span)).map(|span| &span.value)
}

/// A letter for each owner: the first of its name that is not taken.
fn letters(owners: &[String]) -> Vec<(String, char)> {
    let mut letters: Vec<(String, char)> = Vec::new();
    for owner in owners {
        let upper = owner.chars().map(|c| c.to_ascii_uppercase());
        let mut all = upper.chain('A'..='Z');
        let free = all.find(|c| c.is_ascii_alphanumeric() && !letters.iter().any(|(_, taken)| taken == c));
        letters.push((owner.clone(), free.unwrap_or('?')));
    }
    letters
}

fn letter(letters: &[(String, char)], owner: &str) -> char {
    letters.iter().find(|(known, _)| known == owner).map_or('?', |(_, letter)| *letter)
}
