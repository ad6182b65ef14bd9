//! Whether a story is a good one.

use std::collections::BTreeSet;

use idl::plan::Action;

use super::{FREE, Story};
use crate::manifest::Manifest;

/// A count whose name ends so may be zero.
const OPTIONAL: &str = "_opt";

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
    wrong.extend(idle(story));
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

/// Zeros where there should be work: every subOS did something of everything on every core that it ever had.
fn idle(story: &Story) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut had: BTreeSet<(String, u64)> = BTreeSet::new();
    for (core, spans) in story.timeline.cores() {
        had.extend(spans.into_iter().filter(|span| span.value != FREE).map(|span| (span.value, core)));
    }
    for (subos, core) in had {
        if !story.stats.iter().any(|stat| stat.subos == subos && stat.core == core) {
            wrong.push(format!("nothing is known of what {subos} did on core {core}, which it had"));
        }
    }
    for stat in &story.stats {
        for (name, count) in &stat.counts {
            if *count == 0 && !name.ends_with(OPTIONAL) {
                wrong.push(format!("{} did no {name} on core {}", stat.subos, stat.core));
            }
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
        "@stat subos=a core=1 calls=5 moves_opt=0",
        "@stat subos=supervisor core=0 calls=7",
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
        assert_eq!(with(7, "@stat subos=a core=1 calls=0"), "a did no calls on core 1");
        assert_eq!(with(3, "@step t=30 n=0 result=failed"), "step 1 (kill a by force) failed");
        assert_eq!(with(6, "@ledger result=different text=core%201"), "the ledger says: core 1");
    }
}
