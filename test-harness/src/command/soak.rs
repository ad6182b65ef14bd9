//! The target cases over and over: races show with time.

use std::time::{Duration, Instant};

use crate::cases::{CASES, Case, Stage};
use crate::cli::Options;
use crate::failure::Result;
use crate::random::Random;
use crate::say::say;

/// Runs rounds of all cases, each in another order, until the time is up.
pub(super) fn soak(options: &Options, minutes: u32, seed: Option<u64>) -> Result<()> {
    let seed = seed.unwrap_or_else(Random::seed);
    let mut random = Random::new(seed);
    let stage = Stage::prepare(options.install(), options.accel)?;
    let (begin, limit) = (Instant::now(), Duration::from_secs(60 * u64::from(minutes)));
    say(format_args!("soaking for {minutes} minutes; again with: cargo run -- soak --seed {seed}"));
    let mut played = 0;
    let mut order: Vec<&Case> = CASES.iter().collect();
    while begin.elapsed() < limit {
        random.shuffle(&mut order);
        for case in &order {
            if begin.elapsed() >= limit {
                break;
            }
            stage
                .pass(case)
                .map_err(|failure| failure.next(format!("again with: cargo run -- soak --seed {seed}")))?;
            played += 1;
        }
        say(format_args!("{played} cases passed in {} s", begin.elapsed().as_secs()));
    }
    Ok(())
}
