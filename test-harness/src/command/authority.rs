//! Tells and draws who can reach what, by a manifest alone.

use std::fs;
use std::path::Path;

use crate::authority;
use crate::ctl::{Control, socket_of};
use crate::failure::{Doing, Failure, Result};
use crate::manifest::{self, Overrides, load};
use crate::place::{self, shown};
use crate::say::{say, show};

/// Tells it, and draws it.
pub(super) fn authority(file: Option<&Path>, overrides: Overrides) -> Result<()> {
    let file = file.map_or_else(manifest::demo, Path::to_owned);
    let authority = authority::of(&load(&file, overrides)?);
    show(authority::text(&authority));
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let drawn = place::scratch("authority")?.join(format!("{name}.svg"));
    fs::write(&drawn, authority::picture(&authority, &shown(&file).to_string()))
        .doing(|| format!("cannot write {}", drawn.display()))?;
    say(format_args!("the same as a picture: {}", shown(&drawn)));
    Ok(())
}

/// Tells it, and whether the running system agrees.
pub(super) fn live(file: Option<&Path>, overrides: Overrides, machine: Option<&str>) -> Result<()> {
    authority(file, overrides)?;
    let file = file.map_or_else(manifest::demo, Path::to_owned);
    let manifest = load(&file, overrides)?;
    let control = Control::connect(&socket_of(machine)?)?;
    let (done, running) = control.holdings()?;
    let differences = authority::differences(&manifest, done, &running);
    let after = format!("{} after {done} of {} steps", shown(&file), manifest.plan.steps.len());
    if differences.is_empty() {
        say(format_args!("the running system agrees, ledger and all, with {after}"));
        return Ok(());
    }
    Err(Failure::new(format!("the running system is not as {after}")).detail(differences.join("\n")))
}
