//! One bench: the deterministic machine, once with one core and once with several.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use idl::bundle::{ARGUMENTS, BOOT, EntryKind};
use idl::program::Program;

use super::Counting;
use super::figures::{self, Figure, Figures};
use super::kernel_image::KernelImage;
use super::log::{Log, What};
use super::rows;
use crate::failure::{Doing, Failure, Result};
use crate::host;
use crate::image::{self, Class, Content};
use crate::machine::{Accelerator, Clockwork, Debugger, Exit, Machine, Run};
use crate::tools::{self, Install};

/// Cores of the machine on which cores move.
const CORES: u32 = 4;
/// Memory of both machines, in MiB.
const MEMORY: u32 = 1024;
/// How long a run may take where deadlines are chosen.
const NOMINAL: Duration = Duration::from_secs(60);

/// What was measured, and on what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bench {
    /// The figures.
    pub figures: Figures,
    /// What QEMU says of its version.
    pub qemu: String,
    /// QEMU's arguments, without those that name files.
    pub flags: Vec<String>,
}

/// Which rows to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Every row.
    All,
    /// Those that are measured on one core.
    OneCore,
}

/// Measures rows, with the kernel of this class.
///
/// # Errors
/// When something does not build, a run ends badly, or a row is missing.
pub fn measure(install: Install, class: Class, which: Rows) -> Result<Bench> {
    let program = host::program("bench")?;
    let entry = Program::parse(&program, program.len() as u64);
    let entry = entry.doing(|| "the bench is no program".to_owned())?.entry();
    let kernel = image::kernel(class)?;
    let elf = std::fs::read(&kernel).doing(|| format!("cannot read {}", kernel.display()))?;
    let kernel_image = KernelImage::read(&elf)?;
    let mut all = Vec::new();
    let mut flags = Vec::new();
    let machines: &[(&str, u32)] = match which {
        Rows::All => &[("one", 1), ("many", CORES)],
        Rows::OneCore => &[("one", 1)],
    };
    for (arguments, cores) in machines.iter().copied() {
        let mut machine = Machine {
            qemu: tools::qemu(install)?,
            accelerator: Accelerator::Tcg,
            cores,
            memory: MEMORY,
            clockwork: Clockwork::Deterministic,
            debugger: Debugger::None,
            extra: Vec::new(),
        };
        flags = machine.arguments();
        let mut counting =
            Counting::new(&format!("bench-{arguments}"))?.watch(kernel_image.entry).watch(entry);
        for function in &kernel_image.memory_functions {
            counting = counting.apart(function.clone());
        }
        machine.extra = counting.arguments()?;
        let contents = [
            Content::new(BOOT, EntryKind::Program, program.clone()),
            Content::new(ARGUMENTS, EntryKind::Arguments, arguments.as_bytes().to_vec()),
        ];
        let bundle = image::write_bundle(&format!("bench-{arguments}"), &contents)?;
        let run = Run { machine: &machine, kernel: &kernel, bundle: bundle.path(), nominal: NOMINAL };
        let outcome = run.play(&mut |_| {})?;
        if outcome.exit != Exit::Success {
            return Err(outcome.failure(&format!("the bench on {cores} cores failed")));
        }
        let log = counting.take()?;
        all.extend(figures::clocked(&outcome.transcript)?);
        all.extend(figures::counted(&outcome.transcript, &log, entry)?);
        if cores == 1 {
            all.push(boot(&log, kernel_image.entry, entry)?);
        }
    }
    let figures = figures::complete(all, which)?;
    Ok(Bench { figures, qemu: version(&tools::qemu(install)?)?, flags })
}

/// What QEMU says of its version.
fn version(qemu: &Path) -> Result<String> {
    let output =
        Command::new(qemu).arg("--version").output().doing(|| format!("cannot run {}", qemu.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

/// From the kernel's first instruction to the program's. Both may lie at one address, in different spaces.
fn boot(log: &Log, kernel: u64, program: u64) -> Result<Figure> {
    let interval = log.intervals(What::Watched(kernel), What::Watched(program)).into_iter().next();
    let samples = interval.map(|interval| vec![interval.counts]).unwrap_or_default();
    let row = rows::row(rows::BOOT);
    row.and_then(|row| figures::summary(row, samples)).ok_or_else(|| Failure::new("the boot was not counted"))
}
