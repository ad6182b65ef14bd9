//! The bench: how many guest instructions the operations that matter take, the same in every run.
//!
//! On the deterministic machine one tick of the guest's clock is one instruction, so the guest program `bench` can
//! measure whatever happens on its own core, and writes what it found as `@bench name= median= worst=`. What spans cores
//! cannot be told from a clock that counts all of them: there the guest executes markers, a plugin of QEMU notes each
//! core's count at each of them, and a record `@span name= begin= end= cores=` says which cores' counts between which
//! markers make the figure. Waiting (instructions around PAUSE) is listed apart.

mod report;
mod spans;

use std::path::PathBuf;
use std::time::Duration;

use idl::bundle::{ARGUMENTS, BOOT, EntryKind};
use idl::record::Record;

use crate::cases::programs;
use crate::failure::{Failure, Result};
use crate::host;
use crate::image::{self, Class, Content};
use crate::machine::{Accelerator, Clockwork, Debugger, Exit, Machine, Run};
use crate::measure::Counting;
use crate::measure::log::Log;
use crate::say::say;

pub use report::{json, table};

/// What one operation costs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Row {
    /// The operation.
    pub name: String,
    /// Instructions, in the median of all times it was done.
    pub median: u64,
    /// The most instructions that it ever took.
    pub worst: u64,
    /// Of the median, the instructions of each core that counts, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cores: Vec<(usize, u64)>,
    /// How often PAUSE was executed on those cores at most: waiting for another core, not in the figures of work.
    pub pauses: u64,
}

/// One boot of the machine, for some of the rows.
#[derive(Clone, Copy, Debug)]
struct Experiment {
    /// The guest program's arguments.
    arguments: &'static str,
    cores: u32,
    memory: u32,
    /// Programs in the bundle besides.
    programs: &'static [&'static str],
}

const EXPERIMENTS: &[Experiment] = &[
    Experiment { arguments: "one-core", cores: 1, memory: 256, programs: &[] },
    Experiment { arguments: "cores", cores: 3, memory: 512, programs: &["spinner"] },
];

/// What all experiments share.
#[derive(Clone, Debug)]
pub struct Bench {
    qemu: PathBuf,
    kernel: PathBuf,
}

impl Bench {
    /// Builds the kernel of this class.
    ///
    /// # Errors
    /// When something does not build.
    pub fn prepare(qemu: PathBuf, class: Class) -> Result<Self> {
        Ok(Self { qemu, kernel: image::kernel(class)? })
    }

    /// Runs every experiment. `words` are added to the guest program's arguments.
    ///
    /// # Errors
    /// When an experiment does not end well.
    pub fn run(&self, words: &str) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for experiment in EXPERIMENTS {
            rows.extend(self.experiment(experiment, words)?);
        }
        Ok(rows)
    }

    fn experiment(&self, experiment: &Experiment, words: &str) -> Result<Vec<Row>> {
        say(format_args!("counting instructions: {}", experiment.arguments));
        let counting = Counting::new(experiment.arguments)?;
        let machine = self.machine(experiment, counting.arguments()?);
        let arguments = format!("{} {words}", experiment.arguments);
        let mut contents = vec![
            Content::new(BOOT, EntryKind::Program, host::program("bench")?),
            Content::new(ARGUMENTS, EntryKind::Arguments, arguments.trim().as_bytes().to_vec()),
        ];
        contents.extend(programs(experiment.programs)?);
        let bundle = image::write_bundle("bench", &contents)?;
        let nominal = Duration::from_secs(60);
        let run = Run { machine: &machine, kernel: &self.kernel, bundle: bundle.path(), nominal };
        let outcome = run.play(&mut |_| {})?;
        if outcome.exit != Exit::Success {
            return Err(outcome.failure(&format!("the bench ({}) did not end well", experiment.arguments)));
        }
        let counts = counting.take()?;
        rows(&outcome.transcript, &counts).map_err(|failure| failure.detail(outcome.transcript.join("\n")))
    }

    fn machine(&self, experiment: &Experiment, extra: Vec<String>) -> Machine {
        Machine {
            qemu: self.qemu.clone(),
            accelerator: Accelerator::Tcg,
            cores: experiment.cores,
            memory: experiment.memory,
            clockwork: Clockwork::Deterministic,
            debugger: Debugger::None,
            extra,
        }
    }
}

/// What a transcript and the plugin's counts say together.
fn rows(transcript: &[String], counts: &Log) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for record in transcript.iter().filter_map(|line| Record::parse(line)) {
        let text = |key| {
            let bytes: Vec<u8> = record.get(key).map(|value| value.bytes().collect()).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let number = |key| {
            record.number(key).ok_or_else(|| Failure::new(format!("a record of the bench lacks {key}")))
        };
        match record.name {
            "bench" => rows.push(Row {
                name: text("name"),
                median: number("median")?,
                worst: number("worst")?,
                cores: Vec::new(),
                pauses: 0,
            }),
            "span" => {
                let cores: Vec<usize> =
                    text("cores").split(',').filter_map(|core| core.parse().ok()).collect();
                rows.push(spans::row(counts, &text("name"), number("begin")?, number("end")?, &cores)?);
            }
            _ => {}
        }
    }
    if rows.is_empty() {
        return Err(Failure::new("the bench measured nothing"));
    }
    Ok(rows)
}
