//! One bench: the deterministic machine, once with one core and once with several.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use idl::bundle::{ARGUMENTS, BOOT, EntryKind};
use idl::program::Program;

use super::Counting;
use super::figures::{self, Figure, Figures};
use super::kernel_image::KernelImage;
use super::log::{Log, What};
use super::masked;
use super::profile;
use super::rows::{self, Way};
use super::source;
use crate::failure::{Doing, Failure, Result};
use crate::host;
use crate::image::{self, Class, Content};
use crate::machine::{Accelerator, Clockwork, Debugger, Exit, Machine, Run, Sharing};
use crate::tools::{self, Install};

/// Cores of the machine on which cores move.
const CORES: u32 = 4;
/// Memory of the machines, in MiB; of the one on which cores move, that lots of 1 GiB fit.
const MEMORY: u32 = 1024;
const MEMORY_OF_MANY: u32 = 3072;
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

/// Measures all rows, with the kernel of this class.
///
/// # Errors
/// When something does not build, a run ends badly, or a row is missing.
pub fn measure(install: Install, class: Class) -> Result<Bench> {
    let subject = Subject::build(install, class)?;
    let mut all = Vec::new();
    let one = subject.run("one", 1, Following::Nothing)?;
    all.extend(figures::clocked(&one.transcript)?);
    all.push(boot(&one.log, subject.image.entry, subject.entry)?);
    let many = subject.run("many", CORES, Following::Nothing)?;
    all.extend(figures::clocked(&many.transcript)?);
    all.extend(figures::counted(&many.transcript, &many.log, subject.entry)?);
    let longest = [&one.log, &many.log].map(masked::longest).into_iter().collect::<Result<Vec<_>>>()?;
    all.push(figures::single(rows::MASKED, longest.into_iter().max().unwrap_or(0))?);
    all.push(figures::single(rows::LINES, source::kernel_lines()?)?);
    all.push(figures::single(rows::IMAGE, subject.image.bytes)?);
    let figures = figures::complete(all)?;
    let mut flags = subject.machine(1).arguments();
    if let Some(cores) = flags.iter().position(|flag| flag == "-smp").and_then(|at| flags.get_mut(at + 1)) {
        *cores = format!("1 or {CORES}");
    }
    Ok(Bench { figures, qemu: version(&subject.qemu)?, flags })
}

/// Says where the instructions of a row are that is measured on one core.
///
/// # Errors
/// Those of [`measure`]; when there is no such row, or it is not timed call by call.
pub fn follow(install: Install, class: Class, key: &str) -> Result<String> {
    let known = || Failure::new(format!("{key} is no row that can be followed"));
    let row = rows::row(key).filter(|row| row.way == Way::Clock).ok_or_else(known)?;
    let subject = Subject::build(install, class)?;
    let run = subject.run("one", 1, Following::Instructions)?;
    let figure = figures::clocked(&run.transcript)?.into_iter().find(|figure| figure.row == row);
    let median = figure.ok_or_else(|| Failure::new(format!("{} was not measured", row.title)))?.median;
    profile::profile(&run.log, median, &subject.kernel)
}

/// Says where the longest stretches are for which a core lets no interrupt in, in all of the bench.
///
/// # Errors
/// Those of [`measure`].
pub fn masked(install: Install, class: Class) -> Result<String> {
    let subject = Subject::build(install, class)?;
    let mut text = String::new();
    for (arguments, cores) in [("one", 1), ("many", CORES)] {
        let run = subject.run(arguments, cores, Following::Nothing)?;
        text.push_str(&format!("bench, {cores} cores\n{}", masked::report(&run.log, &subject.kernel)?));
    }
    Ok(text)
}

/// Whether single instructions are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Following {
    Nothing,
    Instructions,
}

/// What is measured.
pub(super) struct Subject {
    qemu: PathBuf,
    kernel: PathBuf,
    image: KernelImage,
    program: Vec<u8>,
    /// The address of the program's first instruction.
    pub(super) entry: u64,
}

/// What came of a run.
pub(super) struct Measured {
    pub(super) transcript: Vec<String>,
    pub(super) log: Log,
}

impl Subject {
    pub(super) fn build(install: Install, class: Class) -> Result<Self> {
        let program = host::program("bench")?;
        let entry = Program::parse(&program, program.len() as u64);
        let entry = entry.doing(|| "the bench is no program".to_owned())?.entry();
        let kernel = image::kernel(class)?;
        let elf = std::fs::read(&kernel).doing(|| format!("cannot read {}", kernel.display()))?;
        let image = KernelImage::read(&elf)?;
        Ok(Self { qemu: tools::qemu(install)?, kernel, image, program, entry })
    }

    fn machine(&self, cores: u32) -> Machine {
        Machine {
            qemu: self.qemu.clone(),
            accelerator: Accelerator::Tcg,
            cores,
            memory: if cores == CORES { MEMORY_OF_MANY } else { MEMORY },
            clockwork: Clockwork::Deterministic,
            debugger: Debugger::None,
            control: None,
            sharing: Sharing::Private,
            extra: Vec::new(),
        }
    }

    pub(super) fn run(&self, arguments: &str, cores: u32, following: Following) -> Result<Measured> {
        let mut counting = Counting::new(&format!("bench-{arguments}"))?.masked(self.image.masks);
        counting = counting.watch(self.image.entry).watch(self.entry);
        for function in &self.image.memory_functions {
            counting = counting.apart(function.clone());
        }
        if following == Following::Instructions {
            counting = counting.profile();
        }
        let machine = Machine { extra: counting.arguments()?, ..self.machine(cores) };
        let contents = [
            Content::new(BOOT, EntryKind::Program, self.program.clone()),
            Content::new(ARGUMENTS, EntryKind::Arguments, arguments.as_bytes().to_vec()),
        ];
        let bundle = image::write_bundle(&format!("bench-{arguments}"), &contents)?;
        let run = Run { machine: &machine, kernel: &self.kernel, bundle: bundle.path(), nominal: NOMINAL };
        let outcome = run.play(&mut |_| {})?;
        if outcome.exit != Exit::Success {
            return Err(outcome.failure(&format!("the bench on {cores} cores failed")));
        }
        Ok(Measured { log: counting.take()?, transcript: outcome.transcript })
    }
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
