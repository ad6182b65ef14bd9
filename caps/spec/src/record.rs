//! What a test reached, written down by the test itself: `docs/assurance.md` is made of nothing else.
//!
//! A record is a file in `assurance` below the folder that cargo keeps for tests. It says which sources it is about, so
//! that what was reached with others does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use caps::Kind;

use crate::invariant::properties::PROPERTIES;
use crate::invariant::{STATES, TRANSITIONS};

/// How something was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Every reachable state of a small world, and every operation in each.
    Exhausted,
    /// Every well-formed state up to some size, reachable or not, and every operation in each.
    Inductive,
    /// Two runs, or two states that look alike, compared.
    TwoRuns,
    /// Random operations, a failure shrunk.
    Random,
    /// Every order in which cores can take the steps of a protocol, and every value that they can read.
    Interleaved,
    /// Arbitrary bytes.
    Fuzzed,
    /// What the real kernel did, by its journal, held against the specification.
    Replayed,
    /// What the hardware can reach, looked at by the real kernel.
    Audited,
    /// Cases that somebody chose, on the real kernel.
    Chosen,
}

impl Method {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Exhausted, "exhausted"),
        (Self::Inductive, "inductive"),
        (Self::TwoRuns, "two runs"),
        (Self::Random, "random"),
        (Self::Interleaved, "interleaved"),
        (Self::Fuzzed, "fuzzed"),
        (Self::Replayed, "replayed"),
        (Self::Audited, "audited"),
        (Self::Chosen, "chosen cases"),
    ];

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.iter().map(|(method, _)| *method)
    }

    /// Its name in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(method, _)| *method == self).map_or("", |(_, name)| name)
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(method, _)| *method)
    }

    /// Whether it is about the kernel as it runs on the machine.
    #[must_use]
    pub fn is_on_the_target(self) -> bool {
        matches!(self, Self::Replayed | Self::Audited | Self::Chosen)
    }

    /// The folders of the sources that it says something of, from the root of the checkout.
    fn sources(self) -> &'static [&'static str] {
        match self {
            Self::Interleaved => &["caps/src", "caps/spec", "microkernel/src/sync", "microkernel/loom"],
            Self::Fuzzed => &["caps/src", "caps/spec", "idl"],
            Self::Replayed | Self::Audited | Self::Chosen => &[
                "caps/src",
                "caps/spec/src",
                "idl/src",
                "microkernel/src",
                "userlib/src",
                "test-harness/src",
                "test-harness/guest/src",
            ],
            _ => &["caps/src", "caps/spec"],
        }
    }
}

/// What one test reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// How it was checked.
    pub method: Method,
    /// What was gone through, as the table calls it.
    pub name: String,
    /// How far: words and numbers. More of each number is more.
    pub scope: String,
    /// Of which properties.
    pub properties: Vec<u8>,
}

impl Record {
    /// A record of some properties.
    #[must_use]
    pub fn new(method: Method, name: &str, scope: &str, properties: &[u8]) -> Self {
        Self { method, name: name.into(), scope: scope.into(), properties: properties.to_vec() }
    }

    /// A record of all that is checked of a forest after every operation, and has something to say where there are
    /// capabilities of these kinds.
    #[must_use]
    pub fn of_forest(method: Method, name: &str, scope: &str, kinds: &[Kind]) -> Self {
        let number = |name: &str| name.trim_start_matches('I').split(' ').next().and_then(|n| n.parse().ok());
        let states = STATES.iter().map(|invariant| (invariant.name, invariant.of));
        let all = states.chain(TRANSITIONS.iter().map(|invariant| (invariant.name, invariant.of)));
        let says = |of: &[Kind]| of.is_empty() || of.iter().any(|kind| kinds.contains(kind));
        let numbers: BTreeSet<u8> =
            all.filter(|(_, of)| says(of)).filter_map(|(name, _)| number(name)).collect();
        Self::new(method, name, scope, &numbers.into_iter().collect::<Vec<_>>())
    }

