//! Where the instructions of a row are: the functions that one execution of it passes through.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::log::Log;
use crate::failure::{Doing, Failure, Result};
use crate::view::{aligned, grouped};

/// A trace that differs from a row's median by more is not one of that row: reading the clock takes fewer.
const NEAR: u64 = 8;
/// How many functions are shown.
const SHOWN: usize = 40;
/// Addresses from here on are the kernel's.
const KERNEL_HALF: u64 = 1 << 63;

/// The functions that an execution of as many instructions passes through, with how many of them each executes: once
/// by the function that the compiler left, once by the one that was written.
///
/// # Errors
/// When no trace is of that length, or there is no `addr2line`.
pub fn profile(log: &Log, median: u64, kernel: &Path) -> Result<String> {
    let difference = |trace: &Vec<u64>| (trace.len() as u64).abs_diff(median);
    let nearest =
        log.traces.iter().filter(|trace| difference(trace) <= NEAR).min_by_key(|trace| difference(trace));
    let trace = nearest.ok_or_else(|| {
        Failure::new("no execution is as long as the median")
            .next("only rows that are timed call by call can be followed")
    })?;
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    for address in trace {
        *counts.entry(*address).or_default() += 1;
    }
    let names = names(counts.keys().copied().filter(|address| *address >= KERNEL_HALF), kernel)?;
    let (mut outer, mut inner) = (BTreeMap::new(), BTreeMap::new());
    for (address, count) in &counts {
        let unknown = ("(outside the kernel)".to_owned(), "(outside the kernel)".to_owned());
        let (left, written) = names.get(address).cloned().unwrap_or(unknown);
        *outer.entry(left).or_default() += count;
        *inner.entry(written).or_default() += count;
    }
    Ok(format!("by function, as compiled\n{}\nby function, as written\n{}", list(outer), list(inner)))
}

pub(super) fn list(counts: BTreeMap<String, u64>) -> String {
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let rows: Vec<Vec<String>> =
        counts.into_iter().take(SHOWN).map(|(name, count)| vec![name, grouped(count)]).collect();
    aligned(&rows)
}

/// For each address the function that the compiler left there, and the one it is of as written.
pub(super) fn names(
    addresses: impl Iterator<Item = u64>,
    kernel: &Path,
) -> Result<BTreeMap<u64, (String, String)>> {
    let addresses: Vec<String> = addresses.map(|address| format!("{address:#x}")).collect();
    let output =
        Command::new("addr2line").args(["-a", "-i", "-f", "-C", "-e"]).arg(kernel).args(&addresses).output();
    let output = output.doing(|| "cannot run addr2line, which comes with the package binutils".to_owned())?;
    Ok(read_names(&String::from_utf8_lossy(&output.stdout)))
}

/// `addr2line` writes each address, then a function and its place for each level of inlining, innermost first.
fn read_names(text: &str) -> BTreeMap<u64, (String, String)> {
    let mut names: BTreeMap<u64, (String, String)> = BTreeMap::new();
    let mut lines = text.lines();
    let mut address = 0;
    while let Some(line) = lines.next() {
        if let Some(digits) = line.strip_prefix("0x") {
            address = u64::from_str_radix(digits, 16).unwrap_or(0);
            continue;
        }
        let file = lines.next().and_then(|place| place.split(':').next()).unwrap_or("");
        let file: Vec<&str> = file.rsplit('/').take(3).collect();
        let place: Vec<&str> = file.into_iter().rev().collect();
        let written = format!("{line} ({})", place.join("/"));
        let entry = names.entry(address).or_insert_with(|| (String::new(), written));
        entry.0 = line.to_owned();
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inlined_functions_are_told_from_those_that_hold_them() {
        let text = "0x10\nread\n/a/b/c/d.rs:7\nentered\n/a/e.rs:9 (discriminator 2)\n0x20\nentered\n??:0\n";
        let names = read_names(text);
        assert_eq!(names.get(&16), Some(&("entered".to_owned(), "read (b/c/d.rs)".to_owned())));
        assert_eq!(names.get(&32), Some(&("entered".to_owned(), "entered (??)".to_owned())));
    }

    #[test]
    fn a_row_without_a_trace_of_its_length_cannot_be_followed() {
        let log = Log { traces: vec![vec![1; 50]], ..Log::default() };
        assert!(profile(&log, 100, Path::new("kernel")).is_err());
    }
}
