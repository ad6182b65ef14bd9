//! Running one case.

use std::path::PathBuf;
use std::time::Duration;

use idl::bundle::{ARGUMENTS, BOOT, EntryKind};

use super::{Case, check};
use crate::failure::Result;
use crate::host;
use crate::image::{self, Class, Content};
use crate::machine::{self, Accel, Clockwork, Debugger, Machine, Outcome, Run, Sharing};
use crate::play::Board;
use crate::tools::{self, Install};

/// What all cases need: where QEMU is and which accelerator works.
#[derive(Clone, Debug)]
pub struct Stage {
    qemu: PathBuf,
    accelerator: machine::Accelerator,
}

impl Stage {
    /// Finds or installs QEMU and chooses the accelerator.
    ///
    /// # Errors
    /// When there is no QEMU, or the accelerator that was asked for does not work.
    pub fn prepare(install: Install, accel: Accel) -> Result<Self> {
        let qemu = tools::qemu(install)?;
        let accelerator = machine::choose_accelerator(accel, &qemu)?;
        Ok(Self { qemu, accelerator })
    }

    /// What manifests are played on.
    #[must_use]
    pub fn board(&self) -> Board {
        Board::new(self.qemu.clone(), self.accelerator, Install::from_environment())
    }

    /// A machine on which nothing is fixed but what is said here. One whose memory is shared has so much more of it as
    /// a journal takes.
    #[must_use]
    pub fn machine(&self, cores: u32, memory: u32, sharing: Sharing) -> Machine {
        let more = match sharing {
            Sharing::Shared => u32::try_from(idl::journal::BYTES >> 20).unwrap_or(0),
            Sharing::Private => 0,
        };
        Machine {
            qemu: self.qemu.clone(),
            accelerator: self.accelerator,
            cores,
            memory: memory + more,
            clockwork: Clockwork::Free,
            debugger: Debugger::None,
            control: None,
            sharing,
            extra: Vec::new(),
        }
    }

    /// Boots a bundle of these contents on a machine and lets it run to its end, whatever the end is.
    ///
    /// # Errors
    /// When the kernel does not build, or QEMU cannot be started.
    pub fn boot(
        &self,
        machine: &Machine,
        kernel: Class,
        name: &str,
        contents: &[Content],
        nominal: Duration,
    ) -> Result<Outcome> {
        let kernel = image::kernel(kernel)?;
        let bundle = image::write_bundle(name, contents)?;
        Run { machine, kernel: &kernel, bundle: bundle.path(), nominal }.play(&mut |_| {})
    }

    /// Runs a case to its end, whatever the end is.
    ///
    /// # Errors
    /// When something does not build, or QEMU cannot be started.
    pub fn play(&self, case: &Case) -> Result<Outcome> {
        self.play_with(case, &[])
    }

    /// The same, with more of QEMU's arguments.
    ///
    /// # Errors
    /// Those of [`Stage::play`].
    pub fn play_with(&self, case: &Case, extra: &[String]) -> Result<Outcome> {
        let sharing = match case.kernel {
            Class::KernelJournal => Sharing::Shared,
            _ => Sharing::Private,
        };
        let mut machine = self.machine(case.cores, case.memory, sharing);
        machine.extra.extend_from_slice(extra);
        let nominal = Duration::from_secs(u64::from(case.seconds));
        self.boot(&machine, case.kernel, &case.name.replace("::", "-"), &contents(case)?, nominal)
    }

    /// Runs a case and checks what came of it; the transcript, if it passed.
    ///
    /// # Errors
    /// Those of [`Stage::play`] and of [`check()`].
    pub fn pass(&self, case: &Case) -> Result<Vec<String>> {
        let outcome = self.play(case)?;
        check(case, &outcome)?;
        Ok(outcome.transcript)
    }
}

/// An environment variable: the seed of cases that draw something, to play them again.
const SEED: &str = "ARCHIPELAGO_SEED";

fn contents(case: &Case) -> Result<Vec<Content>> {
    let seed = case.seed.or_else(|| std::env::var(SEED).ok()?.parse().ok());
    let arguments = seed.map_or_else(|| case.name.to_owned(), |seed| format!("{}@{seed}", case.name));
    let mut contents = vec![
        Content::new(BOOT, EntryKind::Program, host::program("target-tests")?),
        Content::new(ARGUMENTS, EntryKind::Arguments, arguments.into_bytes()),
    ];
    contents.extend(programs(case.programs)?);
    Ok(contents)
}

/// Entries with the images of these programs, under their own names.
///
/// # Errors
/// When one does not build.
pub fn programs(names: &[&str]) -> Result<Vec<Content>> {
    names.iter().map(|name| Ok(Content::new(name, EntryKind::Program, host::program(name)?))).collect()
}