    /// A record of all that is checked of a ledger after every operation.
    #[must_use]
    pub fn of_ledger(method: Method, name: &str, scope: &str) -> Self {
        Self::new(method, name, scope, &[11, 12, 21, 22, 23, 25, 26])
    }

    /// Writes it down. What the specification reaches of a copy with bugs, as a part of another crate, says nothing of
    /// the sources.
    pub fn write(&self, temporary: &str) {
        if env!("CARGO_PKG_NAME") != "caps-spec" {
            return;
        }
        let Self { method, name, scope, properties } = self;
        let numbers: Vec<String> = properties.iter().map(u8::to_string).collect();
        let sources = fingerprint(method.sources());
        let text = format!("{sources}\n{}\n{name}\n{scope}\n{}\n", method.name(), numbers.join(" "));
        let folder = Path::new(temporary).join("assurance");
        let file = folder.join(format!("{} {name}", method.name()));
        let written = fs::create_dir_all(&folder).and_then(|()| fs::write(file, text));
        assert!(written.is_ok(), "{written:?}");
        println!("{}: {name}: {scope}", method.name());
    }

    fn read(text: &str) -> Option<(String, Self)> {
        let mut lines = text.lines();
        let (sources, method) = (lines.next()?.to_owned(), Method::named(lines.next()?)?);
        let (name, scope) = (lines.next()?.to_owned(), lines.next()?.to_owned());
        let properties = lines.next()?.split(' ').filter_map(|number| number.parse().ok()).collect();
        Some((sources, Self { method, name, scope, properties }))
    }
}

/// What tests of these sources recorded.
#[must_use]
pub fn records(temporary: &str) -> Vec<Record> {
    let mut sources: BTreeMap<Method, String> = BTreeMap::new();
    let mut is_of_these = |of: &str, method: Method| {
        of == sources.entry(method).or_insert_with(|| fingerprint(method.sources()))
    };
    let Ok(folder) = fs::read_dir(Path::new(temporary).join("assurance")) else { return Vec::new() };
    let texts = folder.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let mut all: Vec<Record> = texts
        .filter_map(|text| Record::read(&text))
        .filter(|(of, record)| is_of_these(of, record.method))
        .map(|(_, record)| record)
        .collect();
    all.sort();
    all
}

/// A number with commas.
#[must_use]
pub fn grouped(number: usize) -> String {
    match (number / 1000, number % 1000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{},{rest:03}", grouped(thousands)),
    }
}

/// The two tables: what was gone through, and which of it says something of each property.
#[must_use]
pub fn tables(records: &[Record]) -> String {
    let mut text = String::from("| what was gone through | how | scope reached |\n| --- | --- | --- |\n");
    for Record { method, name, scope, .. } in records {
        let _ = writeln!(text, "| {name} | {} | {scope} |", method.name());
    }
    text += "\n| property | checked in | assumed |\n| --- | --- | --- |\n";
    for property in PROPERTIES {
        let mut ways: BTreeMap<Method, Vec<&str>> = BTreeMap::new();
        for record in records.iter().filter(|record| record.properties.contains(&property.number)) {
            ways.entry(record.method).or_default().push(&record.name);
        }
        let ways: Vec<String> =
            ways.iter().map(|(method, names)| format!("{}: {}", method.name(), names.join(", "))).collect();
        let ways = if ways.is_empty() { "none of these tests".into() } else { ways.join("; ") };
        let assumed = if property.assumes.is_empty() { "-" } else { property.assumes };
        let _ = writeln!(text, "| **I{}** {} | {ways} | {assumed} |", property.number, property.name);
    }
    text
}

