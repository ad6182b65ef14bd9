//! A machine that is kept up, and every command of `ctl` against it, as an operator gives them from other terminals.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use test_harness::machine::die_with_parent;
use test_harness::place;

/// A machine that is kept up, and the process that does.
struct Kept {
    process: Child,
    socket: PathBuf,
}

impl Kept {
    /// Starts it, and waits until the steps of its manifest are done.
    fn start() -> Self {
        let manifest = place::harness().join("tests/data/operated.toml");
        let mut command = archipelago();
        command.args(["run", "--keep-running"]).arg(manifest);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        die_with_parent(&mut command);
        let mut process = command.spawn().unwrap();
        let (mut says, mut errors) = (process.stdout.take().unwrap(), process.stderr.take().unwrap());
        let mut lines = BufReader::new(&mut errors).lines().map_while(Result::ok);
        let begin = "its control socket is ";
        let said = lines.by_ref().find_map(|line| Some(line.split_once(begin)?.1.to_owned()));
        let path = said.expect("it says where its socket is");
        let socket = place::root().join(path.split_once(';').unwrap().0);
        // What it goes on to say must not fill a pipe.
        thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        thread::spawn(move || std::io::copy(&mut says, &mut std::io::sink()));
        let mut kept = Self { process, socket };
        while !kept.is_ready() {
            assert_eq!(kept.process.try_wait().unwrap(), None, "it ended before its steps were done");
            thread::sleep(Duration::from_millis(50));
        }
        kept
    }

    /// Whether the steps of its manifest are done.
    fn is_ready(&self) -> bool {
        let list = self.ctl(&["list", "--json"]);
        // Before the machine is there nobody answers.
        let list: Value = serde_json::from_slice(&list.stdout).unwrap_or_default();
        list["steps"].is_u64() && list["steps_done"] == list["steps"]
    }

    /// `ctl` with these words.
    fn ctl(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = archipelago();
        command.arg("ctl").args(words).arg("--machine").arg(&self.socket).stdin(Stdio::null());
        command
    }

    /// The same, which must be done.
    fn done(&self, words: &[&str]) -> String {
        let output = self.ctl(words);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, which must be refused for this reason.
    fn refused(&self, words: &[&str], reason: &str) {
        let output = self.ctl(words);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {errors}");
        assert!(errors.contains(reason), "{words:?}: {errors}");
    }

    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[words, &["--json"]].concat())).unwrap()
    }

    /// What `list` says of a subOS.
    fn subos(&self, name: &str) -> Value {
        let list = self.json(&["list"]);
        let found = list["suboses"].as_array().unwrap().iter().find(|subos| subos["name"] == name);
        found.unwrap_or_else(|| panic!("{name} is not in {list}")).clone()
    }

    /// Waits until it ends, which it must do well.
    fn end(mut self) {
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // After its end there is nothing to kill.
        let _ = self.process.kill();
    }
}

fn archipelago() -> Command {
    Command::new(env!("CARGO_BIN_EXE_archipelago"))
}

fn cores(subos: &Value) -> Vec<u64> {
    subos["cores"].as_array().unwrap().iter().map(|core| core.as_u64().unwrap()).collect()
}

fn lots(subos: &Value) -> Vec<(u64, u64)> {
    let lots = subos["lots"].as_array().unwrap().iter();
    lots.map(|lot| (lot["lot"].as_u64().unwrap(), lot["mib"].as_u64().unwrap())).collect()
}

#[test]
fn an_operator_sees_and_changes_a_machine_that_is_kept_up() {
    // Other machines with several cores wait meanwhile, as they do for each other.
    let _alone = place::lock("qemu").unwrap();
    let kept = Kept::start();
    lists(&kept);
    agrees(&kept);
    changes(&kept);
    refuses(&kept);
    serves_many(&kept);
    survives_rubbish(&kept);
    tells_what_was(&kept);
    tells_what_goes_on(&kept);
    traces(&kept);
    assert_eq!(kept.done(&["end"]), "");
    let socket = kept.socket.clone();
    kept.end();
    let gone = archipelago().args(["ctl", "list", "--machine"]).arg(&socket).output().unwrap();
    assert_eq!(gone.status.code(), Some(3), "{}", String::from_utf8_lossy(&gone.stderr));
}

