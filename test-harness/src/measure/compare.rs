//! Comparing benches: what shows that the figures can be trusted.

use super::bench::Bench;
use super::rows::{PADDED, PADDING, ROWS, Row, Way};
use crate::failure::{Failure, Result};

/// Fails unless two benches are the same, number by number.
///
/// # Errors
/// The rows that differ.
pub fn same(one: &Bench, other: &Bench) -> Result<()> {
    let differs = |row: &&Row| one.figures.get(row.key) != other.figures.get(row.key);
    let wrong: Vec<String> = ROWS
        .iter()
        .filter(differs)
        .map(|row| {
            format!("{}: {:?} and {:?}", row.title, one.figures.get(row.key), other.figures.get(row.key))
        })
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::new("two runs of the bench differ").detail(wrong.join("\n")))
}

/// Fails unless the padded row, and of the rows that are measured by the clock no other, is longer by the padding.
///
/// # Errors
/// The rows that are not as they should be.
pub fn moved(plain: &Bench, padded: &Bench) -> Result<()> {
    let mut wrong = Vec::new();
    for row in ROWS.iter().filter(|row| row.way == Way::Clock) {
        let median = |bench: &Bench| bench.figures.get(row.key).map_or(0, |figure| figure.median);
        let expected = median(plain) + if row.key == PADDED { PADDING } else { 0 };
        if median(padded) != expected {
            wrong.push(format!("{}: {} instead of {expected}", row.title, median(padded)));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("{PADDING} instructions more on one path did not show as that"))
        .detail(wrong.join("\n")))
}
