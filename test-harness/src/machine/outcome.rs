//! What came of a run.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use super::Ram;
use crate::failure::Failure;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The guest says that all went well.
    Success,
    /// The guest says that a test or the demo failed.
    Failed,
    /// The supervisor's own kernel panicked.
    KernelPanic,
    /// QEMU ended with a status that the guest does not use: the machine reset, or QEMU itself failed.
    Crash(i32),
    /// A signal ended QEMU.
    Signal(i32),
    /// The run's time was up.
    Deadline,
}

impl Exit {
    /// From QEMU's exit status. Writing v to the debug port makes it (v << 1) | 1.
    pub(super) fn from_status(status: ExitStatus) -> Self {
        match status.code() {
            Some(33) => Self::Success,
            Some(35) => Self::Failed,
            Some(37) => Self::KernelPanic,
            Some(code) => Self::Crash(code),
            None => Self::Signal(status.signal().unwrap_or(0)),
        }
    }

    /// In words.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::Success => "the machine ended well".to_owned(),
            Self::Failed => "the guest reports a failure".to_owned(),
            Self::KernelPanic => "the supervisor's kernel panicked".to_owned(),
            Self::Crash(0) => "the machine reset or switched off (a triple fault does that)".to_owned(),
            Self::Crash(code) => format!("QEMU ended with status {code}"),
            Self::Signal(signal) => format!("signal {signal} ended QEMU"),
            Self::Deadline => "the run's time was up".to_owned(),
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub exit: Exit,
    /// Every line that the guest wrote.
    pub transcript: Vec<String>,
    /// What QEMU itself complained of.
    pub complaints: String,
    /// From the start of QEMU to its end.
    pub elapsed: Duration,
    /// From the start of QEMU to the guest's first line.
    pub boot: Option<Duration>,
    /// The machine's memory, if it was shared.
    pub ram: Option<Ram>,
    /// How long the run would have been allowed to take.
    pub allowed: Duration,
}

/// How many lines of a transcript a failure shows.
const SHOWN: usize = 40;

impl Outcome {
    /// A failure that says `what`, with how the machine ended and the end of the transcript.
    #[must_use]
    pub fn failure(&self, what: &str) -> Failure {
        let time = if self.exit == Exit::Deadline {
            format!("{} s were allowed", self.allowed.as_secs())
        } else {
            format!("after {:.1} s", self.elapsed.as_secs_f64())
        };
        let mut detail = String::new();
        if !self.complaints.trim().is_empty() {
            detail.push_str(&format!("QEMU: {}\n", self.complaints.trim()));
        }
        let skipped = self.transcript.len().saturating_sub(SHOWN);
        match (self.transcript.is_empty(), skipped) {
            (true, _) => detail.push_str("the guest wrote nothing\n"),
            (false, 0) => detail.push_str("the transcript:\n"),
            (false, _) => detail.push_str(&format!("the transcript's end ({skipped} lines before it):\n")),
        }
        for line in self.transcript.iter().skip(skipped) {
            let cut: String = line.chars().take(400).collect();
            let more = if cut.len() < line.len() { "..." } else { "" };
            detail.push_str(&format!("| {cut}{more}\n"));
        }
        Failure::new(format!("{what}: {}, {time}", self.exit.describe())).detail(detail)
    }
}
