//! Counts guest instructions, and shows that the counting can be trusted.

use std::path::Path;
use std::process::Command;

use crate::cases::{CASES, Stage};
use crate::cli::Options;
use crate::failure::{Doing, Result};
use crate::image::Class;
use crate::machine::Accel;
use crate::measure::bench::{self, follow, measure};
use crate::measure::compare::{moved, same};
use crate::measure::masked;
use crate::measure::report::{json, table};
use crate::measure::rows::PADDING;
use crate::measure::scale;
use crate::measure::victim;
use crate::place::{self, shown};
use crate::say::{say, show};

/// What to check besides measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checking {
    /// Nothing.
    Nothing,
    /// That a second run gives the same figures, and that a hundred instructions more on a path move the rows that pass it
    /// by a hundred.
    TwiceAndPadded,
}

/// Measures, prints the table and writes the document.
pub(super) fn bench(options: &Options, file: Option<&Path>, checking: Checking) -> Result<()> {
    let bench = measure(options.install(), Class::Kernel)?;
    show(table(&bench).trim_end());
    let own = place::scratch("bench")?.join("bench.json");
    let path = file.unwrap_or(&own);
    std::fs::write(path, json(&bench, &commit())).doing(|| format!("cannot write {}", path.display()))?;
    say(format_args!("written to {}", shown(path)));
    if checking == Checking::TwiceAndPadded {
        same(&bench, &measure(options.install(), Class::Kernel)?)?;
        say("a second run gives the same figures");
        moved(&bench, &measure(options.install(), Class::KernelPadded)?)?;
        say(format_args!(
            "{PADDING} instructions more on a path move each row that passes it by {PADDING}, and no other"
        ));
    }
    Ok(())
}

/// Shows what operations cost in crowds of subOSes, and fails if that depends on the others more than it is known to.
pub(super) fn scale(options: &Options) -> Result<()> {
    let crowds = scale::measure(options.install(), Class::Kernel)?;
    show(scale::table(&crowds).trim_end());
    scale::check(&crowds)?;
    say("no neighbour executes anything, and nothing grows more than it is known to");
    Ok(())
}

/// Shows where the instructions of a row are.
pub(super) fn profile(options: &Options, row: &str) -> Result<()> {
    show(follow(options.install(), Class::Kernel, row)?);
    Ok(())
}

/// Shows what rounds of a subOS take, alone and with others beside it, and fails if that differs.
pub(super) fn victim(options: &Options) -> Result<()> {
    let latency = victim::measure(options.install(), Class::Kernel)?;
    show(latency.table().trim_end());
    latency.check()?;
    say("whatever is done to others, a round takes the same");
    Ok(())
}

/// Shows for how long interrupts are kept waiting, and by what: in the bench, or in the target cases whose names contain this.
pub(super) fn masked(options: &Options, cases: &str) -> Result<()> {
    if cases.is_empty() {
        show(bench::masked(options.install(), Class::Kernel)?);
        return Ok(());
    }
    let stage = Stage::prepare(options.install(), Accel::Tcg)?;
    for case in CASES.iter().filter(|case| case.name.contains(cases)) {
        show(format!("{}\n{}", case.name, masked::case(&stage, case)?));
    }
    Ok(())
}

/// The commit that is checked out, with a word if the tree differs from it.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(place::root()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return "unknown".to_owned() };
    let changed = git(&["status", "--porcelain"]).is_none_or(|changes| !changes.is_empty());
    if changed { format!("{commit} and changes") } else { commit }
}
