//! A recorded transcript of the demonstration: it is judged well, and drawn.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use test_harness::manifest::{Manifest, Overrides, parse};
use test_harness::place;
use test_harness::story::{Story, judge};
use test_harness::view;

const RECORDED: &str = include_str!("data/demo.txt");

/// The manifest that was played when it was recorded.
fn manifest() -> Manifest {
    let folder = place::harness().join("manifests");
    parse("demo.toml", include_str!("data/demo.toml"), &folder, Overrides::default()).unwrap()
}

fn story(text: &str) -> Story {
    let mut story = Story::default();
    for line in text.lines() {
        story.tell(line);
    }
    story
}

#[test]
fn a_recorded_demonstration_is_judged() {
    let manifest = manifest();
    assert_eq!(judge(&story(RECORDED), &manifest), Vec::<String>::new());
    let without = |what: &str| {
        let text: Vec<&str> = RECORDED.lines().filter(|line| !line.contains(what)).collect();
        judge(&story(&text.join("\n")), &manifest)
    };
    assert_eq!(without("@ledger").len(), 1);
    assert_eq!(without("@audit").len(), 1);
    assert_eq!(
        without("n=4 result=ok"),
        ["step 5 (kill the spinner by force while it spins) began and did not end"]
    );
    assert_eq!(
        without("@stat subos=spinner"),
        ["nothing is known of what spinner did on core 2, which it had"]
    );
}

/// What is wrong with the recorded story when one field of the lines that begin so has this value instead.
fn changed(begin: &str, key: &str, value: &str) -> Vec<String> {
    let key = format!("{key}=");
    let mut hits = 0;
    let change = |line: &str| {
        if !line.starts_with(begin) {
            return line.to_owned();
        }
        let field = |field: &str| {
            if field.starts_with(&key) { format!("{key}{value}") } else { field.to_owned() }
        };
        let fields: Vec<String> = line.split(' ').map(field).collect();
        hits += 1;
        fields.join(" ")
    };
    let text: Vec<String> = RECORDED.lines().map(change).collect();
    assert!(hits > 0, "no line begins with {begin}");
    judge(&story(&text.join("\n")), &manifest())
}

#[test]
fn every_zero_where_there_should_be_work_is_told() {
    let rows = [("batch", 1), ("batch", 2), ("echo", 2), ("echo", 3), ("spinner", 2)];
    for (subos, core) in rows {
        let row = format!("@stat subos={subos} core={core} calls");
        let mut keys = vec!["calls", "switches", "owned", "busy"];
        match subos {
            "batch" => keys.push("guests"),
            "echo" => keys.push("messages"),
            _ => keys.push("timers"),
        }
        for key in keys {
            let told = changed(&row, key, "0");
            assert!(
                told.contains(&format!("{subos} counts no {key} on core {core}"))
                    || told.contains(&format!("{subos} counts no {key} on any core")),
                "{key} of {row}: {told:?}"
            );
        }
    }
    for core in [1, 2] {
        let row = format!("@stat subos=batch core={core} processes");
        assert_eq!(changed(&row, "processes", "0"), [format!("batch counts no processes on core {core}")]);
    }
    // Not on each core, but on one.
    let nowhere = |subos: &str, key: &str| changed(&format!("@stat subos={subos} core="), key, "0");
    for key in ["faults", "signals", "timers", "doorbells", "objects", "linux_calls"] {
        let words = key.replace('_', " ");
        assert_eq!(nowhere("batch", key), [format!("batch counts no {words} on any core")]);
    }
    for key in ["signals", "timers", "doorbells", "objects"] {
        assert_eq!(nowhere("echo", key), [format!("echo counts no {key} on any core")]);
    }
    assert_eq!(nowhere("spinner", "objects"), ["spinner counts no objects on any core"]);
    assert_eq!(nowhere("supervisor", "switches"), ["supervisor counts no switches on core 0"]);
    assert_eq!(nowhere("supervisor", "interrupts"), ["supervisor counts no interrupts on core 0"]);
}

#[test]
fn a_core_that_ran_and_was_never_interrupted_is_told() {
    let line = RECORDED.lines().find(|line| line.starts_with("@stat subos=echo core=2")).unwrap();
    let quiet = |field: &str| match field.split_once('=') {
        Some((key @ ("timers" | "doorbells" | "others"), _)) => format!("{key}=0"),
        _ => field.to_owned(),
    };
    let fields: Vec<String> = line.split(' ').map(quiet).collect();
    let text = RECORDED.replace(line, &fields.join(" "));
    assert_eq!(judge(&story(&text), &manifest()), ["echo counts no interrupts on core 2"]);
}

