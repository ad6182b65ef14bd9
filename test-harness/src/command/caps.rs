//! Draws a forest and a ledger, step by step.

use std::fs;
use std::path::{Path, PathBuf};

use crate::check::journal::Journal;
use crate::failure::{Doing, Result};
use crate::place::{self, shown};
use crate::say::{say, show as show_text};
use crate::watch::recorded::{Wanted, steps};
use crate::watch::{Step, picture, stage, text};

/// The scripts that are shown when none is named.
const SCRIPTS: [&str; 2] = ["revoke", "reclaim"];

/// Shows a script, or the two that come along; or a journal, if that is what the file is.
pub(super) fn caps(file: Option<&Path>, wanted: Wanted) -> Result<()> {
    let own = |name: &str| place::harness().join(format!("scripts/{name}.caps"));
    let files: Vec<PathBuf> =
        file.map_or_else(|| SCRIPTS.iter().map(|name| own(name)).collect(), |file| vec![file.to_owned()]);
    for file in &files {
        show(file, wanted)?;
    }
    Ok(())
}

fn show(file: &Path, wanted: Wanted) -> Result<()> {
    let is_journal = file.extension().is_some_and(|extension| extension == "journal");
    let steps: Vec<Step> = if is_journal {
        steps(&Journal::load(file)?, wanted)?
    } else {
        let script = fs::read_to_string(file).doing(|| format!("cannot read {}", file.display()))?;
        stage::play(&shown(file).to_string(), &script)?
    };
    show_text(text::steps(&steps));
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let drawn = place::scratch("caps")?.join(format!("{name}.svg"));
    fs::write(&drawn, picture::picture(&steps, &format!("{name}, step by step")))
        .doing(|| format!("cannot write {}", drawn.display()))?;
    say(format_args!("{} steps of {}, as a picture: {}", steps.len(), shown(file), shown(&drawn)));
    Ok(())
}