/// What a page of such tables claims by methods that count here, and the records do not reach.
#[must_use]
pub fn unreached(page: &str, records: &[Record], counts: impl Fn(Method) -> bool) -> Vec<String> {
    // A method that nobody has heard of is a claim that nothing reaches.
    let counts = |method: &str| Method::named(method).is_none_or(&counts);
    let mut missing = Vec::new();
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [head, claim, rest] = cells[..] else { continue };
        if let Some(number) =
            head.strip_prefix("**I").and_then(|head| head.split("**").next()?.parse::<u8>().ok())
        {
            let ways = claim.split("; ").filter_map(|way| way.split_once(": "));
            let ways = ways.filter(|(method, _)| counts(method));
            for (method, name) in ways.flat_map(|(how, names)| names.split(", ").map(move |name| (how, name)))
            {
                let reached = |record: &Record| {
                    record.method.name() == method
                        && record.name == name
                        && record.properties.contains(&number)
                };
                if !records.iter().any(reached) {
                    missing.push(format!("{head}, {method}: {name}"));
                }
            }
        } else if Method::named(claim).is_some_and(|_| counts(claim)) {
            let reached = |record: &Record| {
                record.method.name() == claim && record.name == head && covers(&record.scope, rest)
            };
            if !records.iter().any(reached) {
                missing.push(format!("{claim}: {head}: {rest}"));
            }
        }
    }
    missing
}

/// Whether `reached` is as much as `claimed`: the same words, and no number that is less.
#[must_use]
pub fn covers(reached: &str, claimed: &str) -> bool {
    let (more, less) = (split(reached), split(claimed));
    more.0 == less.0 && more.1.iter().zip(&less.1).all(|(more, less)| more >= less)
}

/// The words of a text, and its numbers.
fn split(text: &str) -> (Vec<String>, Vec<u128>) {
    let (mut words, mut numbers) = (Vec::new(), Vec::new());
    for word in text.split_whitespace() {
        let end = word.trim_end_matches([',', ';', '.', ':']);
        match end.replace(',', "").parse::<u128>() {
            Ok(number) => {
                words.push(format!("#{}", &word[end.len()..]));
                numbers.push(number);
            }
            Err(_) => words.push(word.to_owned()),
        }
    }
    (words, numbers)
}

/// The sources in these folders, but for unit tests, as a number (FNV-1a, by Fowler, Noll and Vo).
#[must_use]
pub fn fingerprint(folders: &[&str]) -> String {
    let mut files = Vec::new();
    for folder in folders {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder), &mut files);
    }
    files.sort();
    let bytes = files.iter().filter_map(|path| fs::read(path).ok()).flatten();
    let sum = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{sum:016x}")
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if entry.file_name() != "target" {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Method, Record, covers, tables, unreached};

    #[test]
    fn a_scope_is_covered_by_the_same_words_and_no_smaller_numbers() {
        let claimed = "101,340 states, 7 operations";
        assert!(covers(claimed, claimed));
        assert!(covers("101,341 states, 7 operations", claimed));
        assert!(!covers("101,339 states, 7 operations", claimed));
        assert!(!covers("101,340 states", claimed));
        assert!(!covers("101,340 shrubs, 7 operations", claimed));
    }

    #[test]
    fn a_claim_that_nothing_reached_is_found() {
        let reached = [Record::new(Method::Random, "games", "40 games", &[1, 2])];
        let page = tables(&reached);
        assert!(unreached(&page, &reached, |_| true).is_empty());
        for (claim, other) in [
            ("40 games", "41 games"),
            ("40 games", "40 proofs"),
            ("| games | random", "| games | exhausted"),
            ("**I3** slots canonical | none of these tests", "**I3** slots canonical | random: games"),
            ("well-founded | random: games", "well-founded | random: games, trees"),
        ] {
            assert!(page.contains(claim));
            let page = page.replace(claim, other);
            assert_eq!(unreached(&page, &reached, |_| true).len(), 1, "{other}");
            assert!(unreached(&page, &reached, Method::is_on_the_target).is_empty());
        }
    }
}
