//! What `docs/assurance.md` claims, and what the runs of target cases add to it.

use std::collections::BTreeSet;
use std::fs;

use caps_spec::record::{Method, Record, grouped, records, tables, unreached};
use idl::record::Record as Line;

use super::Tally;
use crate::cases::Case;
use crate::failure::{Doing, Failure, Result};
use crate::machine::{Exit, Outcome};
use crate::place;
use crate::say::say;

/// What the page begins with.
const HEAD: &str = "# Assurance

What was checked, how, and how far. Made by the tests that ran, from what each wrote down, and held by tests to what they
reach on every run; see [invariants.md](invariants.md) for what each property says and which function checks it.

- **exhausted**: every reachable state of a small world, and every operation in each
- **inductive**: every well-formed state up to a size, reachable or not, and every operation in each
- **two runs**: pairs of runs, or of states that look alike to somebody, compared
- **random**: random operations, all checks after each, failures shrunk
- **interleaved**: every order in which cores can take the steps of a protocol of the kernel's, and every value that the
  memory model lets them read, with three turns of each waiting loop; where it says so, with few preemptions
- **fuzzed**: arbitrary bytes
- **replayed**: all that real kernels did to capabilities and to the ledger, by the journal that they kept, held against the
  specification record by record
- **audited**: every entry of every page table, every core, doorbell and interrupt route, compared by the real kernel with
  the ledger and with its capabilities
- **chosen cases**: programs on the real kernel, by hand

A property is named with what was gone through only if there was something there that it is about. Nothing here is proved.
What is assumed is checked by nothing that these tables count.

";

/// Holds the page to what was reached by the methods that count here, or writes it anew if the environment asks for that.
///
/// # Errors
/// What it claims and was not reached.
pub fn hold(temporary: &str, counts: impl Fn(Method) -> bool) -> Result<()> {
    let place = place::root().join("docs/assurance.md");
    let records = records(temporary);
    let page = fs::read_to_string(&place).doing(|| format!("cannot read {}", place.display()))?;
    if std::env::var_os("UPDATE_ASSURANCE").is_some() {
        if let Some(method) = unrecorded(&page, &records) {
            return Err(Failure::new(format!(
                "nothing {} is recorded of these sources, and the page has it",
                method.name()
            ))
            .next("run all of cargo test, and then this again"));
        }
        let page = format!("{HEAD}{}", tables(&records));
        return fs::write(&place, page).doing(|| format!("cannot write {}", place.display()));
    }
    let recorded = |method: Method| records.iter().any(|record| record.method == method);
    for method in Method::all().filter(|method| counts(*method) && !recorded(*method)) {
        say(format!(
            "nothing {} is recorded of these sources: all of cargo test does that first",
            method.name()
        ));
    }
    if !page.starts_with(HEAD) {
        return Err(Failure::new("docs/assurance.md does not begin as it should: UPDATE_ASSURANCE=1"));
    }
    let missing = unreached(&page, &records, |method| counts(method) && recorded(method));
    let properties: BTreeSet<&str> =
        page.lines().filter(|line| line.starts_with("| **I")).map(|line| &line[..8]).collect();
    if missing.is_empty() && properties.len() == 27 {
        return Ok(());
    }
    let what = "docs/assurance.md claims what the tests of these sources did not reach";
    Err(Failure::new(what).detail(missing.join("\n")).next(
        "run all of cargo test; if the claim is to go, then UPDATE_ASSURANCE=1 cargo test -p test-harness --test assurance",
    ))
}

/// A method of which the page tells, and no record does: then something did not run that has to, before the page is written.
fn unrecorded(page: &str, records: &[Record]) -> Option<Method> {
    let told = |method: &Method| page.contains(&format!(" | {} | ", method.name()));
    let used = |method: &Method| records.iter().any(|record| record.method == *method);
    Method::all().find(|method| told(method) && !used(method))
}

