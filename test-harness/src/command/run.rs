//! Plays a manifest, shows what happens, and says whether all is well.

use std::fs;
use std::path::Path;

use crate::cli::Options;
use crate::failure::{Doing, Result};
use crate::host;
use crate::machine::{self, Debugger};
use crate::manifest::{self, Manifest};
use crate::place::{self, shown};
use crate::play::{Board, Played, play};
use crate::say::{colours, say, show};
use crate::tools;
use crate::view;

/// Plays the manifest, or the demonstration.
pub(super) fn run(options: &Options, manifest: Option<&Path>, input: Option<&Path>) -> Result<()> {
    let path = manifest.map_or_else(manifest::demo, Path::to_owned);
    let overrides = options.overrides();
    let manifest = manifest::load(&path, overrides)?;
    let input = input.map_or_else(host::documents, host::file)?;
    let qemu = tools::qemu(options.install())?;
    let accelerator = machine::choose_accelerator(options.accel, &qemu)?;
    let (cores, memory) = (manifest.cores, manifest.memory);
    say(format_args!(
        "playing {} on {cores} cores and {memory} MiB with {}",
        shown(&path),
        accelerator.name()
    ));
    let debugger = options.gdb.map_or(Debugger::None, Debugger::Waits);
    let board = Board { debugger, ..Board::new(qemu, accelerator, options.install()) };
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut live = view::Live::new(&manifest);
    let played = play(&board, &name, &manifest, &input, &mut |at, event| live.show(at, event));
    live.end();
    let played = played?;
    let transcript = place::scratch("run")?.join("transcript.txt");
    fs::write(&transcript, played.outcome.transcript.join("\n"))
        .doing(|| format!("cannot write {}", transcript.display()))?;
    show_pictures(&played, &name, &manifest)?;
    for (subos, bytes) in &played.same {
        show(format_args!(
            "What {subos} printed, {bytes} bytes, is byte for byte what the same program prints on the host."
        ));
    }
    let next = format!("the whole transcript is in {}", shown(&transcript));
    played.check().map_err(|failure| failure.next(next))?;
    say(format_args!("all is well, after {:.1} s", played.outcome.elapsed.as_secs_f64()));
    Ok(())
}

/// The summary and the pictures, to standard output and to a file.
fn show_pictures(played: &Played, name: &str, manifest: &Manifest) -> Result<()> {
    let story = &played.story;
    if !story.stats.is_empty() {
        let summary = view::summary(&story.stats, &story.timeline);
        show(format_args!("\nWhat each subOS did on each core\n\n{summary}"));
    }
    let silences = view::silences(story, &manifest.steps);
    if !silences.is_empty() {
        show(format_args!(
            "The longest time between two calls during each step, whatever the host did meanwhile included\n\n{silences}"
        ));
    }
    if !story.timeline.owners().is_empty() {
        let timeline = view::timeline(&story.timeline, colours(&std::io::stdout()));
        show(format_args!("Who had what\n\n{timeline}"));
        let file = place::scratch("run")?.join(format!("{name}.svg"));
        let title = format!("{name}: who had which core and how much memory");
        fs::write(&file, view::picture(&story.timeline, &title, &manifest.steps))
            .doing(|| format!("cannot write {}", file.display()))?;
        show(format_args!("The same as a picture: {}\n", shown(&file)));
    }
    Ok(())
}
