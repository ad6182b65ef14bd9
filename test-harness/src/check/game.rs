//! A game: players on the real kernel make system calls that a seed decides, and the journal is held against the
//! specification.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use idl::bundle::{ARGUMENTS, BOOT, EntryKind};
use idl::record::Record;

use super::journal::Journal;
use super::replay::{Replay, Tally};
use crate::cases::Stage;
use crate::failure::{Failure, Result};
use crate::host;
use crate::image::{Class, Content};
use crate::machine::{Clockwork, Exit, Outcome, Sharing};

/// A game to be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Game {
    /// What the players' calls are drawn from.
    pub seed: u64,
    /// How many system calls all players make together.
    pub calls: u64,
    /// Cores: the first for who presides, the others for players.
    pub cores: u32,
    /// What the players' kernels are to do wrong, by the number of the hook; 0 for nothing.
    pub mutant: u64,
    /// How time goes: the same in every run of this game, or as it comes.
    pub clockwork: Clockwork,
}

/// Memory of a machine on which a game is played, in MiB, beside its journal.
const MEMORY: u32 = 384;
/// How long a game may take.
const NOMINAL: Duration = Duration::from_secs(120);

impl Game {
    /// Plays it and keeps what it did.
    ///
    /// # Errors
    /// When something does not build, or QEMU cannot be started.
    pub fn play(&self, stage: &Stage) -> Result<Outcome> {
        let arguments = format!("seed={} calls={} mutant={}", self.seed, self.calls, self.mutant);
        let contents = [
            Content::new(BOOT, EntryKind::Program, host::program("player")?),
            Content::new(ARGUMENTS, EntryKind::Arguments, arguments.into_bytes()),
        ];
        let mut machine = stage.machine(self.cores, MEMORY, Sharing::Shared);
        machine.clockwork = self.clockwork;
        let name = format!("player-{}-{}-{:?}", self.seed, self.mutant, self.clockwork);
        stage.boot(&machine, Class::KernelJournal, &name, &contents, NOMINAL)
    }
}

/// Holds what a game did against the specification, and what its players saw against what the kernel answered.
///
/// # Errors
/// The first difference; or when the game did not come to its end.
pub fn judge(outcome: &Outcome) -> Result<Tally> {
    let mut replay = Replay::default();
    replay.take(&Journal::of(outcome)?)?;
    replay.finish(outcome)?;
    if outcome.exit != Exit::Success {
        return Err(outcome.failure("the game did not end well"));
    }
    compare(&outcome.transcript, &replay)?;
    Ok(replay.tally)
}

/// Each player summed up the answers that it got; the journal has the same sums.
fn compare(transcript: &[String], replay: &Replay) -> Result<()> {
    let mut answered: BTreeMap<u64, usize> = BTreeMap::new();
    for sum in replay.kernels.values().flat_map(|kernel| &kernel.sums) {
        *answered.entry(*sum).or_default() += 1;
    }
    let players: Vec<Record<'_>> =
        transcript.iter().filter_map(|line| Record::parse(line)).filter(|it| it.name == "player").collect();
    for player in &players {
        let there = player.number("sum").and_then(|sum| answered.get_mut(&sum)).filter(|count| **count > 0);
        match there {
            Some(count) => *count -= 1,
            None => {
                return Err(Failure::new("a player was answered something else than the kernel answered")
                    .detail(format!("{player:?}, and the kernels' sums are {answered:?}")));
            }
        }
    }
    if players.is_empty() {
        return Err(Failure::new("nobody played"));
    }
    Ok(())
}

/// Holds a kept journal against the specification.
///
/// # Errors
/// The first difference; or when it cannot be read.
pub fn judge_kept(path: &Path) -> Result<Tally> {
    let mut replay = Replay::default();
    replay.take(&Journal::load(path)?)?;
    replay.check_all()?;
    Ok(replay.tally)
}
