//! The summary: what each subOS did on each core.

use std::fmt::Write;

use crate::story::Stat;

/// The table as text, a row for each subOS and core, a column for each thing counted. Counts that a subOS does not
/// have are left empty; a zero is a zero.
#[must_use]
pub fn summary(stats: &[Stat]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in stats.iter().flat_map(|stat| &stat.counts) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let shown = |name: &str| name.trim_end_matches("_opt").replace('_', " ");
    let mut rows = vec![vec!["subOS".to_owned(), "core".to_owned()]];
    rows[0].extend(names.iter().map(|name| shown(name)));
    for stat in stats {
        let mut row = vec![stat.subos.clone(), stat.core.to_string()];
        row.extend(names.iter().map(|name| {
            let count = stat.counts.iter().find(|(known, _)| known == name);
            count.map(|(_, count)| grouped(*count)).unwrap_or_default()
        }));
        rows.push(row);
    }
    aligned(&rows)
}

/// Rows as text: the first column to the left, the others to the right, a rule under the first row.
#[must_use]
pub fn aligned(rows: &[Vec<String>]) -> String {
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
            .map(
                |(column, (cell, width))| {
                    if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                },
            )
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

    #[test]
    fn the_summary_has_a_column_for_each_count() {
        let stat = |subos: &str, counts: &[(&str, u64)]| Stat {
            subos: subos.into(),
            core: 1,
            counts: counts.iter().map(|(name, count)| ((*name).into(), *count)).collect(),
        };
        let text = summary(&[stat("a", &[("calls", 1234)]), stat("batch", &[("moves_opt", 0)])]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "  subOS  core  calls  moves");
        assert_eq!(lines[2], "  a         1  1,234");
        assert_eq!(lines[3], "  batch     1             0");
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 12, 999, 1000, 1_234_567].map(grouped), ["0", "12", "999", "1,000", "1,234,567"]);
    }
}