#[test]
fn moves_are_counted_as_the_plan_implies() {
    for (row, key, good) in [
        ("@stat subos=supervisor", "core_moves", 6),
        ("@stat subos=supervisor", "lot_moves", 2),
        ("@stat subos=supervisor", "audits", 3),
        ("@stat subos=batch core=2 calls", "arrivals", 2),
        ("@stat subos=batch core=2 calls", "departures", 1),
        ("@stat subos=echo core=2", "departures", 1),
        ("@stat subos=spinner core=2", "arrivals", 1),
    ] {
        assert_eq!(changed(row, key, &good.to_string()), Vec::<String>::new(), "{key} of {row}");
        for wrong in [0, good - 1, good + 1] {
            let told = changed(row, key, &wrong.to_string());
            let words = format!("counts {wrong} {}", key.replace('_', " "));
            assert!(told.len() == 1 && told[0].contains(&words), "{key} of {row}: {told:?}");
            assert!(told[0].ends_with(&format!("the plan implies {good}")), "{told:?}");
        }
    }
}

#[test]
fn a_beat_that_was_not_seen_is_told() {
    for (subos, time, step) in RECORDED.lines().filter_map(|line| {
        let mut fields = line.strip_prefix("@beat t=")?.split(' ');
        let (time, subos, step) = (fields.next()?, fields.next()?, fields.next()?);
        Some((subos.strip_prefix("subos=")?, time, step.strip_prefix("n=")?.parse::<u64>().ok()?))
    }) {
        let begin = format!("@beat t={time} subos={subos} n={step} ");
        let expected = format!("{subos} was not seen to go on during step {} (", step + 1);
        let judged = |text: &str| judge(&story(text), &manifest());
        let left_out: Vec<&str> = RECORDED.lines().filter(|line| !line.starts_with(&begin)).collect();
        for told in
            [judged(&left_out.join("\n")), changed(&begin, "after", "1"), changed(&begin, "during", "0")]
        {
            assert!(told.len() == 1 && told[0].starts_with(&expected), "{begin}: {told:?}");
        }
    }
}

/// With and without the beats that the supervisor could not have seen then.
#[test]
fn a_step_that_was_taken_after_the_programs_had_ended_is_told() {
    let exit = "@exit subos=batch status=0";
    for step in 0..9 {
        let begin = RECORDED.lines().find(|line| line.ends_with(&format!("n={step} result=begin"))).unwrap();
        let early = RECORDED.replace(&format!("{exit}\n"), "").replace(begin, &format!("{exit}\n{begin}"));
        let beat = |line: &&str| {
            let later = (step..9).any(|step| line.contains(&format!("subos=batch n={step} before")));
            !line.starts_with("@beat") || !later
        };
        let silent: Vec<&str> = early.lines().filter(beat).collect();
        for text in [&early, &silent.join("\n")] {
            let told = judge(&story(text), &manifest());
            let of_this = format!("batch had ended before step {} (", step + 1);
            assert!(told.first().is_some_and(|first| first.starts_with(&of_this)), "{told:?}");
            assert_eq!(
                told.iter().filter(|one| one.contains("batch had ended")).count(),
                9 - step,
                "{told:?}"
            );
        }
    }
}

#[test]
fn a_core_that_was_taken_while_nothing_ran_there_is_told() {
    assert_eq!(
        changed("@busy t", "after", "1"),
        [
            "batch was not seen at work on core 2 when step 1 began",
            "spinner was not seen at work on core 2 when step 5 began"
        ]
    );
}

#[test]
fn the_timeline_shows_who_had_what() {
    let text = view::timeline(&story(RECORDED).timeline, false);
    let row = |name: &str| text.lines().find(|line| line.trim_start().starts_with(name)).unwrap().to_owned();
    let owners: String = {
        let mut letters: Vec<char> = row("2 ").trim_start_matches(['2', ' ']).chars().collect();
        letters.dedup();
        letters.into_iter().collect()
    };
    assert_eq!(owners, "·BEPB·", "core 2 in:\n{text}");
    assert!(row("batch").ends_with("256 → 192 → 256 → 0 MiB"), "{text}");
    assert!(text.contains("S supervisor, B batch, E echo, P spinner, · nobody"), "{text}");
}

#[test]
fn the_longest_silence_of_each_step_is_shown() {
    let manifest = manifest();
    let text = view::silences(&story(RECORDED), &manifest.steps);
    let rows: Vec<&str> = text.lines().skip(2).collect();
    // Echo is killed by the twelfth.
    assert_eq!(rows.len(), 11, "{text}");
    assert!(rows.iter().all(|row| row.matches(" ms").count() == 2), "{text}");
}

#[test]
fn the_picture_has_every_core_owner_and_step() {
    let manifest = manifest();
    let svg = view::picture(&story(RECORDED).timeline, "demo <1>", &manifest.steps);
    assert!(svg.starts_with("<svg") && svg.contains("xmlns=\"http://www.w3.org/2000/svg\""));
    assert!(svg.contains("demo &lt;1&gt;"), "what stands in it is escaped");
    for text in ["core 0", "core 3", "spinner: 32 MiB", "14. compare the ledger with the start", "30 s"] {
        assert!(svg.contains(text), "{text} in the picture");
    }
    if let Ok(folder) = test_harness::place::scratch("run") {
        std::fs::write(folder.join("recorded.svg"), svg).unwrap();
    }
}
