//! The target cases as cases of `cargo test`: listing and filtering builds and installs nothing, the first case that
//! runs builds what it needs. Each says how long it took and where its transcript is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use idl::bundle::{ARGUMENTS, BOOT, EntryKind};
use idl::record::Record;
use libtest_mimic::{Arguments, Failed, Trial};
use test_harness::artefact::{self, About};
use test_harness::cases::{CASES, Case, LONG_CASES, Pairs, Stage, check, declared_pairs};
use test_harness::crashes;
use test_harness::failure::{Doing, Result};
use test_harness::host::{documents, program};
use test_harness::image::{self, Class, Content};
use test_harness::machine::{Accel, Clockwork, Run, Sharing, end_with_us_on_signals};
use test_harness::manifest::{Manifest, Overrides, load};
use test_harness::place;
use test_harness::play::{Board, Played, play};
use test_harness::random::Random;
use test_harness::say::say;
use test_harness::tools::Install;
use test_harness::turmoil::Turmoil;

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

    /// What all cases have seen, once all are done; nothing if they take for ever.
    fn wait_for_all(&self) -> Option<Pairs> {
        let state = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.another.wait_timeout_while(state, PATIENCE, |state| state.1 < CASES.len());
        let (state, waited) = all.unwrap_or_else(PoisonError::into_inner);
        (!waited.timed_out()).then(|| state.0.clone())
    }
}

/// Counts a case as done however it ends, a panic of the harness included.
struct Turn {
    observed: Arc<Observed>,
    pairs: Pairs,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.observed.add(std::mem::take(&mut self.pairs));
    }
}

