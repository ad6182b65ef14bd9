//! What depends on how many other subOSes there are. Nothing should; what does is listed here, with how much.

use idl::record::Record;

use super::bench::{Following, Subject};
use super::figures::{self, Figure};
use super::log::What;
use super::rows::{Row, SCALE_ROWS};
use crate::failure::{Failure, Result};
use crate::image::Class;
use crate::tools::Install;
use crate::view::{aligned, grouped};

/// Cores of the machine: each of thirty-two subOSes has one, one comes and goes, and one is left.
const CORES: u32 = 34;
/// The markers before and after what is done in one crowd.
const BEGIN: What = What::Marker(20);
const END: What = What::Marker(21);
/// By how many instructions an operation may become longer with each other subOS, where the ledger is searched: for a
/// lot among all lots, or for free chunks among those that others have. What is not listed may not grow at all.
const GROWTH: &[(&str, u64)] = &[
    ("scale-ledger", 15),
    ("scale-give-core", 20),
    ("scale-take-core", 40),
    ("scale-grant-lot", 100),
    ("scale-take-lot", 80),
    ("scale-create", 140),
    ("scale-load", 120),
    ("scale-destroy", 90),
];
/// The supervisor's core, and those of the subOS that things are done to. All others are the neighbours'.
const CONCERNED: usize = 3;

/// What everything costs in one crowd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// How many subOSes there are.
    pub suboses: u64,
    /// The figures.
    pub figures: Vec<Figure>,
}

/// Measures the same operations while there are more and more other subOSes.
///
/// # Errors
/// When something does not build, the run ends badly, or a row is missing.
pub fn measure(install: Install, class: Class) -> Result<Vec<Crowd>> {
    let subject = Subject::build(install, class)?;
    let run = subject.run("crowd", CORES, Following::Nothing)?;
    let records = run.transcript.iter().filter_map(|line| Record::parse(line));
    let crowds: Vec<u64> = records
        .filter(|record| record.name == "crowd")
        .filter_map(|record| record.number("suboses"))
        .collect();
    let pieces = run.log.pieces(BEGIN, END);
    if crowds.is_empty() || crowds.len() != pieces.len() {
        return Err(Failure::new(format!("{} crowds were told of, and {} seen", crowds.len(), pieces.len())));
    }
    let measured = crowds.into_iter().zip(pieces).map(|(suboses, piece)| {
        let figures = figures::counted(&run.transcript, &piece, subject.entry)?;
        match SCALE_ROWS.iter().find(|row| figures.iter().all(|figure| figure.row != *row)) {
            Some(missing) => Err(Failure::new(format!("{} was not measured", missing.title))),
            None => Ok(Crowd { suboses, figures }),
        }
    });
    measured.collect()
}

impl Crowd {
    /// The median of a row.
    fn median(&self, row: &Row) -> Option<u64> {
        self.figures.iter().find(|figure| figure.row == row).map(|figure| figure.median)
    }
}

/// By how many instructions a row becomes longer with each other subOS, rounded up; `None` if it becomes shorter.
fn growth(crowds: &[Crowd], row: &Row) -> Option<u64> {
    let (first, last) = (crowds.first()?, crowds.last()?);
    let more = last.median(row)?.checked_sub(first.median(row)?)?;
    Some(more.div_ceil(last.suboses.saturating_sub(first.suboses).max(1)))
}

/// A column for each crowd, and what each other subOS adds.
#[must_use]
pub fn table(crowds: &[Crowd]) -> String {
    let mut head = vec!["guest instructions, all cores together, median".to_owned()];
    head.extend(crowds.iter().map(|crowd| format!("{} subOSes", crowd.suboses)));
    head.push("each more".to_owned());
    let mut rows = vec![head];
    for row in SCALE_ROWS {
        let cells = crowds.iter().map(|crowd| crowd.median(row).map_or(String::new(), grouped));
        let each = growth(crowds, row).map_or("less".to_owned(), |each| format!("+{each}"));
        rows.push([row.title.to_owned()].into_iter().chain(cells).chain([each]).collect());
    }
    aligned(&rows)
}

/// Fails where an operation depends on the others more than it is known to, or a core of a neighbour executes anything
/// for it.
///
/// # Errors
/// The operations, with what they cost where.
pub fn check(crowds: &[Crowd]) -> Result<()> {
    let mut wrong = Vec::new();
    let measured = |row: &&Row| crowds.iter().any(|crowd| crowd.median(row).is_some());
    for row in SCALE_ROWS.iter().filter(measured) {
        let known = GROWTH.iter().find(|(key, _)| *key == row.key).map_or(0, |(_, growth)| *growth);
        match growth(crowds, row) {
            Some(growth) if growth <= known => {}
            Some(growth) => wrong.push(format!("{}: {growth} more with each, not {known}", row.title)),
            None => wrong.push(format!("{}: less with more of them", row.title)),
        }
        for (crowd, figure) in crowds.iter().flat_map(|crowd| crowd.figures.iter().map(move |f| (crowd, f))) {
            let cores = figure.cores.iter().enumerate().skip(CONCERNED).filter(|_| figure.row == row);
            wrong.extend(cores.filter(|(_, counts)| counts.instructions > 0).map(|(core, counts)| {
                let (count, suboses) = (grouped(counts.instructions), crowd.suboses);
                format!("{}: with {suboses} subOSes core {core}, a neighbour's, executes {count}", row.title)
            }));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::new("what an operation costs depends on the other subOSes").detail(wrong.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::super::log::Counts;
    use super::*;

    fn crowds(least: u64, most: u64) -> Vec<Crowd> {
        let figure = |median| {
            let row = &SCALE_ROWS[0];
            Figure { row, median, worst: median, samples: 1, cores: vec![Counts::default(); 4] }
        };
        [(2, least), (32, most)]
            .map(|(suboses, median)| Crowd { suboses, figures: vec![figure(median)] })
            .into()
    }

    #[test]
    fn what_grows_by_a_single_instruction_is_told() {
        assert_eq!(check(&crowds(500, 500)), Ok(()));
        let failure = check(&crowds(500, 501)).expect_err("it grows");
        assert!(failure.to_string().contains("null system call of the supervisor: 1 more with each, not 0"));
        assert!(check(&crowds(501, 500)).is_err());
    }

    #[test]
    fn a_neighbour_that_executes_anything_is_told() {
        let mut crowds = crowds(500, 500);
        crowds[1].figures[0].cores[3].instructions = 7;
        let failure = check(&crowds).expect_err("it works for others");
        assert!(failure.to_string().contains("with 32 subOSes core 3, a neighbour's, executes 7"));
    }
}
