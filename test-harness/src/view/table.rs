//! The summary: what each subOS did on each core.

use std::fmt::Write;

use crate::story::{Stat, Story, Timeline};

/// The widest a table may be, in characters.
const WIDEST: usize = 108;
/// What is counted in ticks, and shown in seconds.
const TIMES: [&str; 4] = ["idle", "busy", "owned", "kernel"];

/// One thing that was counted, for every row that has it.
struct Column {
    name: String,
    cells: Vec<String>,
}

/// What each subOS did on each core, as one table or several below each other: a row for each subOS and core, a column
/// for each thing counted. What a subOS does not count is left empty; a zero is a zero.
#[must_use]
pub fn summary(stats: &[Stat], timeline: &Timeline) -> String {
    let mut columns: Vec<Column> = Vec::new();
    for (row, stat) in stats.iter().enumerate() {
        for (name, count) in &stat.counts {
            let name = name.replace('_', " ");
            let index = columns.iter().position(|column| column.name == name).unwrap_or_else(|| {
                columns.push(Column { name: name.clone(), cells: vec![String::new(); stats.len()] });
                columns.len() - 1
            });
            columns[index].cells[row] = shown(&name, *count, timeline);
        }
    }
    // What nobody ever did needs no column.
    columns.retain(|column| column.cells.iter().any(|cell| !cell.is_empty() && cell != "0"));
    let mut tables = Vec::new();
    let mut rest = columns.as_slice();
    while !rest.is_empty() {
        let fitting =
            (1..=rest.len()).take_while(|count| *count == 1 || width(stats, &rest[..*count]) <= WIDEST);
        let (now, later) = rest.split_at(fitting.last().unwrap_or(1));
        tables.push(aligned(&rows(stats, now)));
        rest = later;
    }
    tables.join("\n")
}

fn rows(stats: &[Stat], columns: &[Column]) -> Vec<Vec<String>> {
    let mut rows = vec![vec!["subOS".to_owned(), "core".to_owned()]];
    rows[0].extend(columns.iter().map(|column| column.name.clone()));
    for (index, stat) in stats.iter().enumerate() {
        if columns.iter().any(|column| !column.cells[index].is_empty()) {
            let mut row = vec![stat.subos.clone(), stat.core.to_string()];
            row.extend(columns.iter().map(|column| column.cells[index].clone()));
            rows.push(row);
        }
    }
    rows
}

fn width(stats: &[Stat], columns: &[Column]) -> usize {
    aligned(&rows(stats, columns)).lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

fn shown(name: &str, count: u64, timeline: &Timeline) -> String {
    match timeline.seconds(count).filter(|_| TIMES.contains(&name)) {
        Some(seconds) => format!("{seconds:.2} s"),
        None => grouped(count),
    }
}

/// The most that is shown of a step's words, in characters.
const WORDS: usize = 64;

/// How long each step took, and the longest time meanwhile between two calls of each subOS that measures it. Empty if none
/// does.
#[must_use]
pub fn silences(story: &Story, steps: &[String]) -> String {
    let measured = || story.beats.iter().filter(|beat| beat.longest.is_some());
    let mut suboses: Vec<&str> = measured().map(|beat| beat.subos.as_str()).collect();
    suboses.sort_unstable();
    suboses.dedup();
    if suboses.is_empty() {
        return String::new();
    }
    let time = |ticks: Option<u64>| {
        let seconds = ticks.and_then(|ticks| story.timeline.seconds(ticks));
        seconds.map_or_else(String::new, |seconds| format!("{:.2} ms", seconds * 1000.0))
    };
    let mut rows = vec![vec!["step".to_owned(), "took".to_owned()]];
    rows[0].extend(suboses.iter().map(|subos| (*subos).to_owned()));
    for (number, words) in (0u64..).zip(steps) {
        let longest = |subos: &str| {
            let beat = measured().find(|beat| (beat.step, beat.subos.as_str()) == (number, subos));
            beat.and_then(|beat| beat.longest)
        };
        if suboses.iter().any(|subos| longest(subos).is_some()) {
            let mut row =
                vec![format!("{}. {}", number + 1, shortened(words)), time(story.took.get(&number).copied())];
            row.extend(suboses.iter().map(|subos| time(longest(subos))));
            rows.push(row);
        }
    }
    aligned(&rows)
}

fn shortened(words: &str) -> String {
    if words.chars().count() <= WORDS {
        return words.to_owned();
    }
    words.chars().take(WORDS - 1).chain(['…']).collect()
}

/// Rows as text: the first column to the left, the others to the right, a rule under the first row.
#[must_use]
pub fn aligned(rows: &[Vec<String>]) -> String {
    set(
        rows,
        |column, cell, width| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        },
    )
}

