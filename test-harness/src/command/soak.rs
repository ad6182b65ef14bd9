//! What is too long for `cargo test`: the target cases over and over, since races show with time; and larger searches.

use std::process::Command;
use std::time::{Duration, Instant};

use super::check::{self, Checking};
use super::turmoil;
use crate::cases::{CASES, Case, LONG_CASES, Stage};
use crate::cli::Options;
use crate::crashes;
use crate::failure::{Doing, Failure, Result};
use crate::machine::Clockwork;
use crate::place;
use crate::random::Random;
use crate::say::say;
use crate::tools;
use crate::turmoil::Turmoil;

/// Operations on subOSes with which a soak begins.
const TURMOIL: u64 = 10_000;

/// Which cases are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cases {
    /// Those of `cargo test`.
    Short,
    /// And those that take minutes each.
    LongToo,
}

/// Does ten thousand operations on subOSes in random order, then runs rounds of all cases, each in another order, until the time
/// is up.
pub(super) fn soak(options: &Options, minutes: u32, seed: Option<u64>, cases: Cases) -> Result<()> {
    let seed = seed.unwrap_or_else(Random::seed);
    let mut random = Random::new(seed);
    let stage = Stage::prepare(options.install(), options.accel)?;
    // As many as a person would not wait for, before anything else: what races they show, only so many show.
    let turmoil = Turmoil { seed: random.next_number(), operations: TURMOIL, clockwork: Clockwork::Free };
    turmoil::make(&stage, turmoil)?;
    let (begin, limit) = (Instant::now(), Duration::from_secs(60 * u64::from(minutes)));
    say(format_args!("soaking for {minutes} minutes; again with: cargo run -- soak --seed {seed}"));
    let mut played = 0;
    let long: &[Case] = match cases {
        Cases::Short => &[],
        Cases::LongToo => LONG_CASES,
    };
    if cases == Cases::LongToo {
        for manifest in crashes::SWEPT {
            let crashes = crashes::sweep(&stage, manifest)?;
            say(format_args!("{manifest}: the supervisor crashed {crashes} times"));
        }
    }
    let mut order: Vec<&Case> = CASES.iter().chain(long).collect();
    while begin.elapsed() < limit {
        random.shuffle(&mut order);
        for case in &order {
            if begin.elapsed() >= limit {
                break;
            }
            stage
                .pass(&Case { seed: Some(random.next_number()), ..**case })
                .map_err(|failure| failure.next(format!("again with: cargo run -- soak --seed {seed}")))?;
            played += 1;
        }
        say(format_args!("{played} cases passed in {} s", begin.elapsed().as_secs()));
        if begin.elapsed() < limit {
            check::check(options, Checking { seed: Some(random.next_number()), operations: 1, first: 0 })?;
        }
    }
    Ok(())
}

/// The crates whose tests leave something out.
const LONG: [&str; 7] =
    ["test", "--release", "--package=caps-spec", "--package=kernel-loom", "--", "--ignored", "--nocapture"];

/// Runs the ignored tests of the host.
pub(super) fn soak_host() -> Result<()> {
    say(format_args!("running the long tests of the host, in some minutes"));
    let mut command = Command::new(tools::cargo()?);
    command.args(LONG).current_dir(place::root());
    let status = command.status().doing(|| "cannot run cargo".to_owned())?;
    if status.success() { Ok(()) } else { Err(Failure::new("a long test of the host failed")) }
}
