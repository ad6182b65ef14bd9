//! Running QEMU, with a script in its place: how runs end, and that nothing is left behind.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use test_harness::machine::{
    Accelerator, Clockwork, Debugger, Exit, Machine, Outcome, Run, Sharing, end_with_us_on_signals,
};
use test_harness::place;

/// A machine whose QEMU is this shell script.
fn machine(name: &str, script: &str) -> Machine {
    let qemu = place::scratch("fake").unwrap().join(format!("{name}-{}", std::process::id()));
    // A child writes it: were it open for writing here, a child that another test forks meanwhile would have it open too,
    // and then it could not be run.
    let mut writer = Command::new("sh");
    writer
        .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$2\" && chmod 755 \"$2\"", "sh", script])
        .arg(&qemu);
    assert!(writer.status().unwrap().success());
    Machine {
        qemu,
        accelerator: Accelerator::Tcg,
        cores: 1,
        memory: 64,
        clockwork: Clockwork::Free,
        debugger: Debugger::None,
        control: None,
        sharing: Sharing::Private,
        extra: Vec::new(),
    }
}

fn play(name: &str, script: &str, nominal: Duration) -> Outcome {
    let machine = machine(name, script);
    let run = Run { machine: &machine, kernel: Path::new("kernel"), bundle: Path::new("bundle"), nominal };
    let outcome = run.play(&mut |_| {}).unwrap();
    let _ = fs::remove_file(&machine.qemu);
    outcome
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn each_exit_status_has_its_meaning() {
    for (status, exit) in [
        (33, Exit::Success),
        (35, Exit::Failed),
        (37, Exit::KernelPanic),
        (0, Exit::Crash(0)),
        (1, Exit::Crash(1)),
    ] {
        let outcome = play("status", &format!("printf 'one\\r\\ntwo\\nthree'; exit {status}"), LONG);
        assert_eq!(outcome.exit, exit);
        assert_eq!(outcome.transcript, ["one", "two", "three"]);
    }
    assert_eq!(play("signal", "kill -ABRT $$", LONG).exit, Exit::Signal(6));
}

#[test]
fn a_failure_shows_the_end_of_the_transcript_and_what_qemu_says() {
    let outcome = play("noise", "seq 1 100; echo 'no such device' >&2; exit 1", LONG);
    let text = outcome.failure("the case failed").to_string();
    assert!(text.starts_with("the case failed: QEMU ended with status 1"), "{text}");
    assert!(text.contains("| 100") && !text.contains("| 60\n") && text.contains("60 lines before"), "{text}");
    assert!(text.contains("QEMU: no such device"), "{text}");
}

#[test]
fn a_run_that_does_not_end_is_ended() {
    let begin = Instant::now();
    let outcome = play("endless", "echo $$; printf unfinished; exec sleep 1000", Duration::from_secs(1));
    assert_eq!(outcome.exit, Exit::Deadline);
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert_eq!(
        outcome.transcript.get(1).map(String::as_str),
        Some("unfinished"),
        "what was on its way is kept"
    );
    assert!(is_gone(&outcome.transcript[0]), "QEMU is gone");
}

fn is_gone(pid: &str) -> bool {
    let state = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(10) {
        // A zombie is as gone as its new parent lets it be.
        if state().is_empty() || state().contains(") Z ") {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}

/// Not a test of its own: what [`nothing_outlives_a_harness_that_is_killed_or_interrupted`] ends.
#[test]
fn helper_that_runs_a_machine_until_it_is_killed() {
    if let Some(file) = std::env::var_os("ARCHIPELAGO_TEST_PID_FILE").map(PathBuf::from) {
        end_with_us_on_signals().unwrap();
        play("killed", &format!("echo $$ > {}; exec sleep 1000", file.display()), LONG);
    }
}

#[test]
fn nothing_outlives_a_harness_that_is_killed_or_interrupted() {
    for (signal, status) in [
        (Signal::KILL, None),
        (Signal::QUIT, None),
        (Signal::INT, Some(130)),
        (Signal::TERM, Some(143)),
        (Signal::HUP, Some(129)),
    ] {
        let name = format!("pid-{}-{}", std::process::id(), signal.as_raw());
        let file = place::scratch("fake").unwrap().join(name);
        let mut helper = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "helper_that_runs_a_machine_until_it_is_killed"])
            .env("ARCHIPELAGO_TEST_PID_FILE", &file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        let pid = loop {
            let pid = fs::read_to_string(&file).unwrap_or_default().trim().to_owned();
            if !pid.is_empty() {
                break pid;
            }
            assert!(begin.elapsed() < LONG, "the helper starts its machine");
            thread::sleep(Duration::from_millis(20));
        };
        kill_process(Pid::from_child(&helper), signal).unwrap();
        assert_eq!(helper.wait().unwrap().code(), status, "{signal:?}");
        assert!(is_gone(&pid), "a harness that ends by {signal:?} takes QEMU with it");
        let _ = fs::remove_file(&file);
    }
}

#[test]
fn the_deterministic_machine_has_no_clock_but_its_instructions() {
    let mut machine = machine("arguments", "exit 33");
    machine.clockwork = Clockwork::Deterministic;
    let arguments = machine.arguments().join(" ");
    assert!(
        arguments.contains("-icount shift=0,sleep=off") && arguments.contains("-cpu max,-erms"),
        "{arguments}"
    );
    assert!(arguments.contains("-rtc base=") && arguments.contains("-seed 1"), "{arguments}");
}
