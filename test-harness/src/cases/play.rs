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

    /// Runs a case to its end, whatever the end is. A case on a kernel with the journal has so much more memory.
    ///
    /// # Errors
    /// When something does not build, or QEMU cannot be started.
    pub fn play(&self, case: &Case) -> Result<Outcome> {
        let (sharing, more) = match case.kernel {
            Class::KernelJournal => (Sharing::Shared, idl::journal::BYTES >> 20),
            _ => (Sharing::Private, 0),
        };
        let machine = Machine {
            qemu: self.qemu.clone(),
            accelerator: self.accelerator,
            cores: case.cores,
            memory: case.memory + u32::try_from(more).unwrap_or(0),
            clockwork: Clockwork::Free,
            debugger: Debugger::None,
            sharing,
            extra: Vec::new(),
        };
        let kernel = image::kernel(case.kernel)?;
        let bundle = image::write_bundle(&case.name.replace("::", "-"), &contents(case)?)?;
        let nominal = Duration::from_secs(u64::from(case.seconds));
        Run { machine: &machine, kernel: &kernel, bundle: bundle.path(), nominal }.play(&mut |_| {})
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

fn contents(case: &Case) -> Result<Vec<Content>> {
    let mut contents = vec![
        Content::new(BOOT, EntryKind::Program, host::program("target-tests")?),
        Content::new(ARGUMENTS, EntryKind::Arguments, case.name.as_bytes().to_vec()),
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
