//! One run: start QEMU, read what the guest writes as it comes, and end in time.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::child::{Guarded, die_with_parent};
use super::{Debugger, Exit, Machine, Outcome, Ram, Sharing, pace};
use crate::failure::{Doing, Failure, Result};
use crate::place::{self, shown};
use crate::say::say;

/// Who wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The guest, on its serial line.
    Guest,
    /// QEMU, on its standard error.
    Qemu,
}

/// A line, and when it came.
#[derive(Clone, Debug)]
pub struct Line {
    /// Who wrote it.
    pub stream: Stream,
    /// The text, without its end.
    pub text: String,
    /// When it came, from the start of QEMU.
    pub at: Duration,
}

/// A run that is about to begin.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// The kernel's ELF file.
    pub kernel: &'a Path,
    /// The bundle.
    pub bundle: &'a Path,
    /// How long it may take after boot on the machine where deadlines are chosen.
    pub nominal: Duration,
}

/// Longest line that is kept whole; a guest that never ends its line fills no memory.
const LONGEST_LINE: u64 = 1 << 20;
/// How long QEMU may take to be gone after it closed its output.
const LAST_BREATH: Duration = Duration::from_secs(5);

impl Run<'_> {
    /// Runs the machine to its end and shows every line of the guest to `see`. Runs with several cores happen one at
    /// a time on this host, so that their times mean something.
    ///
    /// # Errors
    /// When QEMU cannot be started. A run that ends badly is an [`Outcome`].
    pub fn play(&self, see: &mut dyn FnMut(&Line)) -> Result<Outcome> {
        // One that is kept up for an operator would keep all others waiting.
        let alone = self.machine.cores > 1 && self.machine.control.is_none();
        let _one_at_a_time = alone.then(|| place::lock("qemu")).transpose()?;
        let mut command = Command::new(&self.machine.qemu);
        command
            .args(self.machine.arguments())
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.bundle);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        die_with_parent(&mut command);
        if let Debugger::Waits(port) = self.machine.debugger {
            tell_how_to_attach(self.kernel, port);
        }
        let begin = Instant::now();
        let child = command.spawn().doing(|| format!("cannot run {}", self.machine.qemu.display()))?;
        let mut child = Guarded::new(child);
        let ram = match self.machine.sharing {
            Sharing::Private => None,
            Sharing::Shared => Some(Ram::open(child.child().id(), || Ok(child.try_wait()?.is_none()))?),
        };
        let lines = read_lines(&mut child, begin)?;
        let mut outcome = self.listen(&lines, begin, see);
        outcome.ram = ram;
        if outcome.exit != Exit::Deadline {
            outcome.exit = Exit::from_status(wait_briefly(&mut child)?);
        } else {
            child.end()?;
        }
        // What was still on its way when the time was up.
        lines.iter().for_each(|line| keep(&mut outcome, &line, see));
        outcome.elapsed = begin.elapsed();
        Ok(outcome)
    }

    /// Reads until both streams are closed, or the time is up.
    fn listen(&self, lines: &Receiver<Line>, begin: Instant, see: &mut dyn FnMut(&Line)) -> Outcome {
        let mut outcome = Outcome {
            exit: Exit::Crash(-1),
            transcript: Vec::new(),
            complaints: String::new(),
            elapsed: Duration::ZERO,
            boot: None,
            ram: None,
            allowed: Duration::ZERO,
        };
        loop {
            outcome.allowed = pace::allowed(self.nominal, outcome.boot);
            let left = match self.machine.debugger {
                Debugger::Waits(_) => Duration::from_secs(3600),
                Debugger::None => outcome.allowed.saturating_sub(begin.elapsed()),
            };
            match lines.recv_timeout(left) {
                Ok(line) => keep(&mut outcome, &line, see),
                Err(RecvTimeoutError::Disconnected) => return outcome,
                Err(RecvTimeoutError::Timeout) if self.machine.debugger != Debugger::None => {}
                Err(RecvTimeoutError::Timeout) => {
                    outcome.exit = Exit::Deadline;
                    return outcome;
                }
            }
        }
    }
}

fn keep(outcome: &mut Outcome, line: &Line, see: &mut dyn FnMut(&Line)) {
    match line.stream {
        Stream::Qemu => {
            outcome.complaints.push_str(&line.text);
            outcome.complaints.push('\n');
        }
        Stream::Guest => {
            outcome.boot.get_or_insert(line.at);
            outcome.transcript.push(line.text.clone());
            see(line);
        }
    }
}

/// Two threads that read QEMU's two streams. The channel closes when both are at their end.
fn read_lines(child: &mut Guarded, begin: Instant) -> Result<Receiver<Line>> {
    let lost = || Failure::new("QEMU's output is lost");
    let output = child.child().stdout.take().ok_or_else(lost)?;
    let errors = child.child().stderr.take().ok_or_else(lost)?;
    let (sender, lines) = mpsc::channel();
    let other = sender.clone();
    thread::spawn(move || read_stream(output, Stream::Guest, begin, &sender));
    thread::spawn(move || read_stream(errors, Stream::Qemu, begin, &other));
    Ok(lines)
}

fn read_stream(from: impl Read, stream: Stream, begin: Instant, to: &Sender<Line>) {
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
                if to.send(Line { stream, text, at: begin.elapsed() }).is_err() {
                    return;
                }
            }
        }
    }
}

fn wait_briefly(child: &mut Guarded) -> Result<std::process::ExitStatus> {
    let begin = Instant::now();
    while begin.elapsed() < LAST_BREATH {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.end()
}

fn tell_how_to_attach(kernel: &Path, port: u16) {
    say("the machine waits for gdb before its first instruction; in another terminal:");
    say(format_args!(
        "    gdb {} -ex 'target remote 127.0.0.1:{port}' -ex 'hbreak pvh_start' -ex continue",
        shown(kernel)
    ));
}
