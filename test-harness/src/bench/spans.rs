//! Figures that span cores: what each of them executed between two markers.

use super::Row;
use crate::failure::{Doing, Failure, Result};
use crate::measure::log::{Log, What};

/// What was executed between two points.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    /// By all cores that count.
    total: u64,
    /// By each of them.
    each: Vec<(usize, u64)>,
    /// How many of it were PAUSE.
    pauses: u64,
}

/// From each marker `begin` to the next marker `end`: the instructions of these cores, added up, in the median and at
/// worst.
pub(super) fn row(log: &Log, name: &str, begin: u64, end: u64, cores: &[usize]) -> Result<Row> {
    let marker = |number: u64| u16::try_from(number).map(What::Marker).doing(|| format!("marker {number}"));
    let mut spans: Vec<Span> = Vec::new();
    for interval in log.intervals(marker(begin)?, marker(end)?) {
        let of = |counts: &[u64], core: usize| counts.get(core).copied().unwrap_or(0);
        let each: Vec<(usize, u64)> =
            cores.iter().map(|core| (*core, of(&interval.instructions, *core))).collect();
        let pauses = cores.iter().map(|core| of(&interval.pauses, *core)).sum();
        spans.push(Span { total: each.iter().map(|(_, count)| count).sum(), each, pauses });
    }
    spans.sort();
    let (Some(median), Some(worst)) = (spans.get(spans.len() / 2), spans.last()) else {
        return Err(Failure::new(format!("{name}: no marker {begin} is followed by a marker {end}")));
    };
    let pauses = spans.iter().map(|span| span.pauses).max().unwrap_or(0);
    let cores = median.each.clone();
    Ok(Row { name: name.to_owned(), median: median.total, worst: worst.total, cores, pauses })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "cores 2\n\
        point 1 core 0 instructions 10,5 pauses 0,0\n\
        point 2 core 1 instructions 20,10 pauses 0,1\n\
        point 1 core 0 instructions 30,10 pauses 0,1\n\
        point 2 core 1 instructions 33,12 pauses 0,1\n\
        point 1 core 0 instructions 40,20 pauses 0,1\n\
        point 2 core 1 instructions 43,22 pauses 2,1\n\
        end\n";

    #[test]
    fn spans_add_the_cores_that_count() {
        let log = Log::parse(LOG).expect("it is whole");
        let both = row(&log, "move", 1, 2, &[0, 1]).expect("there are spans");
        assert_eq!((both.median, both.worst, both.pauses), (5, 15, 2));
        assert_eq!(both.cores, [(0, 3), (1, 2)]);
        assert_eq!(row(&log, "move", 1, 2, &[1]).expect("there are spans").median, 2);
        assert!(row(&log, "move", 2, 9, &[0]).is_err());
    }
}
