//! The sharing detector: which cache lines one subOS writes and another touches while a workload goes on.
//!
//! A manifest with a step `watch` is played with the plugin, which sees every access to memory between the two markers
//! that the supervisor executes then: physical address, core, instruction. The transcript says what the ledger said
//! around them. What crosses from one owner of cores to another, outside the share that the ledger declares between
//! exactly these two, is a finding, and one is too many.
//!
//! What the plugin cannot see is in `docs/caveats.md`.
//!
//! Reading order: [`territory`] (who owns which core and which line), [`findings`] (what was seen, and what is wrong
//! with it), [`symbols`] (what an address is called), [`report`] (how it is shown).

pub mod findings;
pub mod report;
pub mod symbols;
pub mod territory;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::findings::Findings;
use self::territory::Territory;
use crate::failure::{Failure, Result};
use crate::host::Input;
use crate::image::{self, Class};
use crate::machine::{Accelerator, Exit};
use crate::manifest::Manifest;
use crate::measure::Counting;
use crate::place;
use crate::play::{Board, Played, play};
use crate::story::Event;
use crate::tools::{self, Install};

/// The manifest that is played when none is named.
#[must_use]
pub fn steady() -> PathBuf {
    place::harness().join("manifests/steady.toml")
}

/// What came of a run that was watched.
#[derive(Debug)]
pub struct Watched {
    /// The run.
    pub played: Played,
    /// What was seen, watch by watch.
    pub findings: Vec<Findings>,
    /// The kernel's ELF file.
    pub kernel: PathBuf,
}

/// Plays a manifest with the plugin. Cores run at once, as they do on a real machine: under `-icount` a core would
/// have the machine for itself until the next timer expires, and a short watch would see little of the others.
///
/// # Errors
/// When something is missing or does not build, QEMU cannot be started, nothing was watched, or something changed hands
/// meanwhile. How the run ended is for the caller to look at.
pub fn watch(
    install: Install,
    kernel: Class,
    name: &str,
    manifest: &Manifest,
    input: &Input,
    see: &mut dyn FnMut(Duration, &Event),
) -> Result<Watched> {
    let counting = Counting::new(name)?.memory().without_instructions();
    let board = Board {
        kernel,
        extra: counting.arguments()?,
        ..Board::new(tools::qemu(install)?, Accelerator::Tcg, install)
    };
    let played = play(&board, name, manifest, input, see)?;
    let bad = || played.outcome.failure("the run did not get as far as to be watched");
    let looks = counting.take().map_err(|_| bad())?.sharing;
    let territories = Territory::all(&played.outcome.transcript, &image_of(&image::kernel(kernel)?)?)?;
    if looks.is_empty() && played.outcome.exit != Exit::Success {
        return Err(bad());
    }
    if looks.is_empty() || looks.len() != territories.len() {
        return Err(Failure::new(format!(
            "the plugin looked {} times, and the supervisor watched {} times",
            looks.len(),
            territories.len()
        ))
        .next("the manifest needs a step with `watch = MILLISECONDS`"));
    }
    let findings =
        territories.into_iter().zip(&looks).map(|(land, look)| Findings::new(land, look)).collect();
    Ok(Watched { played, findings, kernel: image::kernel(kernel)? })
}

fn image_of(kernel: &Path) -> Result<territory::Image> {
    symbols::read(kernel).and_then(|elf| symbols::image(&elf))
}
