//! Whether a story is a good one.

use idl::plan::{Action, Duty, Ends};

use super::implied::{Busy, Implied, Watched};
use super::{Story, work};
use crate::manifest::Manifest;

/// Everything that is wrong with how a manifest was played, but for what its programs printed.
#[must_use]
pub fn judge(story: &Story, manifest: &Manifest) -> Vec<String> {
    let mut wrong = starved(story, manifest);
    // Then what the machine itself says: that steps are missing comes of it.
    wrong.extend(findings(story, manifest));
    for (number, words) in (1u64..).zip(&manifest.steps) {
        match story.steps.get(&(number - 1)).map(String::as_str) {
            Some("ok") => {}
            Some("begin") => wrong.push(format!("step {number} ({words}) began and did not end")),
            Some(_) => wrong.push(format!("step {number} ({words}) failed")),
            None => wrong.push(format!("step {number} ({words}) was never begun")),
        }
    }
    let implied = Implied::by(manifest);
    wrong.extend(crashes(story, manifest));
    wrong.extend(beats(story, manifest, &implied));
    wrong.extend(work::missing(story, manifest, &implied));
    wrong
}

/// Who had too little memory for its programs; first, since what else is wrong mostly comes of it.
fn starved(story: &Story, manifest: &Manifest) -> Vec<String> {
    let expected = |subos: &str| {
        let plan = manifest.plan.suboses.iter().find(|plan| plan.name.as_str() == subos);
        plan.is_some_and(|plan| plan.ends == Ends::Anyhow)
    };
    let told = story.starved.iter().filter(|(subos, _)| !expected(subos));
    told.map(|(subos, times)| {
        format!(
            "{subos} had no memory left for {times} of its programs, which it killed: give it more in the manifest \
             (another number in its `memory`), or its programs less to do (a smaller --input)"
        )
    })
    .collect()
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

/// The argument of init by which a manifest announces that servers of a subOS crash.
const ANNOUNCED: &str = "crashes=";

/// Crashes that nobody announced, announced ones that did not come, and those that were not reported in full: by the
/// server's name, with the reason and its registers.
fn crashes(story: &Story, manifest: &Manifest) -> Vec<String> {
    let mut wrong = Vec::new();
    let announced = |subos: &str| {
        let plan = manifest.plan.suboses.iter().find(|plan| plan.name.as_str() == subos);
        plan.is_some_and(|plan| plan.arguments.split(' ').any(|word| word.starts_with(ANNOUNCED)))
    };
    for (subos, count) in &story.crashes {
        if !announced(subos) {
            wrong.push(format!("{subos} crashed {count} times, which no step is meant to bring about"));
        }
    }
    for plan in manifest.plan.suboses.iter().filter(|plan| announced(plan.name.as_str())) {
        let name = plan.name.as_str();
        let told = story.crashes.get(name).copied().unwrap_or(0);
        let output = story.output.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let known = manifest.suboses.iter().find(|subos| subos.name == name);
        let servers = known.and_then(|subos| subos.servers.as_ref()).map_or(&[][..], |table| &table.servers);
        let names: Vec<&str> = plan.arguments.split(['=', ',', ' ']).collect();
        let names = names.into_iter().chain(servers.iter().map(|server| server.name.as_str()));
        let shown = reports(&output.unwrap_or_default(), &names.collect::<Vec<_>>());
        if told == 0 {
            wrong.push(format!("{name} announces crashes, and none came"));
        } else if shown != told {
            wrong.push(format!(
                "of {told} crashes of {name}, {shown} were shown with name, reason and registers"
            ));
        }
    }
    wrong
}

/// How many crashes an init has shown in full, of servers with these names.
fn reports(output: &str, names: &[&str]) -> u64 {
    let lines: Vec<&str> = output.lines().collect();
    let full = (0..lines.len()).filter(|&at| {
        let Some((name, rest)) =
            lines[at].strip_prefix("init: ").and_then(|line| line.split_once(" (of core "))
        else {
            return false;
        };
        let reason = rest.split_once(" crashed, time ").and_then(|(_, rest)| rest.split_once(": "));
        let rows = lines[at + 1..].iter().take_while(|line| line.starts_with("  "));
        let registers: Vec<&str> = rows.flat_map(|line| line.split_whitespace()).collect();
        let value = |wanted: &str| {
            let pair = registers.windows(2).find(|pair| pair[0] == wanted);
            pair.and_then(|pair| u64::from_str_radix(pair[1], 16).ok())
        };
        // An instruction at 0 is a register that was not read.
        let read = value("rax").is_some() && value("rip").is_some_and(|rip| rip != 0);
        !name.is_empty()
            && names.contains(&name)
            && reason.is_some_and(|(_, reason)| !reason.is_empty())
            && read
    });
    full.count() as u64
}

/// Operations during which somebody of duty was not seen to go on, or that came after its end, and cores that were taken without being at work.
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
        let number = step + 1;
        if ok && *duty == Duty::Programs && story.ended.get(subos).is_some_and(|by| by <= step) {
            let words = words(*step);
            wrong.push(format!(
                "{subos} had ended before step {number} ({words}) was over, and was to run programs"
            ));
            continue;
        }
        let kept = story.beats.iter().any(|beat| {
            let own = beat.after > beat.before && beat.during.is_some_and(|count| count > 0);
            (beat.step, &beat.subos) == (*step, subos) && own
        });
        if ok && !kept && !story.restarted.contains(subos) {
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
    fn a_crash_that_nobody_announced_is_told() {
        let mut lines = GOOD.to_vec();
        lines.insert(3, "@crash t=25 subos=a times=1 vector=14 address=0x8 rip=0x200000");
        assert_eq!(wrong(&lines), ["a crashed 1 times, which no step is meant to bring about"]);
        lines[3] = "@crash t=25 subos=a program=init times=1 vector=14 address=0x8 rip=0x200000";
        assert_eq!(wrong(&lines), ["a crashed 1 times, which no step is meant to bring about"]);
    }

    #[test]
    fn lack_of_memory_is_told_first_and_what_helps() {
        let mut lines = GOOD.to_vec();
        lines.insert(3, "@starved subos=a times=2");
        let told = wrong(&lines);
        assert!(told[0].starts_with("a had no memory left for 2 of its programs"), "{told:?}");
        assert!(told[0].contains("`memory`") && told[0].contains("--input"), "{told:?}");
    }

    #[test]
    fn only_a_crash_shown_with_name_reason_and_registers_counts() {
        const SHOWN: &str = "init: echo-client (of core 1) crashed, time 1: an invalid instruction: vector 6\n\
            \u{20}    rax 0000000000000001    rbx 0000000000000000\n     rip 0000000000200010 rflags 0000000000000202\n";
        let names = &["echo-server", "echo-client"];
        assert_eq!(reports(SHOWN, names), 1);
        assert_eq!(reports(&format!("{SHOWN}init: one more\n{SHOWN}"), names), 2);
        assert_eq!(reports(&SHOWN.replace("echo-client", "somebody"), names), 0, "no name");
        assert_eq!(reports(&SHOWN.replace(": an invalid instruction: vector 6", ""), names), 0, "no reason");
        assert_eq!(reports(&SHOWN.replace("rax", "rbx"), names), 0, "no rax");
        assert_eq!(reports(&SHOWN.replace("0000000000200010", "0000000000000000"), names), 0, "no rip");
        let unread = SHOWN.split_once('\n').map_or("", |(line, _)| line).to_owned();
        assert_eq!(reports(&format!("{unread}\n  its registers cannot be read\n"), names), 0);
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
