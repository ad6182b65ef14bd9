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
        (Expect::KernelPanic, Exit::KernelPanic) => {
            let words =
                epitaph(&outcome.transcript).map_err(|what| wrong(format!("{}: {what}", case.name)))?;
            let mut wanted = outcome.transcript.iter().filter_map(|line| line.strip_prefix(MUST_SAY));
            if let Some(text) = wanted.find(|text| !words.contains(*text)) {
                return Err(wrong(format!("{}: the epitaph does not say {text:?}", case.name)));
            }
        }
        (Expect::KernelPanic, _) => {
            return Err(wrong(format!("{} should have ended in a panic of the kernel", case.name)));
        }
    }
    match case.says.iter().find(|text| !outcome.transcript.iter().any(|line| line.contains(**text))) {
        Some(text) => Err(wrong(format!("{} never said {text:?}", case.name))),
        None => Ok(()),
    }
}

/// With this a case announces what the epitaph must say, where only the guest knows it.
const MUST_SAY: &str = "the epitaph must say: ";

/// The first line of the epitaph of the supervisor's kernel, found to be whole: the core, the subOS, a thread, the place,
/// and the last trace events in lines of their own. One that panics while it boots, or while it reports, leaves none.
fn epitaph(transcript: &[String]) -> std::result::Result<&str, String> {
    let mut lines = transcript.iter().skip_while(|line| !line.starts_with("PANIC core "));
    let words = lines.next().ok_or("there is no epitaph")?;
    let (who, what) = words.split_once(": ").ok_or_else(|| format!("no message: {words}"))?;
    let hex = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    match who.split(' ').collect::<Vec<_>>()[..] {
        [_, _, core, "subos", "0", "thread", thread]
            if core.parse::<u32>().is_ok() && hex(thread).is_some_and(|thread| thread != 0) => {}
        _ => return Err(format!("not a core, the supervisor's subOS and a thread: {who}")),
    }
    let place = match what.strip_prefix("panicked at ") {
        Some(rest) => rest.split_once(".rs:").is_some_and(|(file, rest)| {
            !file.is_empty() && rest.split(':').next().is_some_and(|line| line.parse::<u32>().is_ok())
        }),
        None => what
            .split_once(", rip ")
            .and_then(|(_, rest)| hex(rest.split(',').next()?))
            .is_some_and(|rip| rip != 0),
    };
    if !place {
        return Err(format!("the epitaph names no place: {what}"));
    }
    let events: Vec<&str> = lines.map_while(|line| line.strip_prefix("PANIC   ")).collect();
    let sound = |event: &&str| match event.split(' ').collect::<Vec<_>>()[..] {
        [time, _, first, second] => {
            time.parse::<u64>().is_ok() && hex(first).is_some() && hex(second).is_some()
        }
        _ => false,
    };
    match events.iter().find(|event| !sound(event)) {
        Some(event) => Err(format!("no trace event: {event}")),
        None if !events.iter().any(|event| event.contains(" Syscall ")) => {
            Err("the system call that asked for the panic is not among the last trace events".to_owned())
        }
        None => Ok(words),
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

    const EPITAPH: [&str; 3] = [
        "PANIC core 0 subos 0 thread 0x4052c0: panicked at microkernel/src/x.rs:12:5: it was asked for",
        "PANIC   1200 Switch 0x4052c0 0x0",
        "PANIC   1234 Syscall 0x10ff 0x2",
    ];

    #[test]
    fn a_panic_passes_only_where_it_is_expected() {
        let case = Case::new("a").panics();
        assert!(check(&case, &outcome(Exit::KernelPanic, &EPITAPH)).is_ok());
        assert!(check(&case, &outcome(Exit::Success, &["@test result=ok"])).is_err());
        assert!(check(&case, &outcome(Exit::Success, &EPITAPH)).is_err());
    }

    #[test]
    fn a_panic_passes_only_with_a_whole_epitaph() {
        let case = Case::new("a").panics();
        let with = |number: usize, from: &str, to: &str| {
            let line = EPITAPH[number].replace(from, to);
            assert_ne!(line, EPITAPH[number]);
            let mut lines = EPITAPH;
            lines[number] = &line;
            check(&case, &outcome(Exit::KernelPanic, &lines))
        };
        assert!(check(&case, &outcome(Exit::KernelPanic, &[])).is_err());
        assert!(
            check(&case, &outcome(Exit::KernelPanic, &["PANIC during boot: panicked at x.rs:1:1"])).is_err()
        );
        assert!(check(&case, &outcome(Exit::KernelPanic, &EPITAPH[..1])).is_err(), "no trace");
        assert!(check(&case, &outcome(Exit::KernelPanic, &EPITAPH[..2])).is_err(), "not what was asked");
        assert!(with(0, "0x4052c0", "0x0").is_err(), "no thread");
        assert!(with(0, "subos 0", "subos none").is_err(), "no subOS");
        assert!(with(0, "x.rs:12:5: ", "").is_err(), "no place");
        assert!(with(1, "Switch ", "").is_err(), "no event");
        let fault = "page fault (vector 14) in kernel mode, error 0x1, rip";
        let rest = EPITAPH[0].split_once("panicked").map_or("", |(_, rest)| rest);
        let faults =
            |rip: &str| with(0, &format!("panicked{rest}"), &format!("{fault} {rip}, rsp 0x1, address 0x8"));
        assert!(faults("0xffff800000001234").is_ok());
        assert!(faults("0x0").is_err(), "no place");
    }

    #[test]
    fn an_epitaph_says_what_the_guest_announced() {
        let case = Case::new("a").panics();
        let with = |line: &'static str| {
            let lines: Vec<&str> = [line].into_iter().chain(EPITAPH).collect();
            check(&case, &outcome(Exit::KernelPanic, &lines))
        };
        assert!(with("the epitaph must say: it was asked for").is_ok());
        assert!(with("the epitaph must say: address 0x8").is_err());
    }
}