/// How long all cases may take together.
const PATIENCE: Duration = Duration::from_secs(3600);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if let Err(failure) = end_with_us_on_signals() {
        test_harness::say::warn(failure);
    }
    let observed = Arc::new(Observed::default());
    let mut trials: Vec<Trial> = CASES.iter().map(|case| trial(case, &observed)).collect();
    trials.extend(LONG_CASES.iter().map(long));
    match manifests() {
        Ok(names) => trials.extend(names.into_iter().map(manifest)),
        Err(failure) => trials.push(Trial::test("manifest::all", || Err(failure.into()))),
    }
    trials.push(Trial::test("manifest::starved", programs_without_memory_are_told));
    trials.push(Trial::test("manifest::mortal", who_dies_is_built_again));
    trials.push(Trial::test("machine::stopped", a_machine_that_is_stopped_condemns_nobody));
    trials.push(Trial::test("turmoil::cores_race", subos_operations_in_random_order));
    trials.push(Trial::test("supervisor::crashes_and_goes_on", a_supervisor_that_crashes_goes_on));
    trials.push(Trial::test("supervisor::crashes_for_ever", a_crash_that_never_ends_ends_the_machine));
    trials.push(Trial::test("supervisor::loses_its_notes", without_notes_everything_is_taken_back));
    for manifest in crashes::SWEPT {
        let sweep = move || {
            let crashes = crashes::sweep(stage()?, manifest)?;
            say(format_args!("the supervisor of {manifest} crashed {crashes} times"));
            Ok(())
        };
        trials.push(
            Trial::test(format!("supervisor::crashes_at_each_change_of_{manifest}"), sweep)
                .with_ignored_flag(true),
        );
    }
    trials.push(Trial::test(
        "turmoil::a_seed_is_played_again",
        a_seed_gives_the_same_run_by_a_clock_that_counts,
    ));
    // What must be observed by all cases together can only be told when all of them run. When some are left out this
    // is no case at all, rather than one that is skipped.
    if arguments.filter.is_none() && arguments.skip.is_empty() {
        trials.push(Trial::test("every_declared_error_is_observed", move || {
            let seen = observed.wait_for_all().ok_or_else(|| Failed::from("not all cases came to an end"))?;
            let (missing, undeclared) = seen.differences(&declared_pairs());
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
        let mut turn = Turn { observed, pairs: Pairs::default() };
        let begin = Instant::now();
        let transcript = stage().and_then(|stage| stage.pass(case)).map_err(Failed::from)?;
        turn.pairs.observe(&transcript);
        tell(case.name, &transcript, begin.elapsed())
    })
}

/// A case that runs only when asked for by `--ignored`.
fn long(case: &'static Case) -> Trial {
    let run = || {
        let begin = Instant::now();
        let transcript = stage().and_then(|stage| stage.pass(case)).map_err(Failed::from)?;
        tell(case.name, &transcript, begin.elapsed())
    };
    Trial::test(case.name, run).with_ignored_flag(true)
}

/// Says how long a case took and keeps what it printed. A case that fails shows the end of that itself.
fn tell(name: &str, transcript: &[String], took: Duration) -> std::result::Result<(), Failed> {
    let path = place::scratch("transcripts")?.join(name.replace("::", ".") + ".txt");
    fs::write(&path, transcript.join("\n") + "\n")?;
    say(format_args!("{name}: {:.2} s, {}", took.as_secs_f64(), place::shown(&path)));
    Ok(())
}

/// Manifests that no case plays: `tests/sharing.rs` does.
const ELSEWHERE: &[&str] = &["steady"];

/// The names of the manifests that are played as cases, each to a good end: all of the folder.
fn manifests() -> Result<Vec<String>> {
    let folder = place::harness().join("manifests");
    let entries = folder.read_dir().doing(|| format!("cannot read {}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let paths = paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let mut names: Vec<String> =
        paths.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.retain(|name| !ELSEWHERE.contains(&name.as_str()));
    names.sort();
    Ok(names)
}

/// What some subOS must print while these manifests are played.
const SAYS: &[(&str, &[&str])] = &[
    (
        "windows",
        &[
            "the talk with right is over after ",
            "messages: the other side of the channel is gone",
            "the window to heir was taken after ",
        ],
    ),
    // Whether the registers are there, too, the story is judged by.
    ("store", &["init: store (of core 1) crashed, time 1: ", "init: store (of core 1) crashed, time 3: "]),
    // The watcher was told of both, and read them.
    ("cache", &["cache hits: ", "cache misses: "]),
    (
        "crash",
        &["init: echo-client (of core 1) crashed, time 1: ", "echo-client (of core 1) crashed, time 3: "],
    ),
];

fn manifest(name: String) -> Trial {
    let says = SAYS.iter().find(|(known, _)| *known == name).map_or(&[] as &[&str], |(_, says)| says);
    Trial::test(format!("manifest::{name}"), move || {
        let path = place::harness().join(format!("manifests/{name}.toml"));
        let manifest = load(&path, Overrides::default())?;
        let played = play(&stage()?.board(), &name, &manifest, &documents()?, &mut |_, _| {})?;
        played.check().map_err(Failed::from)?;
        let said = |text: &&str| {
            played.story.output.values().any(|output| String::from_utf8_lossy(output).contains(*text))
        };
        if let Some(text) = says.iter().find(|text| !said(text)) {
            return Err(Failed::from(format!("nobody said {text:?}")));
        }
        match name.as_str() {
            "force" => sums_are_right(&played),
            "asked" => cores_are_given(&played),
            "store" => it_can_be_kept(&path, &manifest, &played),
            _ => Ok(()),
        }
    })
}

/// Who is asked for a core has said what it should, and nothing else is taken for an answer.
fn cores_are_given(played: &Played) -> std::result::Result<(), Failed> {
    let answer = |line: &String| {
        let record = Record::parse(line).filter(|record| record.name == "core")?;
        let value = |key| record.get(key).map(|value| value.encoded().to_owned());
        Some(format!("{} {} {}", value("subos")?, value("core")?, value("answer")?))
    };
    let answers: Vec<String> = played.outcome.transcript.iter().filter_map(answer).collect();
    let expected =
        ["echo 2 given", "batch 2 given", "liar 4 given", "liar 4 needed", "echo 1 given", "echo 2 needed"];
    if answers == expected { Ok(()) } else { Err(Failed::from(format!("they said {answers:?}"))) }
}

/// A run that is kept can be read, its manifest is sound where it lies now, and it differs from itself in nothing.
fn it_can_be_kept(path: &Path, manifest: &Manifest, played: &Played) -> std::result::Result<(), Failed> {
    let folder = place::scratch("kept")?.join(std::process::id().to_string());
    let about = About {
        manifest: place::shown(path).to_string(),
        commit: None,
        changed: true,
        cores: None,
        memory: None,
        accelerator: "tcg".to_owned(),
        qemu: String::new(),
        wrong: Vec::new(),
    };
    artefact::keep(&folder, &about, manifest, &documents()?, played)?;
    let refused = artefact::check_empty(&folder);
    let kept = artefact::read(&folder)?;
    let again = load(&kept.manifest, kept.about.overrides())?;
    fs::remove_dir_all(&folder)?;
    let differences = artefact::differences(&kept.story, &played.story, &again);
    if refused.is_ok() || kept.about != about || !differences.is_empty() {
        return Err(Failed::from(format!("kept: {:?}, {refused:?}, {differences:?}", kept.about)));
    }
    Ok(())
}

/// Programs that need more memory than there is fail the run, which says whose they were and what helps.
fn programs_without_memory_are_told() -> std::result::Result<(), Failed> {
    let manifest = load(&place::harness().join("tests/data/starved.toml"), Overrides::default())?;
    let played = play(&stage()?.board(), "starved", &manifest, &documents()?, &mut |_, _| {})?;
    let told = played.check().err().ok_or("a run without memory for its programs ended well")?.to_string();
    for part in ["batch had no memory left for 1 of its programs", "`memory`", "--input"] {
        if !told.contains(part) {
            return Err(Failed::from(format!("{part:?} is not in: {told}")));
        }
    }
    Ok(())
}

/// Who dies is built again as often as the manifest says, which is told, and then the run has failed: whether its kernel
/// failed or its program.
fn who_dies_is_built_again() -> std::result::Result<(), Failed> {
    let manifest = load(&place::harness().join("tests/data/mortal.toml"), Overrides::default())?;
    for (kernel, how) in [(Class::KernelHooks, "@epitaph "), (Class::Kernel, "@crash ")] {
        let board = Board { kernel, ..stage()?.board() };
        let played = play(&board, "mortal", &manifest, &documents()?, &mut |_, _| {})?;
        let told =
            played.check().err().ok_or("a run in which somebody died for good ended well")?.to_string();
        let lines = |begin: &str| -> Vec<&String> {
            played.outcome.transcript.iter().filter(|line| line.starts_with(begin)).collect()
        };
        let (lives, deaths) = (lines("@restart subos=mortal times="), lines(how));
        if !told.contains("mortal died") || lives.len() != 2 || deaths.len() != 3 {
            return Err(Failed::from(format!("{kernel:?}: {told}: {lives:?}, {deaths:?}")));
        }
    }
    Ok(())
}

/// Where the supervisor crashes in `cargo test`: before and after a change, while it finds out what there is, while it notes
/// something, and with what it has just heard. All changes are for the soak.
const CRASHES: &[(&str, &[&str])] = &[
    (
        "demo",
        &[
            "crash=1:before:change:5",
            "crash=2:after:found:2",
            "crash=3:after:change:8",
            "crash=4:before:change:9",
            "crash=5:after:reclaim_lot:2",
        ],
    ),
    (
        "windows",
        &[
            "crash=1:after:share:1",
            "crash=2:before:note:7",
            "crash=3:before:hear:40",
            "crash=4:after:destroy:2",
            "crash=5:after:share:2",
        ],
    ),
];

/// A supervisor that crashes again and again is started each time, and the run ends as it would have.
fn a_supervisor_that_crashes_goes_on() -> std::result::Result<(), Failed> {
    for (manifest, words) in CRASHES {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let crashes = crashes::survives(stage()?, manifest, &words)?;
        if crashes != words.len() {
            return Err(Failed::from(format!("{manifest}: it crashed {crashes} times, not {}", words.len())));
        }
    }
    Ok(())
}

/// A supervisor that crashes whenever it is started is given up, with what it said and where.
fn a_crash_that_never_ends_ends_the_machine() -> std::result::Result<(), Failed> {
    for (word, call) in [("crash=every:before:create:1", "create"), ("crash=every:after:noted:1", "noted")] {
        let played = crashes::with(stage()?, "echo", &[word.to_owned()])?;
        let told = played.check().err().ok_or("a run without a supervisor ended well")?.to_string();
        for part in [
            "the supervisor crashed 6 times",
            "guest/src/crasher.rs:",
            "as the test wants it: ",
            "by core::panicking::panic_fmt+",
            call,
        ] {
            if !told.contains(part) {
                return Err(Failed::from(format!("{part:?} is not in: {told}")));
            }
        }
    }
    Ok(())
}

/// Notes that nobody can read cost the run, and nothing else: it says so, and takes everything back.
fn without_notes_everything_is_taken_back() -> std::result::Result<(), Failed> {
    let words = ["crash=1:after:grant_core:1".to_owned(), "damaged=2".to_owned()];
    let played = crashes::with(stage()?, "echo", &words)?;
    let told = played.check().err().ok_or("a run without notes ended well")?.to_string();
    let has = |begin: &str| played.outcome.transcript.iter().any(|line| line.starts_with(begin));
    if !told.contains("the notes of the supervisor before are damaged: neither of the two sheets is whole")
        || !has("@ledger result=equal")
        || !played.story.findings.iter().any(|(what, good, _)| what == "audit" && *good)
    {
        return Err(Failed::from(told));
    }
    Ok(())
}

/// Memory was taken from programs while they worked; whatever any of them still printed must be right.
fn sums_are_right(played: &Played) -> std::result::Result<(), Failed> {
    let host = Command::new("sh").args(["-c", "head -c 196608 /dev/zero | md5sum"]).output()?;
    let right = format!("sum {}", String::from_utf8_lossy(&host.stdout).trim_end());
    let printed = played.story.output.get("batch").map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let printed = printed.unwrap_or_default();
    let sums: Vec<&str> = printed.lines().filter(|line| line.starts_with("sum ")).collect();
    match sums.iter().find(|sum| **sum != right) {
        Some(wrong) => Err(Failed::from(format!("{wrong}, and the host says {right}"))),
        None if sums.is_empty() => Err(Failed::from("nobody lived long enough to print anything")),
        None => Ok(()),
    }
}

/// What QEMU is started through: from its guest's first line on it is stopped for longer than the kernel has patience, again
/// and again, as by a host that is suspended. It notes each time.
const STOPPED: &str = r#"#!/bin/sh
qemu=$$
(
    until [ -e FOLDER/begun ]; do sleep 0.01; kill -0 $qemu || exit; done
    for time in 1 2 3 4; do
        sleep 0.1
        kill -STOP $qemu || exit
        sleep 1.6
        kill -CONT $qemu && echo $time >> FOLDER/stops
    done
) < /dev/null > /dev/null 2>&1 &
exec QEMU "$@"
"#;

/// A second of the host's is not a second of the machine's.
fn a_machine_that_is_stopped_condemns_nobody() -> std::result::Result<(), Failed> {
    let name = "moves::cores_come_and_go_under_load";
    let case = CASES.iter().find(|case| case.name == name).ok_or("there is no such case")?;
    let folder = place::scratch("stopped")?;
    let [script, begun, stops] = ["qemu", "begun", "stops"].map(|name| folder.join(name));
    for note in [&begun, &stops] {
        let _ = fs::remove_file(note);
    }
    let stage = stage()?;
    let mut machine = stage.machine(case.cores, case.memory, Sharing::Private);
    let text = STOPPED.replace("FOLDER", &folder.display().to_string());
    fs::write(&script, text.replace("exec QEMU", &format!("exec {}", machine.qemu.display())))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    machine.qemu = script;
    let contents = [
        Content::new(BOOT, EntryKind::Program, program("target-tests")?),
        Content::new(ARGUMENTS, EntryKind::Arguments, case.name.as_bytes().to_vec()),
    ];
    let (kernel, bundle) = (image::kernel(case.kernel)?, image::write_bundle("stopped", &contents)?);
    let nominal = Duration::from_secs(u64::from(case.seconds));
    let run = Run { machine: &machine, kernel: &kernel, bundle: bundle.path(), nominal };
    let outcome = run.play(&mut |_| drop(fs::write(&begun, "")))?;
    check(case, &outcome)?;
    let stops = fs::read_to_string(&stops).map_err(|error| format!("it was never stopped: {error}"))?;
    say(format_args!("machine::stopped: stopped {} times", stops.lines().count()));
    Ok(())
}

/// Operations on subOSes under load from a seed that nobody chose; a failure says how to make them again.
fn subos_operations_in_random_order() -> std::result::Result<(), Failed> {
    let turmoil = Turmoil { seed: Random::seed(), operations: 500, clockwork: Clockwork::Free };
    say(format_args!("turmoil::cores_race: {}", turmoil.command()));
    let begin = Instant::now();
    let transcript = turmoil.pass(stage()?)?;
    tell("turmoil::cores_race", &transcript, begin.elapsed())
}

/// A seed whose run ended with a subOS condemned, while hostile programs kept the machine for themselves: by a clock that counts
/// instructions it ends well, and says the same to the letter when it is played again.
fn a_seed_gives_the_same_run_by_a_clock_that_counts() -> std::result::Result<(), Failed> {
    let turmoil = Turmoil { seed: 4, operations: 100, clockwork: Clockwork::Deterministic };
    say(format_args!("turmoil::a_seed_is_played_again: {}", turmoil.command()));
    let (first, again) = (turmoil.pass(stage()?)?, turmoil.pass(stage()?)?);
    let differs = first.iter().zip(&again).find(|(first, again)| first != again);
    match differs {
        None if first.len() == again.len() => Ok(()),
        None => Err(Failed::from(format!("one run says {} lines, the other {}", first.len(), again.len()))),
        Some((first, again)) => Err(Failed::from(format!("one run says {first}\nthe other {again}"))),
    }
}

fn stage() -> Result<&'static Stage> {
    static STAGE: OnceLock<Result<Stage>> = OnceLock::new();
    let prepared = STAGE.get_or_init(|| Stage::prepare(Install::from_environment(), Accel::Auto));
    prepared.as_ref().map_err(Clone::clone)
}
