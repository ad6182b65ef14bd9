//! The target cases as cases of `cargo test`: listing and filtering builds and installs nothing, the first case that
//! runs builds what it needs.

use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};
use test_harness::cases::{CASES, Case, Pairs, Stage, declared_pairs};
use test_harness::failure::Result;
use test_harness::machine::{Accel, end_with_us_on_signals};
use test_harness::tools::Install;

/// What the cases of this run have observed, and how many of them are done.
#[derive(Default)]
struct Observed {
    pairs: Mutex<(Pairs, usize)>,
    another: Condvar,
}

impl Observed {
    fn add(&self, pairs: Pairs) {
        let mut state = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.extend(pairs);
        state.1 += 1;
        self.another.notify_all();
    }

    fn wait_for_all(&self) -> Pairs {
        let state = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.another.wait_while(state, |state| state.1 < CASES.len());
        all.unwrap_or_else(PoisonError::into_inner).0.clone()
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if let Err(failure) = end_with_us_on_signals() {
        test_harness::say::warn(failure);
    }
    let observed = Arc::new(Observed::default());
    let mut trials: Vec<Trial> = CASES.iter().map(|case| trial(case, &observed)).collect();
    // What must be observed by all cases together can only be told when all of them run.
    if arguments.filter.is_none() && arguments.skip.is_empty() {
        trials.push(Trial::test("every_declared_error_is_observed", move || {
            let (missing, undeclared) = observed.wait_for_all().differences(&declared_pairs());
            if missing.is_empty() && undeclared.is_empty() {
                return Ok(());
            }
            let list = |what: &str, pairs: &[String]| match pairs {
                [] => String::new(),
                pairs => format!("{what}:\n    {}\n", pairs.join("\n    ")),
            };
            Err(Failed::from(
                list("never observed", &missing) + &list("observed but not declared", &undeclared),
            ))
        }));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(case: &'static Case, observed: &Arc<Observed>) -> Trial {
    let observed = Arc::clone(observed);
    Trial::test(case.name, move || {
        let result = stage().and_then(|stage| stage.pass(case));
        let mut pairs = Pairs::default();
        if let Ok(transcript) = &result {
            pairs.observe(transcript);
        }
        observed.add(pairs);
        result.map(|_| ()).map_err(Failed::from)
    })
}

fn stage() -> Result<&'static Stage> {
    static STAGE: OnceLock<Result<Stage>> = OnceLock::new();
    let prepared = STAGE.get_or_init(|| Stage::prepare(Install::from_environment(), Accel::Auto));
    prepared.as_ref().map_err(Clone::clone)
}
