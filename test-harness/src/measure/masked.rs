//! The longest stretches for which a core lets no interrupt in: how long, and where.

use std::collections::BTreeMap;
use std::path::Path;

use super::Counting;
use super::kernel_image::KernelImage;
use super::log::{Log, Stretch};
use super::profile;
use crate::cases::{Case, Stage, check};
use crate::failure::{Doing, Failure, Result};
use crate::image;
use crate::view::grouped;

/// How many stretches are shown, and how many functions of each.
const SHOWN: usize = 16;
const FUNCTIONS: usize = 8;

/// The longest stretch.
///
/// # Errors
/// When there was none: a machine that ran has some.
pub fn longest(log: &Log) -> Result<u64> {
    let longest = log.masked.longest.iter().map(|stretch| stretch.work).max();
    longest
        .filter(|_| log.masked.stretches > 0)
        .ok_or_else(|| Failure::new("no stretch without interrupts was seen"))
}

/// Plays a target case and says where its longest stretches are. Cores run at once there, so that it is not the same each
/// time.
///
/// # Errors
/// When something does not build, or the case fails.
pub fn case(stage: &Stage, case: &Case) -> Result<String> {
    let kernel = image::kernel(case.kernel)?;
    let elf = std::fs::read(&kernel).doing(|| format!("cannot read {}", kernel.display()))?;
    let masks = KernelImage::read(&elf)?.masks;
    let counting = Counting::new(&case.name.replace("::", "-"))?.masked(masks);
    let outcome = stage.play_with(case, &counting.arguments()?)?;
    check(case, &outcome)?;
    report(&counting.take()?, &kernel)
}

/// The longest stretches, with the functions that they are in.
///
/// # Errors
/// When there was none, or there is no `addr2line`.
pub fn report(log: &Log, kernel: &Path) -> Result<String> {
    longest(log)?;
    let mut text = format!("{} stretches without interrupts\n", grouped(log.masked.stretches));
    for stretch in log.masked.longest.iter().take(SHOWN) {
        text.push_str(&told(stretch, kernel)?);
    }
    Ok(text)
}

fn told(stretch: &Stretch, kernel: &Path) -> Result<String> {
    let ends = [stretch.from, stretch.to];
    let addresses = stretch.places.iter().map(|(address, _)| *address).chain(ends);
    let names = profile::names(addresses, kernel)?;
    let [from, to] = ends.map(|address| names.get(&address).map_or("?", |(outer, _)| short(outer)));
    let (mut compiled, mut written) = (BTreeMap::new(), BTreeMap::new());
    for (address, count) in &stretch.places {
        let (outer, inner) = names.get(address).map_or(("?", "?"), |(outer, inner)| (outer, inner));
        *compiled.entry(short(outer)).or_default() += count;
        *written.entry(inner).or_default() += count;
    }
    let waits =
        if stretch.waits > 0 { format!(", and {} waiting", grouped(stretch.waits)) } else { String::new() };
    Ok(format!(
        "{:>8} on core {}{waits}, from {from} to {to}\n         compiled: {}\n         written: {}\n",
        grouped(stretch.work),
        stretch.core,
        most(compiled),
        most(written)
    ))
}

/// The functions in which most instructions are.
fn most(counts: BTreeMap<&str, u64>) -> String {
    let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let most =
        counts.iter().take(FUNCTIONS).map(|(name, count)| format!("{} {}", short(name), grouped(*count)));
    most.collect::<Vec<_>>().join(", ")
}

/// The last part of a path, which says most.
fn short(name: &str) -> &str {
    name.rsplit("::").next().unwrap_or(name)
}
