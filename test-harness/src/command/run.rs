//! Plays a manifest, shows what happens, and says whether all is well.

use std::fs;
use std::path::{Path, PathBuf};

use crate::artefact::{self, About};
use crate::cli::Options;
use crate::ctl;
use crate::failure::{Doing, Result};
use crate::host::{self, Input};
use crate::machine::{self, Debugger};
use crate::manifest::{self, Manifest, Overrides};
use crate::place::{self, shown};
use crate::play::{Board, Played, play};
use crate::say::{colours, say, show};
use crate::tools;
use crate::view;

/// Plays the manifest, or the demonstration, and keeps it in a folder, if one is named.
pub(super) fn run(
    options: &Options,
    manifest: Option<&Path>,
    input: Option<&Path>,
    record: Option<&Path>,
) -> Result<()> {
    let path = manifest.map_or_else(manifest::demo, Path::to_owned);
    record.map(artefact::check_empty).transpose()?;
    let overrides = options.overrides();
    let input = input.map_or_else(host::documents, host::file)?;
    let playing = Playing::prepare(options, &path, overrides, input)?;
    let played = playing.play()?;
    if let Some(folder) = record {
        playing.keep(folder, overrides, &played)?;
    }
    show_played(&played, &playing.name(), &playing.manifest)
}

/// Plays the manifest, or the demonstration, and keeps the machine up for an operator.
pub(super) fn keep_running(options: &Options, manifest: Option<&Path>, input: Option<&Path>) -> Result<()> {
    let path = manifest.map_or_else(manifest::demo, Path::to_owned);
    let input = input.map_or_else(host::documents, host::file)?;
    let mut playing = Playing::prepare(options, &path, options.overrides(), input)?;
    let socket = ctl::socket_for(&playing.name())?;
    say(format_args!("its control socket is {}; in another terminal: cargo run -- ctl list", shown(&socket)));
    playing.board.control = Some(socket);
    let played = playing.play()?;
    played.check()?;
    say(format_args!("ended by an operator, after {:.1} s", played.outcome.elapsed.as_secs_f64()));
    Ok(())
}

/// A manifest, and all that it is played with.
pub(super) struct Playing {
    pub(super) manifest: Manifest,
    path: PathBuf,
    input: Input,
    board: Board,
}

impl Playing {
    /// Reads the manifest, and finds or installs what it takes.
    pub(super) fn prepare(
        options: &Options,
        path: &Path,
        overrides: Overrides,
        input: Input,
    ) -> Result<Self> {
        let manifest = manifest::load(path, overrides)?;
        let qemu = tools::qemu(options.install())?;
        let accelerator = machine::choose_accelerator(options.accel, &qemu)?;
        let (cores, memory) = (manifest.cores, manifest.memory);
        say(format_args!(
            "playing {} on {cores} cores and {memory} MiB with {}",
            shown(path),
            accelerator.name()
        ));
        let debugger = options.gdb.map_or(Debugger::None, Debugger::Waits);
        let board = Board { debugger, ..Board::new(qemu, accelerator, options.install()) };
        Ok(Self { manifest, path: path.to_owned(), input, board })
    }

    /// What it is called, for files that tell of it.
    fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Plays it, and shows what happens.
    pub(super) fn play(&self) -> Result<Played> {
        let name = self.name();
        let mut live = view::Live::new(&self.manifest);
        let played =
            play(&self.board, &name, &self.manifest, &self.input, &mut |at, event| live.show(at, event));
        live.end();
        played
    }

    /// Keeps it, and what came of it.
    fn keep(&self, folder: &Path, overrides: Overrides, played: &Played) -> Result<()> {
        let (commit, changed) = artefact::commit();
        let about = About {
            manifest: shown(&self.path).to_string(),
            commit,
            changed,
            cores: overrides.cores,
            memory: overrides.memory,
            accelerator: self.board.accelerator.name().to_owned(),
            qemu: tools::version(&self.board.qemu),
            wrong: played.wrong.clone(),
        };
        artefact::keep(folder, &about, &self.manifest, &self.input, played)?;
        say(format_args!("kept in {0}; again with: cargo run -- replay {0}", folder.display()));
        Ok(())
    }
}

/// Shows all that came of it, and says whether all is well.
pub(super) fn show_played(played: &Played, name: &str, manifest: &Manifest) -> Result<()> {
    let transcript = place::scratch("run")?.join("transcript.txt");
    fs::write(&transcript, played.outcome.transcript.join("\n"))
        .doing(|| format!("cannot write {}", transcript.display()))?;
    show_pictures(played, name, manifest)?;
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
