//! What a test reached, written down by the test itself: `docs/assurance.md` is made of nothing else.
//!
//! A record is a file in `assurance` below the folder that cargo keeps for tests. It says which sources it is about, so
//! that what was reached with others does not count.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

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
    /// Arbitrary bytes.
    Fuzzed,
    /// Cases that somebody chose.
    Chosen,
}

impl Method {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Exhausted, "exhausted"),
        (Self::Inductive, "inductive"),
        (Self::TwoRuns, "two runs"),
        (Self::Random, "random"),
        (Self::Fuzzed, "fuzzed"),
        (Self::Chosen, "chosen cases"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(method, _)| *method == self).map_or("", |(_, name)| name)
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(method, _)| *method)
    }
}

/// What one test reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// How it was checked.
    pub method: Method,
    /// Of which properties.
    pub properties: Vec<u8>,
    /// How far: words and numbers. More of each number is more.
    pub scope: String,
}

impl Record {
    /// A record of all that is checked of a forest after every operation.
    #[must_use]
    pub fn of_forest(method: Method, scope: String) -> Self {
        let number = |name: &str| name.trim_start_matches('I').split(' ').next().and_then(|n| n.parse().ok());
        let states = STATES.iter().map(|invariant| invariant.name);
        let names = states.chain(TRANSITIONS.iter().map(|invariant| invariant.name));
        let mut properties: Vec<u8> = names.filter_map(number).collect();
        properties.sort_unstable();
        properties.dedup();
        Self { method, properties, scope }
    }

    /// A record of all that is checked of a ledger after every operation.
    #[must_use]
    pub fn of_ledger(method: Method, scope: String) -> Self {
        Self { method, properties: vec![11, 12, 21, 22, 23, 25, 26], scope }
    }

    /// Writes it down under the name of its test.
    pub fn write(&self, temporary: &str, test: &str) {
        let numbers: Vec<String> = self.properties.iter().map(u8::to_string).collect();
        let text =
            format!("{}\n{}\n{}\n{}\n", fingerprint(), self.method.name(), numbers.join(" "), self.scope);
        let folder = Path::new(temporary).join("assurance");
        let written = fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join(test), text));
        assert!(written.is_ok(), "{written:?}");
    }

    fn read(text: &str) -> Option<(String, Self)> {
        let mut lines = text.lines();
        let (sources, method) = (lines.next()?.to_owned(), Method::named(lines.next()?)?);
        let properties = lines.next()?.split(' ').filter_map(|number| number.parse().ok()).collect();
        Some((sources, Self { method, properties, scope: lines.next()?.to_owned() }))
    }
}

/// What tests of these sources recorded.
#[must_use]
pub fn records(temporary: &str) -> Vec<Record> {
    let sources = fingerprint();
    let Ok(folder) = fs::read_dir(Path::new(temporary).join("assurance")) else { return Vec::new() };
    let texts = folder.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let mut all: Vec<Record> = texts
        .filter_map(|text| Record::read(&text))
        .filter(|(of, _)| *of == sources)
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

/// The rows of the table: property, method, scope, what is assumed.
#[must_use]
pub fn table(records: &[Record]) -> String {
    let mut table =
        String::from("| property | method | scope reached | assumed |\n| --- | --- | --- | --- |\n");
    for property in PROPERTIES {
        let mut ways: BTreeMap<Method, Vec<&str>> = BTreeMap::new();
        for record in records.iter().filter(|record| record.properties.contains(&property.number)) {
            ways.entry(record.method).or_default().push(&record.scope);
        }
        let head = format!("**I{}** {}", property.number, property.name);
        let assumed = if property.assumes.is_empty() { "-" } else { property.assumes };
        if ways.is_empty() {
            let _ = writeln!(table, "| {head} | not in these tests | - | {assumed} |");
        }
        for (place, (method, scopes)) in ways.iter().enumerate() {
            let (head, assumed) = if place == 0 { (head.as_str(), assumed) } else { ("", "") };
            let _ = writeln!(table, "| {head} | {} | {} | {assumed} |", method.name(), scopes.join("; "));
        }
    }
    table
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

/// The sources of the model and of its tests, as a number (FNV-1a, by Fowler, Noll and Vo).
#[must_use]
pub fn fingerprint() -> String {
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut files);
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
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_scope_is_covered_by_the_same_words_and_no_smaller_numbers() {
        let claimed = "trees of 6: 101,340 states, 7 operations";
        assert!(covers(claimed, claimed));
        assert!(covers("trees of 6: 101,341 states, 7 operations", claimed));
        assert!(!covers("trees of 6: 101,339 states, 7 operations", claimed));
        assert!(!covers("trees of 5: 101,340 states, 7 operations", claimed));
        assert!(!covers("trees of 6: 101,340 states", claimed));
        assert!(!covers("shrubs of 6: 101,340 states, 7 operations", claimed));
    }
}
