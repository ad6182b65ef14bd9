//! The table of the museum in `docs/mutants.md`: of each bug who finds it, how soon, and whether the comparison does.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{EXHIBITS, Exhibit};

const HEAD: &str = "| bug | killed by | seconds | by the comparison with the specification alone |\n| --- | --- | --- | --- |\n";

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The bug.
    pub name: String,
    /// The test that finds it soonest.
    pub killer: String,
    /// How many others find it.
    pub others: usize,
    /// How long the killer takes.
    pub seconds: String,
    /// What the comparison with the specification alone says of it.
    pub alone: String,
}

impl Row {
    fn parse(line: &str) -> Option<Self> {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, found, seconds, alone] = cells[..] else { return None };
        let (killer, rest) = found.strip_prefix('`')?.split_once('`')?;
        let others = match rest.strip_prefix(" and ") {
            Some(rest) => rest.strip_suffix(" more")?.parse().ok()?,
            None if rest.is_empty() => 0,
            None => return None,
        };
        let [name, killer, seconds, alone] = [name, killer, seconds, alone].map(str::to_owned);
        Some(Self { name, killer, others, seconds, alone })
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, killer, others, seconds, alone } = self;
        let more = if *others == 0 { String::new() } else { format!(" and {others} more") };
        write!(f, "| {name} | `{killer}`{more} | {seconds} | {alone} |")
    }
}

/// The page, what is before the rows, and the rows.
fn parts() -> Result<(PathBuf, String, Vec<Row>), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/mutants.md");
    let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let text = fs::read_to_string(&path).map_err(|why| failed(&why))?;
    let (before, table) = text.split_once(HEAD).ok_or_else(|| failed(&"the table's head is not there"))?;
    let row = |line| Row::parse(line).ok_or_else(|| failed(&format!("this is no row: {line}")));
    let rows = table.lines().map(row).collect::<Result<_, _>>()?;
    Ok((path, before.to_owned(), rows))
}

/// The rows of the page; or why it cannot be read.
fn rows() -> Result<Vec<Row>, String> {
    parts().map(|(_, _, rows)| rows)
}

/// The row of a bug.
///
/// # Errors
/// When there is none, or the page is none.
pub fn row(exhibit: &Exhibit) -> Result<Row, String> {
    let found = rows()?.into_iter().find(|row| row.name == exhibit.name);
    found.ok_or_else(|| {
        format!("docs/mutants.md has no row of {:?}: UPDATE_MUSEUM=missing writes it", exhibit.name)
    })
}

/// Whether the page is to be written anew.
#[must_use]
pub fn is_to_be_written() -> bool {
    std::env::var_os("UPDATE_MUSEUM").is_some()
}

/// Whether this bug's row is to be written anew.
#[must_use]
pub fn is_to_be_measured(exhibit: &Exhibit) -> bool {
    let asked = std::env::var("UPDATE_MUSEUM");
    asked.is_ok_and(|asked| asked != "missing" || row(exhibit).is_err())
}

/// Puts rows into the page, in the museum's order, in place of what it said of these bugs. What it said of bugs that are
/// no more goes.
///
/// # Errors
/// When the page cannot be read or written.
pub fn put(new: Vec<Row>) -> Result<(), String> {
    let (path, before, mut rows) = parts()?;
    rows.retain(|old| !new.iter().any(|row| row.name == old.name));
    rows.extend(new);
    let of = |exhibit: &Exhibit| rows.iter().find(|row| row.name == exhibit.name);
    let table: String = EXHIBITS.iter().filter_map(of).map(|row| format!("{row}\n")).collect();
    fs::write(&path, format!("{before}{HEAD}{table}")).map_err(|why| format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_row_is_what_it_was_written_as() {
        for line in ["| a bug | `a::test` | 0.10 | yes |", "| a bug | `test` and 2 more | 0.10 | no |"] {
            assert_eq!(Row::parse(line).unwrap().to_string(), line);
        }
        for line in
            ["", "| a bug | **not found** | 1 | no |", "| a bug | `test` and more | 1 | no |", "| a | b |"]
        {
            assert_eq!(Row::parse(line), None, "{line}");
        }
    }

    /// Each bug has a row, in order, and no other has.
    #[test]
    fn the_page_has_every_bug_and_who_finds_it() {
        let rows = rows().unwrap();
        let told: Vec<&str> = rows.iter().map(|row| &row.name[..]).collect();
        let there: Vec<&str> = EXHIBITS.iter().map(|exhibit| exhibit.name).collect();
        assert_eq!(told, there, "UPDATE_MUSEUM=1 brings the page up to date");
        assert_eq!(there.iter().collect::<BTreeSet<_>>().len(), there.len(), "two bugs have one name");
    }
}
