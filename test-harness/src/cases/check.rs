//! Whether what came of a case is what must come of it.

use idl::record::Record;

use super::{Case, Expect};
use crate::failure::{Failure, Result};
use crate::machine::{Exit, Outcome};

/// Compares an outcome with what the case expects.
///
/// # Errors
/// What differs, with the end of the transcript.
pub fn check(case: &Case, outcome: &Outcome) -> Result<()> {
    let wrong = |what: String| -> Failure { outcome.failure(&what) };
    let verdict =
        outcome.transcript.iter().rev().filter_map(|line| Record::parse(line)).find(|r| r.name == "test");
    let message =
        verdict.and_then(|record| record.get("message")).map(|value| value.bytes().collect::<Vec<_>>());
    let message = String::from_utf8_lossy(&message.unwrap_or_default()).into_owned();
    let passed = verdict.and_then(|record| record.get("result")).is_some_and(|result| result.is("ok"));
    match (case.expect, outcome.exit) {
        (Expect::Pass, Exit::Success) if passed => {}
        (Expect::Pass, Exit::Success) => {
            return Err(wrong(format!("{} ended well, but no record says that it passed", case.name)));
        }
        (Expect::Pass, Exit::Failed) if !message.is_empty() => {
            return Err(wrong(format!("{} failed: {message}", case.name)));
        }
        (Expect::Pass, _) => return Err(wrong(format!("{} failed", case.name))),
        (Expect::KernelPanic, Exit::KernelPanic) => {}
        (Expect::KernelPanic, _) => {
            return Err(wrong(format!("{} should have ended in a panic of the kernel", case.name)));
        }
    }
    match case.says.iter().find(|text| !outcome.transcript.iter().any(|line| line.contains(**text))) {
        Some(text) => Err(wrong(format!("{} never said {text:?}", case.name))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn outcome(exit: Exit, lines: &[&str]) -> Outcome {
        Outcome {
            exit,
            transcript: lines.iter().map(|line| (*line).to_owned()).collect(),
            complaints: String::new(),
            elapsed: Duration::from_secs(1),
            boot: None,
            ram: None,
            allowed: Duration::from_secs(9),
        }
    }

    #[test]
    fn a_case_passes_only_if_it_says_so_and_ends_well() {
        let case = Case::new("a");
        let good = ["@boot cores=1", "@test result=ok"];
        assert!(check(&case, &outcome(Exit::Success, &good)).is_ok());
        assert!(check(&case, &outcome(Exit::Success, &["hello"])).is_err());
        for exit in [Exit::Failed, Exit::KernelPanic, Exit::Crash(0), Exit::Signal(6), Exit::Deadline] {
            assert!(check(&case, &outcome(exit, &good)).is_err(), "{exit:?}");
        }
        assert!(check(&case.says(&["cores=1"]), &outcome(Exit::Success, &good)).is_ok());
        assert!(check(&case.says(&["cores=2"]), &outcome(Exit::Success, &good)).is_err());
    }

    #[test]
    fn a_failure_carries_the_guests_message_and_the_transcripts_end() {
        let lines = ["before", "@test result=failed message=two%20is%20not%20three"];
        let failure = check(&Case::new("a"), &outcome(Exit::Failed, &lines)).expect_err("it failed");
        let text = failure.to_string();
        assert!(text.contains("two is not three") && text.contains("| before"), "{text}");
    }

    #[test]
    fn a_panic_passes_only_where_it_is_expected() {
        assert!(check(&Case::new("a").panics(), &outcome(Exit::KernelPanic, &[])).is_ok());
        assert!(check(&Case::new("a").panics(), &outcome(Exit::Success, &["@test result=ok"])).is_err());
    }
}
