//! A supervisor that crashes while it carries a manifest out, and what becomes of the run: nothing.
//!
//! The program `crasher` is the supervisor, but for what its arguments have it crash at (`test-harness/guest/src/crasher.rs`).

use std::sync::atomic::{AtomicU32, Ordering};

use crate::cases::Stage;
use crate::failure::{Failure, Result};
use crate::host::documents;
use crate::machine::Exit;
use crate::manifest::{Overrides, load};
use crate::place;
use crate::play::{Board, Played, play};

/// The manifests whose every change is swept.
pub const SWEPT: [&str; 2] = ["demo", "windows"];
/// The lives of a supervisor that may follow each other before its keeper has had enough.
const LIVES: usize = 5;
/// How many changes a life of a sweep has at most before it ends.
const STRIDE: u32 = 20;

/// Plays one of the harness's manifests with a supervisor that crashes as these words say.
///
/// # Errors
/// Those of playing.
pub fn with(stage: &Stage, manifest: &str, words: &[String]) -> Result<Played> {
    let path = place::harness().join(format!("manifests/{manifest}.toml"));
    let manifest = load(&path, Overrides::default())?;
    let board = Board { supervisor: "crasher", arguments: words.join(" "), ..stage.board() };
    // Runs at the same time do not take each other's files.
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let name = format!("crashes-{}", RUNS.fetch_add(1, Ordering::Relaxed));
    play(&board, &name, &manifest, &documents()?, &mut |_, _| {})
}

/// Sees that the run went as if nobody had crashed: every step went well, everybody of duty kept every beat, the ledger is what
/// it was. The answer is how often the supervisor crashed.
///
/// # Errors
/// What is wrong with it, with the words that bring it about.
pub fn survives(stage: &Stage, manifest: &str, words: &[String]) -> Result<usize> {
    let played = with(stage, manifest, words)?;
    let count = |begin: &str| played.outcome.transcript.iter().filter(|line| line.starts_with(begin)).count();
    let (crashes, restarts) = (count("@crash subos=supervisor "), count("@restart subos=supervisor "));
    let mut wrong = played.wrong.clone();
    // That is all there is to complain of.
    let told = format!("supervisor crashed {crashes} times, which no step is meant to bring about");
    wrong.retain(|complaint| *complaint != told);
    let resumed = count("@resume ");
    if crashes != restarts || resumed > crashes {
        wrong.push(format!("{crashes} crashes, {restarts} restarts, {resumed} times gone on"));
    }
    if played.outcome.exit == Exit::Success && wrong.is_empty() {
        return Ok(crashes);
    }
    let what = format!("{manifest} with {} did not end well ({})", words.join(" "), wrong.join("; "));
    Err(played.outcome.failure(&what))
}

/// Has the supervisor crash before and after each change that the manifest makes, several in each run.
///
/// # Errors
/// The first run that did not end well.
pub fn sweep(stage: &Stage, manifest: &str) -> Result<usize> {
    let mut crashes = 0;
    for side in ["before", "after"] {
        for first in 1..=STRIDE {
            let life = |life: usize| {
                let number = if life == 1 { first } else { STRIDE };
                format!("crash={life}:{side}:change:{number}")
            };
            let words: Vec<String> = (1..=LIVES).map(life).collect();
            crashes += survives(stage, manifest, &words)?;
        }
    }
    // Who crashes nowhere proves nothing.
    if crashes < 2 * STRIDE as usize {
        return Err(Failure::new(format!("the supervisor crashed only {crashes} times")));
    }
    Ok(crashes)
}
