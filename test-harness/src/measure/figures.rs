//! Figures, put together from what the guest said and what the plugin counted.

use std::collections::BTreeMap;

use idl::record::Record;

use super::log::{Counts, Interval, Log, What};
use super::rows::{ROWS, Row, Way, row};
use crate::failure::{Failure, Result};

/// What was measured of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// The row.
    pub row: &'static Row,
    /// The median.
    pub median: u64,
    /// The worst.
    pub worst: u64,
    /// How often it was measured.
    pub samples: u64,
    /// What each core did in the median sample; empty where the guest measured on one core.
    pub cores: Vec<Counts>,
}

/// All figures, by their keys.
pub type Figures = BTreeMap<&'static str, Figure>;

/// The figures that the guest took itself, or was told: its `@bench` records.
///
/// # Errors
/// When a record lacks something, or is of no row.
pub fn clocked<'t>(transcript: impl IntoIterator<Item = &'t String>) -> Result<Vec<Figure>> {
    records(transcript, "bench").map(|record| figure(&record).ok_or_else(|| unknown(&record))).collect()
}

fn records<'t>(
    transcript: impl IntoIterator<Item = &'t String>,
    name: &str,
) -> impl Iterator<Item = Record<'t>> {
    transcript.into_iter().filter_map(|line| Record::parse(line)).filter(move |record| record.name == name)
}

fn unknown(record: &Record<'_>) -> Failure {
    Failure::new(format!("the bench program wrote a record that means nothing: {record:?}"))
}

fn figure(record: &Record<'_>) -> Option<Figure> {
    let said = |row: &&Row| row.way == Way::Clock || row.way == Way::Memory;
    let row = row(record.get("name")?.encoded()).filter(said)?;
    let (median, worst) = (record.number("median")?, record.number("worst")?);
    Some(Figure { row, median, worst, samples: record.number("samples")?, cores: Vec::new() })
}

/// The figures that the plugin's counts give, by the guest's `@span` records. `entry` is the address of a program's
/// first instruction.
///
/// # Errors
/// When a record means nothing, or nothing was counted for one.
pub fn counted<'t>(
    transcript: impl IntoIterator<Item = &'t String>,
    log: &Log,
    entry: u64,
) -> Result<Vec<Figure>> {
    let mut rows: BTreeMap<&'static str, Vec<Vec<Counts>>> = BTreeMap::new();
    for record in records(transcript, "span") {
        let Span { row, from, to, cores } = span(&record, entry).ok_or_else(|| unknown(&record))?;
        let mut intervals = log.intervals(from, to);
        intervals.iter_mut().for_each(|interval| interval.forget_all_but(cores));
        if intervals.is_empty() {
            return Err(Failure::new(format!("nothing was counted for {}: {from:?} to {to:?}", row.title)));
        }
        add(rows.entry(row.key).or_default(), &intervals);
    }
    Ok(rows.into_iter().filter_map(|(key, samples)| summary(row(key)?, samples)).collect())
}

/// What a `@span` says.
struct Span {
    row: &'static Row,
    from: What,
    to: What,
    /// A bit for each core that counts.
    cores: u64,
}

fn span(record: &Record<'_>, entry: u64) -> Option<Span> {
    let row = row(record.get("row")?.encoded()).filter(|row| row.way == Way::Plugin)?;
    let marker = |key| record.number(key).and_then(|number| u16::try_from(number).ok()).map(What::Marker);
    let to = if record.get("to")?.is("entry") { What::Watched(entry) } else { marker("to")? };
    Some(Span { row, from: marker("from")?, to, cores: record.number("cores")? })
}

/// Adds the first interval of a span to the first sample, the second to the second, and so on.
fn add(samples: &mut Vec<Vec<Counts>>, intervals: &[Interval]) {
    if samples.is_empty() {
        *samples = intervals.iter().map(|interval| interval.counts.clone()).collect();
        return;
    }
    // A span that was seen less often than another of its row leaves samples that are no samples.
    samples.truncate(intervals.len());
    for (sample, interval) in samples.iter_mut().zip(intervals) {
        for (core, counts) in sample.iter_mut().zip(&interval.counts) {
            core.instructions += counts.instructions;
            core.waits += counts.waits;
            core.apart += counts.apart;
        }
    }
}