fn lists(kept: &Kept) {
    let text = kept.done(&["list"]);
    assert!(text.starts_with("SUBOS  PROGRAM  STATE "), "{text}");
    let row = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(row("echo").contains("alive") && row("spare").contains("absent"), "{text}");
    assert!(text.contains("4 cores, free: 2,3;"), "{text}");
    let echo = kept.subos("echo");
    assert_eq!((cores(&echo), lots(&echo), &echo["state"]), (vec![1], vec![(0, 32)], &Value::from("alive")));
}

/// Whether the running system agrees with its manifest, and what is said of it.
fn authority(kept: &Kept) -> (bool, String) {
    let mut command = archipelago();
    command.args(["authority", "--live"]).arg(place::harness().join("tests/data/operated.toml"));
    let output = command.arg("--machine").arg(&kept.socket).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

/// What the running system says of who holds what agrees with its manifest, until an operator changes it.
fn agrees(kept: &Kept) {
    let (agrees, text) = authority(kept);
    assert!(agrees && text.contains("the running system agrees"), "{text}");
    kept.done(&["grow", "echo", "--core", "3"]);
    kept.done(&["grow", "echo", "--mib", "8"]);
    let (agrees, text) = authority(kept);
    let core = "core 3: by the manifest nobody has it, by the supervisor echo, by the ledger echo";
    let memory = "memory of echo: by the manifest 32 MiB, by the supervisor 8 MiB and 32 MiB";
    assert!(!agrees && text.contains(core) && text.contains(memory), "{text}");
    kept.done(&["shrink", "echo", "--core", "3"]);
    kept.done(&["shrink", "echo", "--lot", "1"]);
    let (agrees, text) = authority(kept);
    assert!(agrees, "{text}");
}

fn changes(kept: &Kept) {
    assert_eq!(kept.json(&["create", "spare"])["done"], true);
    assert_eq!(lots(&kept.subos("spare")), [(0, 32), (1, 16)]);
    kept.done(&["grow", "echo", "--core", "3"]);
    kept.done(&["grow", "echo", "--mib", "8"]);
    assert_eq!((cores(&kept.subos("echo")), lots(&kept.subos("echo"))), (vec![1, 3], vec![(0, 32), (1, 8)]));
    kept.done(&["move", "echo", "spare", "--core", "3"]);
    kept.done(&["move", "spare", "echo", "--lot", "1", "--ask", "200"]);
    let (echo, spare) = (kept.subos("echo"), kept.subos("spare"));
    assert_eq!((cores(&echo), cores(&spare)), (vec![1], vec![2, 3]));
    assert_eq!((lots(&echo), lots(&spare)), (vec![(0, 32), (1, 8), (2, 16)], vec![(0, 32)]));
    kept.done(&["shrink", "spare", "--core", "2"]);
    kept.done(&["shrink", "echo", "--lot", "2"]);
    let progress = |name: &str| kept.subos(name)["progress"].as_u64().unwrap_or(0);
    assert!(progress("echo") > 0);
    kept.done(&["restart", "spare"]);
    let spare = kept.subos("spare");
    assert_eq!((cores(&spare), &spare["state"]), (vec![3], &Value::from("alive")));
    kept.done(&["destroy", "spare"]);
    assert_eq!(kept.subos("spare")["state"], "absent");
}

fn refuses(kept: &Kept) {
    kept.refused(&["create", "echo"], "echo exists already");
    kept.refused(&["destroy", "spare"], "spare does not exist now");
    kept.refused(&["restart", "ghost"], "there is no subOS ghost; there are echo, spare");
    kept.refused(&["destroy", "a-name-that-is-too-long"], "a name has at most 16 bytes");
    kept.refused(&["grow", "echo", "--mib", "100000"], "100000 MiB of memory are asked for, and ");
    kept.refused(&["grow", "echo", "--mib", "3"], "pieces of 2 MiB");
    kept.refused(&["grow", "echo", "--core", "64"], "there is no core 64: the machine has 4");
    kept.refused(&["grow", "echo", "--core", "0"], "core 0 is the supervisor's");
    kept.refused(&["shrink", "echo", "--lot", "0"], "lot 0 is echo's home lot");
    kept.refused(&["shrink", "echo", "--core", "2"], "echo does not have core 2; it has 1");
    let refusal = kept.ctl(&["create", "echo", "--json"]);
    let told: Value = serde_json::from_slice(&refusal.stdout).unwrap();
    assert_eq!((refusal.status.code(), &told["done"]), (Some(1), &Value::from(false)));
    for words in [&["grow", "echo"][..], &["shrink", "echo", "--core", "x"], &["conquer"], &[]] {
        assert_eq!(kept.ctl(words).status.code(), Some(2), "{words:?}");
    }
}

/// The log has what was told before anybody asked, of one or of all, and what was ordered.
fn tells_what_was(kept: &Kept) {
    let log = kept.done(&["log"]);
    assert!(log.starts_with("boot t="), "{log}");
    for part in ["step ", "own t=", "order t=", "what=\"destroy spare\" result=ok"] {
        assert!(log.contains(part), "{part:?} is not in {log}");
    }
    let of_echo = kept.done(&["log", "echo"]);
    assert!(of_echo.contains("owner=echo") && !of_echo.contains("spare"), "{of_echo}");
    let records = kept.done(&["log", "--json"]);
    let kinds: Vec<Value> = records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(kinds.iter().any(|record| record["record"] == "own" && record["core"] == 1), "{records}");
    assert_eq!(kept.done(&["log", "nobody"]), "");
}

/// What goes on now, once: each subOS and each of its cores, with rates that are not all nothing.
fn tells_what_goes_on(kept: &Kept) {
    let text = kept.done(&["top", "--once"]);
    for part in ["512 MiB of memory", "PROGRESS/s", "CORE  SUBOS", "CALLS/s", "echo", "spare"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let works = |_| {
        let top = kept.json(&["top"]);
        let rows = top["on_cores"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "{top}");
        assert_eq!((&rows[0]["subos"], &rows[0]["core"]), (&Value::from("echo"), &Value::from(1)));
        rows[0]["calls_per_second"].as_f64().unwrap() > 0.0
    };
    // A host that is busy may let a core stand still for one look, not for all.
    assert!((0..100).any(works), "echo never does anything");
}

/// What cores did last, by name; and the same for a viewer.
fn traces(kept: &Kept) {
    let text = kept.done(&["trace"]);
    for part in ["core 0 (supervisor)", "core 1 (echo)", "Endpoint."] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let file = place::scratch("control").unwrap().join(format!("trace-{}.json", std::process::id()));
    kept.done(&["trace", "--ms", "20", "--to", file.to_str().unwrap()]);
    let trace: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    fs::remove_file(&file).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let is = |name: &str, core: u64| events.iter().any(|it| it["name"] == name && it["tid"] == core);
    // The server of the pair answers, and waits for the next, on the core that echo has.
    assert!(is("Endpoint.reply_receive", 1) || is("Endpoint.call", 1), "{trace}");
    let times = events.iter().filter(|it| it["tid"] == 1).filter_map(|it| it["ts"].as_f64());
    assert!(times.is_sorted(), "a core's events are in their order");
}

#[test]
fn shells_complete_what_ctl_can_do() {
    for shell in ["bash", "zsh", "fish"] {
        let output = archipelago().args(["completion", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        for word in ["ctl", "keep-running", "restart", "shrink", "machine"] {
            assert!(output.status.success() && script.contains(word), "{shell}: no {word}");
        }
    }
}

/// Several operators at once: each is served, one after the other.
fn serves_many(kept: &Kept) {
    let mut lookers: Vec<Child> = (0..5).map(|_| spawned(kept, &["list", "--json"])).collect();
    let mut orderers: Vec<Child> = (0..3).map(|_| spawned(kept, &["restart", "echo"])).collect();
    for operator in lookers.iter_mut().chain(&mut orderers) {
        assert_eq!(operator.wait().unwrap().code(), Some(0));
    }
    assert_eq!(kept.subos("echo")["state"], "alive");
}

fn spawned(kept: &Kept, words: &[&str]) -> Child {
    kept.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Operators who say rubbish, or go away in the middle of a word or of an order, disturb nobody.
fn survives_rubbish(kept: &Kept) {
    let before = kept.json(&["list"])["rubbish_heard"].as_u64().unwrap();
    for rubbish in [&b"\0half a fra"[..], b"GET / HTTP/1.1\r\n\r\n\0", &[0x55; 4000], &[0xff, 0, 0xff, 0]] {
        UnixStream::connect(&kept.socket).unwrap().write_all(rubbish).unwrap();
    }
    let mut leaver = spawned(kept, &["restart", "echo"]);
    leaver.kill().unwrap();
    leaver.wait().unwrap();
    let list = kept.json(&["list"]);
    assert!(list["rubbish_heard"].as_u64().unwrap() > before, "{list}");
    assert_eq!(kept.subos("echo")["state"], "alive");
}
