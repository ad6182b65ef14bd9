//! Makes turmoil, once.

use crate::cases::Stage;
use crate::cli::Options;
use crate::failure::Result;
use crate::machine::Clockwork;
use crate::random::Random;
use crate::say::say;
use crate::turmoil::Turmoil;

/// Does so many operations from this seed, or one that nobody chose.
pub(super) fn turmoil(
    options: &Options,
    seed: Option<u64>,
    operations: u64,
    clockwork: Clockwork,
) -> Result<()> {
    let stage = Stage::prepare(options.install(), options.accel)?;
    let seed = seed.unwrap_or_else(Random::seed);
    make(&stage, Turmoil { seed, operations, clockwork })
}

/// The same, with what it is said before and afterwards.
pub(super) fn make(stage: &Stage, turmoil: Turmoil) -> Result<()> {
    say(format_args!("{} operations; again with: {}", turmoil.operations, turmoil.command()));
    let transcript = turmoil.pass(stage)?;
    let last = transcript.iter().rev().find(|line| line.starts_with("@turmoil"));
    say(format_args!("all is well and where it was: {}", last.map_or("", String::as_str)));
    Ok(())
}
