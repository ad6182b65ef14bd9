//! Lets the real kernel and the specification play against each other, for as long as asked.

use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cases::Stage;
use crate::check::game::{Game, judge, judge_kept};
use crate::check::journal::Journal;
use crate::check::replay::Tally;
use crate::cli::Options;
use crate::failure::{Failure, Result};
use crate::machine::{Clockwork, Outcome};
use crate::place::{self, shown};
use crate::random::Random;
use crate::say::{colours, say};

/// System calls of one game: what its journal has room for several times over.
const CALLS: u64 = 20_000;
/// Cores, unless others are asked for.
const CORES: u32 = 4;

/// What to check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checking {
    /// What the games are drawn from.
    pub(super) seed: Option<u64>,
    /// How many operations to compare at least.
    pub(super) operations: u64,
    /// The number of the first game to play.
    pub(super) first: u64,
}

/// Plays games until so many operations have been compared. Every other game goes by a clock that counts instructions,
/// so that it is the same whenever it is played; the others go as fast as they can, so that cores race.
pub(super) fn check(options: &Options, checking: Checking) -> Result<()> {
    let seed = checking.seed.unwrap_or_else(Random::seed);
    let stage = Stage::prepare(options.install(), options.accel)?;
    let cores = options.cores.unwrap_or(CORES);
    say(format_args!("checking with seed {seed} on {cores} cores"));
    let bar = progress(checking.operations);
    let mut total = Tally::default();
    let (mut random, mut number) = (Random::new(seed), 0);
    while total.operations < checking.operations {
        let game = Game {
            seed: random.next_number(),
            calls: CALLS,
            cores,
            mutant: 0,
            clockwork: if number % 2 == 0 { Clockwork::Deterministic } else { Clockwork::Free },
        };
        if number >= checking.first {
            bar.set_message(format!("game {number}"));
            let outcome = game.play(&stage)?;
            let tally = judge(&outcome).map_err(|failure| again(failure, seed, number, &game, &outcome))?;
            total.add(&tally);
            bar.set_position(total.operations.min(checking.operations));
        }
        number += 1;
    }
    bar.finish_and_clear();
    say(format_args!(
        "{} operations of {} kernels and {} of the ledger in {} games are as specified; again with: {}",
        total.operations,
        total.kernels,
        total.ledger,
        number - checking.first,
        command(seed, checking.first, cores)
    ));
    Ok(())
}

fn progress(operations: u64) -> ProgressBar {
    let bar = if colours(&std::io::stderr()) { ProgressBar::new(operations) } else { ProgressBar::hidden() };
    let template = "{elapsed:>4} {wide_bar} {human_pos} of {human_len} operations, {eta} left, {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Says how to see it again: the same game, if it goes by instructions; and the journal in any case.
fn again(failure: Failure, seed: u64, number: u64, game: &Game, outcome: &Outcome) -> Failure {
    let kept = keep(outcome).map(|path| {
        format!("cargo run -- check --journal {path}\n(the journal of this very run, which replays exactly)")
    });
    let mut next = format!("again with: {}", command(seed, number, game.cores));
    next.push_str(match game.clockwork {
        Clockwork::Deterministic => "\n(this game is the same whenever it is played)",
        Clockwork::Free => "\n(in this game cores race, so it may go otherwise)",
    });
    match kept {
        Ok(kept) => next.push_str(&format!("\nor with: {kept}")),
        Err(failure) => next.push_str(&format!("\nits journal could not be kept: {failure}")),
    }
    failure.next(next)
}

fn command(seed: u64, game: u64, cores: u32) -> String {
    format!("cargo run -- check --seed {seed} --game {game} --cores {cores} --ops 1")
}

fn keep(outcome: &Outcome) -> Result<String> {
    let path = place::scratch("check")?.join("last.journal");
    Journal::of(outcome)?.save(&path)?;
    Ok(shown(&path).to_string())
}

/// Holds a journal that was kept against the specification.
pub(super) fn check_kept(path: &Path) -> Result<()> {
    let tally = judge_kept(path)?;
    say(format_args!("{} operations in {} are as specified", tally.operations, shown(path)));
    Ok(())
}
