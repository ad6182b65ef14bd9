//! Plays a run again that was kept, and says in what it differs.

use std::path::Path;

use super::run::{Playing, show_played};
use crate::artefact;
use crate::cli::Options;
use crate::failure::{Failure, Result};
use crate::host;
use crate::say::say;

/// Plays what is in the folder.
pub(super) fn replay(options: &Options, folder: &Path) -> Result<()> {
    let kept = artefact::read(folder)?;
    let (commit, changed) = artefact::commit();
    if let Some(difference) = kept.about.other_checkout(commit.as_deref(), changed) {
        say(format_args!("{difference}: what differs may come from that"));
    }
    let playing =
        Playing::prepare(options, &kept.manifest, kept.about.overrides(), host::file(&kept.input)?)?;
    let played = playing.play()?;
    let well = show_played(&played, "replay", &playing.manifest);
    let differences = artefact::differences(&kept.story, &played.story, &playing.manifest);
    if !differences.is_empty() {
        let what = format!("the run is not the one that was kept in {}", folder.display());
        return Err(Failure::new(what).detail(differences.join("\n")));
    }
    let steps = playing.manifest.steps.len();
    say(format_args!("{steps} steps, the findings and the output that is compared are as they were"));
    // One that went wrong was kept to go wrong again.
    if kept.about.wrong.is_empty() { well } else { Ok(()) }
}
