//! What was seen, as a table, and what is wrong with it, line by line.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::findings::{Crossing, Findings};
use super::symbols::Symbols;
use super::territory::{Owner, Place, SUPERVISOR};
use crate::failure::{Failure, Result};
use crate::view::{aligned, grouped};

/// The most crossing lines that are described; how many there are is always said.
const MOST_SHOWN: usize = 6;

/// The table: what each core did, and what happened in the shares.
#[must_use]
pub fn table(findings: &Findings) -> String {
    let head =
        ["subOS", "core", "accesses", "by its kernel", "lines", "with its own", "in its share", "crossing"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for row in &findings.cores {
        let counts = [
            row.touched.accesses,
            row.touched.upper,
            row.touched.lines,
            row.inside,
            row.declared,
            row.crossing,
        ];
        let mut cells = vec![findings.land.name(row.owner), row.touched.core.to_string()];
        cells.extend(counts.map(grouped));
        rows.push(cells);
    }
    let mut text = aligned(&rows);
    for (between, declared) in &findings.declared {
        let what = if between[0] == SUPERVISOR { "share" } else { "window" };
        let [one, other] = between.map(|side| findings.land.name(Owner::SubOs(side)));
        let [by_one, by_other] = declared.accesses.map(grouped);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  declared {what} of {one} and {other}: {} lines, {by_one} accesses of {one}, {by_other} of {other}",
            grouped(declared.lines),
        );
    }
    let (lines, crossing) = (grouped(findings.lines), findings.crossing.len());
    let _ = writeln!(
        text,
        "  {lines} lines touched in all; {crossing} written by one subOS and touched by another"
    );
    text
}

/// Whether nothing crosses, and everybody was at work.
///
/// # Errors
/// The lines that cross, with the symbols and the ledger's owners; or who was idle.
pub fn check(findings: &Findings, kernel: &Path) -> Result<()> {
    if let [first, ..] = findings.idle().as_slice() {
        let name = findings.land.name(*first);
        return Err(Failure::new(format!("{name} was not at work while the machine was watched"))
            .detail(table(findings))
            .next("watch for longer, or later"));
    }
    if findings.crossing.is_empty() {
        return Ok(());
    }
    let instructions = findings.crossing.iter().flat_map(|line| {
        line.touches.iter().flat_map(|(_, by)| [by.read_at, by.written_at]).filter(|address| *address != 0)
    });
    let symbols = Symbols::of(kernel, instructions)?;
    let count = findings.crossing.len();
    let (mut detail, mut seen) = (String::new(), BTreeMap::new());
    for line in &findings.crossing {
        let place = findings.land.describe(line.place);
        let place = place.rsplit_once(", +").map_or(place.as_str(), |(place, _)| place).to_owned();
        let seen: &mut usize = seen.entry(place).or_default();
        *seen += 1;
        if *seen <= MOST_SHOWN {
            describe(&mut detail, line, findings, &symbols);
        }
    }
    for (place, seen) in seen.into_iter().filter(|(_, seen)| *seen > MOST_SHOWN) {
        let _ = writeln!(detail, "and {} more in {place}", seen - MOST_SHOWN);
    }
    let lines = if count == 1 { "a cache line is".to_owned() } else { format!("{count} cache lines are") };
    Err(Failure::new(format!("{lines} written by one subOS and touched by another")).detail(detail))
}

fn describe(text: &mut String, line: &Crossing, findings: &Findings, symbols: &Symbols) {
    let land = &findings.land;
    let named = if line.place == Place::Image { symbols.in_line(line.address) } else { Vec::new() };
    let named = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{:#x}, {}{named}", line.address, land.describe(line.place));
    for (owner, by) in &line.touches {
        let who = format!("{} on core {}", land.name(*owner), by.core);
        for (what, count, at) in [("writes", by.writes, by.written_at), ("reads", by.reads, by.read_at)] {
            if count > 0 {
                let times = if count == 1 { "once".to_owned() } else { format!("{} times", grouped(count)) };
                let _ = writeln!(text, "    {who} {what} it {times}, first in {}", symbols.instruction(at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::tests::seen;
    use super::*;
    use crate::measure::log::Touches;

    fn by(core: usize, writes: u64) -> Touches {
        Touches { core, reads: 3, writes, read_at: 0x1000, written_at: 0x2000 }
    }

    #[test]
    fn the_table_says_what_each_core_did() {
        let table = table(&seen(&[(0x800_0000, [by(1, 0), by(2, 1)])]));
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines.get(3), Some(&vec!["batch", "1", "9,000", "5,000", "50", "1", "0", "0"]));
        assert!(
            table.ends_with("200 lines touched in all; 0 written by one subOS and touched by another\n"),
            "{table}"
        );
    }

    #[test]
    fn a_line_that_crosses_is_described_with_symbols_and_owner() {
        let findings = seen(&[(55 * (2 << 20) + 0x40, [by(1, 0), by(3, 1)])]);
        let [line] = findings.crossing.as_slice() else { panic!("one line crosses") };
        let mut text = String::new();
        describe(&mut text, line, &findings, &Symbols::default());
        let expected = "0x6e00040, lot 0 of echo, owned by echo by the ledger, +0x40\n    \
            batch on core 1 reads it 3 times, first in user mode at 0x1000\n    \
            echo on core 3 writes it once, first in user mode at 0x2000\n    \
            echo on core 3 reads it 3 times, first in user mode at 0x1000\n";
        assert_eq!(text, expected);
    }
}