/// What the properties are that the comparison of a journal with the specification is about.
const REPLAYED: &[u8] = &[2, 4, 5, 11, 12, 15, 23, 25];
/// Those that the audit is about.
const AUDITED: &[u8] = &[11, 20, 21];
/// What runs reach at least; how many it is each time depends on how cores race.
const OPERATIONS: u64 = 300_000;
const OF_LEDGERS: u64 = 20_000;
const AUDITS: u64 = 100;
const ENTRIES: u64 = 200_000;

/// Cases that are about a property of the running system: by the beginning of their names.
const CHOSEN: &[(&str, &[&str], &[u8])] = &[
    ("handles of the caller's own table", &["errors::of_lookup", "errors::of_tables"], &[9]),
    ("replies that are used and deleted and revoked", &["errors::of_replies"], &[10]),
    ("attacks on what lies behind the walls", &["walls::", "protections::"], &[14]),
    (
        "what cores still hold while it goes",
        &[
            "cores::mappings_go",
            "cores::objects_go",
            "cores::guests_go",
            "cores::spaces_are",
            "walls::a_lot_waits",
        ],
        &[21],
    ),
    (
        "memory and registers that change hands",
        &[
            "objects::memory_comes_back",
            "suboses::a_lot_moves",
            "catastrophes::vector_registers_leak",
            "guests::vector_registers_cross",
        ],
        &[22],
    ),
];

/// What target cases have reached on a kernel that keeps the journal.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    cases: u64,
    tally: Tally,
    audits: u64,
    entries: u64,
    /// The cases that ended well.
    well: BTreeSet<&'static str>,
}

impl Reached {
    /// Adds a case that was played, and what its journal had.
    pub fn add(&mut self, case: &Case, outcome: &Outcome, tally: &Tally) {
        self.cases += 1;
        self.tally.add(tally);
        let lines = outcome.transcript.iter().filter_map(|line| Line::parse(line));
        for audit in
            lines.filter(|line| line.name == "audit" && line.get("result").is_some_and(|it| it.is("ok")))
        {
            self.audits += 1;
            self.entries += audit.number("entries").unwrap_or(0);
        }
        if outcome.exit == Exit::Success {
            self.well.insert(case.name);
        }
    }

    /// Writes down what was reached, after all cases.
    ///
    /// # Errors
    /// When it is less than it always is.
    pub fn write(&self, temporary: &str) -> Result<()> {
        let Tally { operations, ledger, .. } = self.tally;
        let (audits, entries, well) = (self.audits, self.entries, self.well.len());
        let told = format!(
            "{well} cases of {} ended well; {:?}; {audits} audits of {entries} entries",
            self.cases, self.tally
        );
        say(&told);
        if operations < OPERATIONS || ledger < OF_LEDGERS || audits < AUDITS || entries < ENTRIES {
            return Err(Failure::new("the target cases did less than they always do").detail(told));
        }
        let number = |number: u64| grouped(usize::try_from(number).unwrap_or(usize::MAX));
        let scope = format!(
            "{} cases, over {} operations on forests and {} on ledgers",
            self.cases,
            number(OPERATIONS),
            number(OF_LEDGERS)
        );
        Record::new(Method::Replayed, "target cases", &scope, REPLAYED).write(temporary);
        let scope = format!("over {} audits of over {} entries", number(AUDITS), number(ENTRIES));
        Record::new(Method::Audited, "machines in target cases", &scope, AUDITED).write(temporary);
        for (name, cases, properties) in CHOSEN {
            let of = |case: &&&str| cases.iter().any(|beginning| case.starts_with(beginning));
            let scope = format!("{} cases", self.well.iter().filter(of).count());
            Record::new(Method::Chosen, name, &scope, properties).write(temporary);
        }
        Ok(())
    }
}

/// Writes down what games of players have reached, and how many kernels that do something wrong were found.
pub fn write_games(temporary: &str, games: &str, mutants: usize) {
    let scope = format!("{games}, {mutants} kernels that do something wrong found");
    Record::new(Method::Replayed, "random system calls on several cores", &scope, REPLAYED).write(temporary);
}