/// The same with all columns to the left, for cells that are words.
#[must_use]
pub fn listed(rows: &[Vec<String>]) -> String {
    set(rows, |_, cell, width| format!("{cell:<width$}"))
}

fn set(rows: &[Vec<String>], pad: impl Fn(usize, &str, usize) -> String) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
    let widths: Vec<usize> =
        (0..columns).map(|column| rows.iter().map(|row| cell(row, column)).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| pad(column, cell, *width))
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {}", cells.join("  ").trim_end());
        if index == 0 {
            let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            let _ = writeln!(text, "  {}", rule.join("  "));
        }
    }
    text
}

/// A number with its digits in groups of three.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or("")).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(subos: &str, counts: &[(&str, u64)]) -> Stat {
        let counts = counts.iter().map(|(name, count)| ((*name).into(), *count)).collect();
        Stat { subos: subos.into(), core: 1, counts }
    }

    #[test]
    fn the_summary_has_a_column_for_each_count() {
        let stats =
            [stat("a", &[("calls", 1234), ("moves", 1), ("faults", 0)]), stat("batch", &[("moves", 0)])];
        let text = summary(&stats, &Timeline::default());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "  subOS  core  calls  moves");
        assert_eq!(lines[2], "  a         1  1,234      1");
        assert_eq!(lines[3], "  batch     1             0");
    }

    #[test]
    fn a_summary_that_is_too_wide_goes_on_below() {
        let names: Vec<String> = (0..30).map(|number| format!("count-{number}")).collect();
        let counts: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 7)).collect();
        let text = summary(&[stat("a", &counts)], &Timeline::default());
        assert!(text.lines().all(|line| line.chars().count() <= WIDEST), "{text}");
        assert!(text.matches("subOS").count() >= 3, "{text}");
        assert!(names.iter().all(|name| text.contains(name)), "{text}");
    }

    #[test]
    fn silences_are_shown_by_step_and_by_who_measures_them() {
        let mut story = Story::default();
        for line in [
            "@boot t=0 hz=1000000 cores=1 memory=1",
            "@step t=1000 n=0 result=begin",
            "@beat t=9000 subos=batch n=0 before=1 after=2 during=1 holds=1 longest=0",
            "@beat t=9000 subos=echo n=0 before=1 after=2 during=1 holds=1 longest=1250",
            "@step t=11000 n=0 result=ok",
            "@step t=12000 n=1 result=begin",
        ] {
            story.tell(line);
        }
        let text = silences(&story, &["x".repeat(100), "kill echo".into()]);
        let lines: Vec<&str> = text.lines().collect();
        let row = format!("  1. {}…  10.00 ms  1.25 ms", "x".repeat(WORDS - 1));
        assert!(lines.len() == 3 && lines[0].trim_end().ends_with("echo") && lines[2] == row, "{text}");
        assert_eq!(silences(&Story::default(), &[]), "");
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 12, 999, 1000, 1_234_567].map(grouped), ["0", "12", "999", "1,000", "1,234,567"]);
    }
}
