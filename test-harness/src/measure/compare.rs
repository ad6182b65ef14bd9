//! Comparing benches: what shows that the figures can be trusted.

use super::bench::Bench;
use super::rows::{PADDING, ROWS, Row};
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

/// Fails unless every row is longer by the padding, as often as it passes a padded path, and no other row by anything.
///
/// # Errors
/// The rows that are not as they should be.
pub fn moved(plain: &Bench, padded: &Bench) -> Result<()> {
    let mut wrong = Vec::new();
    for (row, passes) in steady() {
        let median = |bench: &Bench| bench.figures.get(row.key).map(|figure| figure.median);
        let expected = median(plain).map(|median| median + passes * PADDING);
        if expected.is_none() || median(padded) != expected {
            wrong.push(format!("{}: {:?} instead of {expected:?}", row.title, median(padded)));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("{PADDING} instructions more on a path did not show as that"))
        .detail(wrong.join("\n")))
}

/// The rows of which is known how often they pass a padded path.
fn steady() -> impl Iterator<Item = (&'static Row, u64)> {
    let counted = ROWS.iter().filter(|row| row.way.counts_instructions());
    counted.filter_map(|row| Some((row, row.passes?)))
}

#[cfg(test)]
mod tests {
    use super::super::figures::Figure;
    use super::*;

    /// A bench whose rows take what this says.
    fn bench(median: impl Fn(&Row) -> u64) -> Bench {
        let figure = |row: &'static Row| {
            let median = median(row);
            (row.key, Figure { row, median, worst: median, samples: 1, cores: Vec::new() })
        };
        Bench { figures: ROWS.iter().map(figure).collect(), qemu: String::new(), flags: Vec::new() }
    }

    #[test]
    fn a_row_that_moves_by_more_or_less_than_its_paths_is_told() {
        let plain = bench(|_| 1000);
        assert_eq!(moved(&plain, &bench(|row| 1000 + row.passes.unwrap_or(0) * PADDING)), Ok(()));
        for (wrong, _) in steady() {
            for by in [-100_i64, -1, 1, 100] {
                let padded = bench(|row| {
                    let right = 1000 + row.passes.unwrap_or(0) * PADDING;
                    if row == wrong { right.saturating_add_signed(by) } else { right }
                });
                let failure = moved(&plain, &padded).expect_err(wrong.key).to_string();
                assert!(failure.contains(wrong.title), "{}: {failure}", wrong.key);
            }
        }
        let mut short = bench(|row| 1000 + row.passes.unwrap_or(0) * PADDING);
        short.figures.remove("signal");
        assert!(moved(&plain, &short).is_err(), "a row that was not measured did not move as it should");
    }
}
