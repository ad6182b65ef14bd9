//! Every target case once more, on a kernel that keeps the journal of what it does to capabilities; the journal is then
//! held against the specification. Whether a case passes is for `tests/target.rs` to say, on the kernel that ships: here
//! it must come to an end, and whatever happened must be as specified.

use std::process::ExitCode;
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use caps_spec::record::Method;
use libtest_mimic::{Arguments, Failed, Trial};
use test_harness::cases::{CASES, Case, MUTANTS, Stage};
use test_harness::check::assured::{Reached, hold, write_games};
use test_harness::check::game::{Game, judge, judge_kept};
use test_harness::check::journal::Journal;
use test_harness::check::replay;
use test_harness::failure::{Doing, Failure, Result};
use test_harness::image::{Class, kernel};
use test_harness::machine::{Accel, Clockwork, Exit, Outcome, end_with_us_on_signals};
use test_harness::place;
use test_harness::tools::Install;
use test_harness::watch::picture;
use test_harness::watch::recorded::{Wanted, steps};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if let Err(failure) = end_with_us_on_signals() {
        test_harness::say::warn(failure);
    }
    let trial = |name: &str, test: Box<dyn FnOnce() -> Result<()> + Send>| {
        Trial::test(name, move || test().map_err(Failed::from))
    };
    let mut trials: Vec<Trial> = CASES
        .iter()
        .filter(|case| case.refines)
        .map(|case| trial(case.name, Box::new(|| refines(case))))
        .collect();
    trials.extend(MUTANTS.iter().map(|(case, says)| trial(case.name, Box::new(|| finds(case, says)))));
    trials.push(trial("player::cores_race", Box::new(cores_race)));
    trials.push(trial("player::a_game_by_instructions_is_the_same_again", Box::new(same_again)));
    trials.push(trial("player::a_wrong_kernel_loses", Box::new(wrong_kernels_lose)));
    trials.push(trial("the_kernel_that_ships_keeps_no_journal", Box::new(keeps_none)));
    let conclusion = libtest_mimic::run(&arguments, trials);
    let all = !arguments.list && !conclusion.has_failed() && conclusion.num_filtered_out == 0;
    match if all { write_down() } else { Ok(()) } {
        Ok(()) => conclusion.exit_code(),
        Err(failure) => {
            test_harness::say::fail(failure);
            ExitCode::FAILURE
        }
    }
}

/// What all cases together have reached, for docs/assurance.md; which claims no more of real kernels than that.
fn write_down() -> Result<()> {
    let temporary = env!("CARGO_TARGET_TMPDIR");
    reached().write(temporary)?;
    let games = format!("a race of {} calls, 2 games of {} by instructions", GAME.calls, AGAIN.calls);
    // That nothing is found when nothing is wrong is one of the mutants' cases.
    write_games(temporary, &games, MUTANTS.len() - 1 + WRONG.len());
    hold(temporary, Method::is_on_the_target)
}

fn reached() -> MutexGuard<'static, Reached> {
    static REACHED: LazyLock<Mutex<Reached>> = LazyLock::new(Mutex::default);
    REACHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plays a case; its journal must be as specified.
fn refines(case: &Case) -> Result<()> {
    let outcome = play(case)?;
    let tally = replay(&outcome)?;
    if tally.operations == 0 || tally.ledger == 0 {
        return Err(Failure::new(format!("there is next to nothing in the journal: {tally:?}")));
    }
    reached().add(case, &outcome, &tally);
    match outcome.exit {
        Exit::Success | Exit::Failed | Exit::KernelPanic => Ok(()),
        _ => Err(outcome.failure(case.name)),
    }
}

/// Plays a case in which the kernel does something wrong; the comparison must say so, and what.
fn finds(case: &Case, says: &str) -> Result<()> {
    let found = replay(&play(case)?).err().map(|failure| failure.to_string()).unwrap_or_default();
    let right = if says.is_empty() { found.is_empty() } else { found.contains(says) };
    if right { Ok(()) } else { Err(Failure::new(format!("found {found:?} and not {says:?}"))) }
}

fn play(case: &Case) -> Result<Outcome> {
    stage()?.play(&Case { kernel: Class::KernelJournal, ..*case })
}

/// A game of which the tests play several kinds.
const GAME: Game = Game { seed: 7, calls: 3_000, cores: 4, mutant: 0, clockwork: Clockwork::Free };
/// One that is played twice.
const AGAIN: Game = Game { calls: 600, clockwork: Clockwork::Deterministic, ..GAME };
/// What kernels do wrong in games, and how that is found: they do not look at rights, or answer something else than they
/// write down.
const WRONG: [(u64, &str); 2] = [(1, "I23 refines: answered"), (6, "a player was answered something else")];

/// Players on all cores make system calls as fast as they can, and all is as specified.
fn cores_race() -> Result<()> {
    let tally = judge(&GAME.play(stage()?)?)?;
    // The players' own calls are a part of it, and each call is a few operations.
    if tally.kernels == 3 && tally.operations > GAME.calls && tally.questions < tally.operations {
        return Ok(());
    }
    Err(Failure::new(format!("that is no game of {} calls: {tally:?}", GAME.calls)))
}

/// Two runs of one game on a machine that counts instructions leave the same journal, to the last bit.
fn same_again() -> Result<()> {
    let journal = || -> Result<Journal> {
        let outcome = AGAIN.play(stage()?)?;
        judge(&outcome)?;
        Journal::of(&outcome)
    };
    let first = journal()?;
    if first != journal()? {
        return Err(Failure::new("the second run went otherwise"));
    }
    // It can be kept, compared again, and drawn.
    let kept = place::scratch("check")?.join("test.journal");
    first.save(&kept)?;
    if Journal::load(&kept)? != first || judge_kept(&kept)?.operations == 0 {
        return Err(Failure::new("what was kept is something else"));
    }
    let shown = steps(&first, Wanted { kernel: 2, skip: 20, count: 30 })?;
    let drawn = picture::picture(&shown, "a game");
    if shown.len() == 30 && shown.iter().all(|step| drawn.contains(&step.asked)) {
        return Ok(());
    }
    Err(Failure::new(format!("{} steps of it are drawn", shown.len())))
}

/// Kernels that do something wrong are found in games.
fn wrong_kernels_lose() -> Result<()> {
    for (mutant, says) in WRONG {
        let found = judge(&Game { mutant, ..GAME }.play(stage()?)?).err().map(|failure| failure.to_string());
        if !found.as_ref().is_some_and(|found| found.contains(says)) {
            return Err(Failure::new(format!("of mutant {mutant} was found {found:?}")));
        }
    }
    Ok(())
}

/// What the journal is announced with is in the image that keeps one and in no other.
fn keeps_none() -> Result<()> {
    for class in [Class::Kernel, Class::KernelHooks, Class::KernelJournal] {
        let path = kernel(class)?;
        let image = std::fs::read(&path).doing(|| format!("cannot read {}", path.display()))?;
        let found = image.windows(9).any(|bytes| bytes == b"@journal ");
        if found != (class == Class::KernelJournal) {
            return Err(Failure::new(format!("{class:?}: it announces a journal: {found}")));
        }
    }
    Ok(())
}

fn stage() -> Result<&'static Stage> {
    static STAGE: OnceLock<Result<Stage>> = OnceLock::new();
    let prepared = STAGE.get_or_init(|| Stage::prepare(Install::from_environment(), Accel::Auto));
    prepared.as_ref().map_err(Clone::clone)
}
