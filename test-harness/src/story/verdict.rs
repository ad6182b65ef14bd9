//! Whether a story is a good one.

use idl::plan::{Action, Duty};

use super::implied::{Busy, Implied, Watched};
use super::{Story, work};
use crate::manifest::Manifest;

/// Everything that is wrong with how a manifest was played, but for what its programs printed.
#[must_use]
pub fn judge(story: &Story, manifest: &Manifest) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, words) in (1u64..).zip(&manifest.steps) {
        match story.steps.get(&(number - 1)).map(String::as_str) {
            Some("ok") => {}
            Some("begin") => wrong.push(format!("step {number} ({words}) began and did not end")),
            Some(_) => wrong.push(format!("step {number} ({words}) failed")),
            None => wrong.push(format!("step {number} ({words}) was never begun")),
        }
    }
    wrong.extend(findings(story, manifest));
    let implied = Implied::by(manifest);
    wrong.extend(beats(story, manifest, &implied));
    wrong.extend(work::missing(story, manifest, &implied));
    wrong
}

/// Bad findings, and findings that should be there.
fn findings(story: &Story, manifest: &Manifest) -> Vec<String> {
    let mut wrong: Vec<String> = story
        .findings
        .iter()
        .filter(|(_, good, _)| !good)
        .map(|(what, _, text)| format!("the {what} says: {text}"))
        .collect();
    for (name, action) in [("ledger", Action::CompareLedger), ("audit", Action::Audit)] {
        let wanted = manifest.plan.steps.iter().filter(|step| step.action == action).count();
        let found = story.findings.iter().filter(|(what, good, _)| what == name && *good).count();
        if found < wanted && !story.findings.iter().any(|(what, good, _)| what == name && !good) {
            wrong.push(format!("of {wanted} checks of the {name}, {found} are known to have gone well"));
        }
    }
    wrong
}

/// Operations during which somebody of duty was not seen to go on, and cores that were taken without being at work.
fn beats(story: &Story, manifest: &Manifest, implied: &Implied) -> Vec<String> {
    let words = |step: u64| {
        let index = usize::try_from(step).unwrap_or(usize::MAX);
        manifest.steps.get(index).map_or("", String::as_str)
    };
    let mut wrong = Vec::new();
    for watched in &implied.watched {
        let Watched { step, subos, duty } = watched;
        // A step that was not reached is told of already.
        let ok = story.steps.get(step).is_some_and(|result| result == "ok");
        let finished = *duty == Duty::Programs && story.ended.get(subos).is_some_and(|by| by <= step);
        let kept = story.beats.iter().any(|beat| {
            let own = beat.after > beat.before && beat.during.is_some_and(|count| count > 0);
            (beat.step, &beat.subos) == (*step, subos) && own
        });
        if ok && !kept && !finished && !story.restarted.contains(subos) {
            let number = step + 1;
            wrong.push(format!("{subos} was not seen to go on during step {number} ({})", words(*step)));
        }
    }
    for Busy { step, subos, core } in &implied.busy {
        let seen = story.busy.iter().any(|busy| {
            (busy.step, &busy.subos, busy.core) == (*step, subos, Some(*core)) && busy.after > busy.before
        });
        if story.steps.contains_key(step) && !seen {
            let number = step + 1;
            wrong.push(format!("{subos} was not seen at work on core {core} when step {number} began"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Overrides, parse};

    const MANIFEST: &str = r#"
machine = { cores = 2, memory = 256, seconds = 5 }
[[subos]]
name = "a"
program = "spinner"
cores = [1]
memory = [16]
[[step]]
kill = "a"
[[step]]
check = "ledger"
"#;

    const GOOD: [&str; 9] = [
        "@boot t=10 hz=1000 cores=2 memory=256",
        "@own t=10 core=0 owner=supervisor",
        "@own t=20 core=1 owner=a",
        "@step t=30 n=0 result=ok text=",
        "@own t=30 core=1 owner=free",
        "@step t=40 n=1 result=ok text=",
        "@ledger result=equal text=",
        "@stat subos=a core=1 calls=5 switches=2 arrivals=1 timers=9 owned=99 busy=98 objects=4",
        "@stat subos=supervisor core=0 switches=3 interrupts=2 core_moves=1 lot_moves=0 audits=1",
    ];

    fn wrong(lines: &[&str]) -> Vec<String> {
        let manifest =
            parse("x", MANIFEST, std::path::Path::new("."), Overrides::default()).expect("it is sound");
        let mut story = Story::default();
        for line in lines {
            story.tell(line);
        }
        judge(&story, &manifest)
    }

    #[test]
    fn a_good_story_has_nothing_wrong() {
        assert_eq!(wrong(&GOOD), Vec::<String>::new());
    }

    #[test]
    fn each_line_of_a_good_story_matters() {
        for missing in [3, 5, 6, 7, 8] {
            let mut lines = GOOD.to_vec();
            let line = lines.remove(missing);
            assert_eq!(wrong(&lines).len(), 1, "without {line}");
        }
    }

    #[test]
    fn a_zero_a_failed_step_and_a_ledger_that_differs_are_told() {
        let with = |at: usize, line| {
            let mut lines = GOOD.to_vec();
            lines[at] = line;
            wrong(&lines).join("; ")
        };
        let idle = "@stat subos=a core=1 calls=0 switches=2 arrivals=1 timers=9 owned=99 busy=98 objects=4";
        assert_eq!(with(7, idle), "a counts no calls on core 1");
        assert_eq!(with(3, "@step t=30 n=0 result=failed"), "step 1 (kill a by force) failed");
        assert_eq!(with(6, "@ledger result=different text=core%201"), "the ledger says: core 1");
    }
}
