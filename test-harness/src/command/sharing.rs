//! Looks for cache lines that cross from one subOS to another.

use std::path::Path;

use crate::cli::Options;
use crate::failure::Result;
use crate::host;
use crate::image::Class;
use crate::manifest;
use crate::place::shown;
use crate::say::{say, show};
use crate::sharing::{report, steady, watch};

/// Plays the manifest, or the steady workload, and shows what was seen in each of its watches.
pub(super) fn sharing(options: &Options, manifest: Option<&Path>, input: Option<&Path>) -> Result<()> {
    let path = manifest.map_or_else(steady, Path::to_owned);
    let overrides = options.overrides();
    let manifest = manifest::load(&path, overrides)?;
    let input = input.map_or_else(host::documents, host::file)?;
    say(format_args!("watching {} on {} cores and {} MiB", shown(&path), manifest.cores, manifest.memory));
    let watched = watch(options.install(), Class::Kernel, "sharing", &manifest, &input, &mut |_, _| {})?;
    for findings in &watched.findings {
        show(format_args!("\nWho touched whose memory\n\n{}", report::table(findings)));
        report::check(findings, &watched.kernel)?;
    }
    watched.played.check()?;
    say("no cache line is written by one subOS and touched by another, outside declared shares");
    Ok(())
}
