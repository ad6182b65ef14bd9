//! The figures as a table for people and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::bench::Bench;
use super::figures::Figure;
use super::rows::{Judged, ROWS};
use crate::view::grouped;

/// The table, with the cores' shares below rows that several cores had a part in.
#[must_use]
pub fn table(bench: &Bench) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{:<56} {:>9} {:>9} {:>9}", "guest instructions", "median", "worst", "goal");
    let mut counting = true;
    for row in ROWS {
        if counting && !row.way.counts_instructions() {
            counting = false;
            let _ = writeln!(text, "\nnot instructions");
        }
        let Some(figure) = bench.figures.get(row.key) else { continue };
        let goal = row.goal.map_or_else(String::new, grouped);
        let judged = match row.judged {
            Judged::Median => figure.median,
            Judged::Worst => figure.worst,
        };
        let missed = if row.goal.is_some_and(|goal| judged > goal) { "  over" } else { "" };
        let (median, worst) = (grouped(figure.median), grouped(figure.worst));
        let _ = writeln!(text, "{:<56} {median:>9} {worst:>9} {goal:>9}{missed}", row.title);
        for (core, counts) in figure.cores.iter().enumerate().filter(|(_, counts)| counts.instructions > 0) {
            let mut apart = String::new();
            for (what, count) in [("copying and clearing", counts.apart), ("waiting", counts.waits)] {
                if count > 0 {
                    let _ = write!(apart, ", {what} {}", grouped(count));
                }
            }
            let _ = writeln!(text, "    core {core}: {}{apart}", grouped(counts.work()));
        }
    }
    text
}

/// The same for programs.
#[must_use]
pub fn json(bench: &Bench, commit: &str) -> String {
    let rows: Vec<Value> = ROWS.iter().filter_map(|row| bench.figures.get(row.key)).map(value).collect();
    let document = json!({
        "unit": "guest instructions, unless a row says otherwise",
        "commit": commit,
        "qemu": bench.qemu,
        "flags": bench.flags.join(" "),
        "rows": rows,
    });
    format!("{document:#}\n")
}

fn value(figure: &Figure) -> Value {
    let cores: Vec<Value> = figure
        .cores
        .iter()
        .map(|core| json!({ "work": core.work(), "waiting": core.waits, "copying and clearing": core.apart }))
        .collect();
    json!({
        "operation": figure.row.key,
        "title": figure.row.title,
        "median": figure.median,
        "worst": figure.worst,
        "goal": figure.row.goal,
        "samples": figure.samples,
        "cores": cores,
    })
}

#[cfg(test)]
mod tests {
    use super::super::log::Counts;
    use super::*;

    fn bench() -> Bench {
        let figure = |key, median, worst, cores| {
            let row = super::super::rows::row(key).expect("there is such a row");
            (row.key, Figure { row, median, worst, samples: 3, cores })
        };
        let cores = vec![Counts { instructions: 1_500, waits: 100, apart: 200 }, Counts::default()];
        let figures = [figure("null-call", 81, 90, Vec::new()), figure("core-move", 1_200, 12_345, cores)];
        Bench {
            qemu: "QEMU".to_owned(),
            figures: figures.into_iter().collect(),
            flags: vec!["-icount".to_owned(), "shift=0".to_owned()],
        }
    }

    #[test]
    fn the_table_says_what_each_core_did_and_what_is_over_its_goal() {
        let table = table(&bench());
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines.get(1), Some(&vec!["null", "system", "call", "81", "90", "80", "over"]));
        assert!(table.contains("1,200    12,345    10,000  over\n"), "{table}");
        assert!(table.contains("    core 0: 1,200, copying and clearing 200, waiting 100\n"), "{table}");
        assert!(!table.contains("core 1"), "{table}");
    }

    #[test]
    fn the_document_can_be_read_back() {
        let document: Value = serde_json::from_str(&json(&bench(), "abc")).expect("it is JSON");
        assert_eq!(document["commit"], "abc");
        assert_eq!(document["flags"], "-icount shift=0");
        assert_eq!(document["rows"][0]["operation"], "null-call");
        assert_eq!(document["rows"][1]["cores"][0]["waiting"], 100);
        assert_eq!(document["rows"][0]["goal"], 80);
    }
}