/// The figure of what there is one of.
///
/// # Errors
/// When there is no such row.
pub fn single(key: &str, value: u64) -> Result<Figure> {
    let row = row(key).ok_or_else(|| Failure::new(format!("there is no row {key}")))?;
    Ok(Figure { row, median: value, worst: value, samples: 1, cores: Vec::new() })
}

/// The work of all cores together.
#[must_use]
pub fn work(cores: &[Counts]) -> u64 {
    cores.iter().map(|counts| counts.work()).sum()
}

/// Median and worst of a row's samples, each by the work of all cores together.
#[must_use]
pub fn summary(row: &'static Row, mut samples: Vec<Vec<Counts>>) -> Option<Figure> {
    samples.sort_by_key(|cores| work(cores));
    let worst = work(samples.last()?);
    let count = samples.len();
    let cores = samples.swap_remove(count / 2);
    Some(Figure { row, median: work(&cores), worst, samples: count as u64, cores })
}

/// Puts figures together; every row must be there once.
///
/// # Errors
/// When one is missing, or measured twice.
pub fn complete(figures: impl IntoIterator<Item = Figure>) -> Result<Figures> {
    let mut all = Figures::new();
    for figure in figures {
        if let Some(twice) = all.insert(figure.row.key, figure) {
            return Err(Failure::new(format!("{} was measured twice", twice.row.title)));
        }
    }
    match ROWS.iter().find(|row| !all.contains_key(row.key)) {
        Some(missing) => Err(Failure::new(format!("{} was not measured", missing.title))),
        None => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_become_figures() {
        let transcript =
            ["hello", "@bench name=null-call median=79 worst=300 samples=200"].map(str::to_owned);
        let figures = clocked(&transcript).expect("they are well formed");
        assert_eq!(
            figures.iter().map(|f| (f.row.key, f.median, f.worst)).collect::<Vec<_>>(),
            [("null-call", 79, 300)]
        );
        assert!(clocked(&["@bench name=nothing median=1 worst=1 samples=1".to_owned()]).is_err());
        assert!(clocked(&["@bench name=null-call median=1".to_owned()]).is_err());
    }

    #[test]
    fn spans_of_one_row_add_up_core_by_core() {
        let log = Log::parse(
            "cores 2\n\
             point 1 core 0 instructions 0,0 waits 0,0 apart 0,0\n\
             point 2 core 0 instructions 100,5 waits 0,5 apart 0,0\n\
             point 3 core 0 instructions 200,5 waits 0,5 apart 0,0\n\
             watch 0x200000 core 1 instructions 230,60 waits 30,5 apart 0,7\n\
             end\n",
        );
        let transcript =
            ["@span row=subos-create from=1 cores=3 to=2", "@span row=subos-create from=3 cores=3 to=entry"]
                .map(str::to_owned);
        let figures = counted(&transcript, &log.expect("it is well formed"), 0x20_0000).expect("it adds up");
        let [figure] = figures.as_slice() else { panic!("one figure: {figures:?}") };
        assert_eq!(
            figure.cores,
            [
                Counts { instructions: 130, waits: 30, apart: 0 },
                Counts { instructions: 60, waits: 5, apart: 7 },
            ]
        );
        assert_eq!((figure.median, figure.worst, figure.samples), (100 + 48, 148, 1));
    }

    #[test]
    fn a_core_that_is_not_to_count_does_not() {
        let log = Log::parse(
            "cores 2\n\
             point 1 core 0 instructions 0,0 waits 0,0 apart 0,0\n\
             point 2 core 0 instructions 100,5 waits 0,5 apart 0,0\n\
             end\n",
        );
        let log = log.expect("it is well formed");
        for (cores, expected) in [(1, 100), (2, 0), (3, 100), (u64::MAX, 100)] {
            let transcript = [format!("@span row=core-move from=1 cores={cores} to=2")];
            let figures = counted(&transcript, &log, 0).expect("it adds up");
            assert_eq!(figures.first().map(|figure| figure.median), Some(expected), "{cores}");
        }
    }

    #[test]
    fn a_row_that_is_missing_is_missed() {
        let failure = complete([]).expect_err("nothing was measured");
        assert_eq!(failure.what(), "null system call was not measured");
    }
}
