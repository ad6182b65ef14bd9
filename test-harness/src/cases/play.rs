//! Running one case.

use std::path::PathBuf;
use std::time::Duration;

use idl::bundle::{ARGUMENTS, BOOT, EntryKind};

use super::{Case, check};
use crate::failure::{Failure, Result};
use crate::image::{self, Content};
use crate::machine::{self, Accel, Clockwork, Debugger, Machine, Outcome, Run};
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

    /// Runs a case to its end, whatever the end is.
    ///
    /// # Errors
    /// When something does not build, or QEMU cannot be started.
    pub fn play(&self, case: &Case) -> Result<Outcome> {
        let machine = Machine {
            qemu: self.qemu.clone(),
            accelerator: self.accelerator,
            cores: case.cores,
            memory: case.memory,
            clockwork: Clockwork::Free,
            debugger: Debugger::None,
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
    /// Those of [`Stage::play`] and of [`check`].
    pub fn pass(&self, case: &Case) -> Result<Vec<String>> {
        let outcome = self.play(case)?;
        check(case, &outcome)?;
        Ok(outcome.transcript)
    }
}

fn contents(case: &Case) -> Result<Vec<Content>> {
    let program = |name: &str, entry: &str| {
        let source = image::program_named(name).ok_or_else(|| {
            Failure::new(format!("case {} needs the program {name}, which nobody builds", case.name))
        })?;
        Ok(Content::new(entry, EntryKind::Program, image::program_image(source)?))
    };
    let arguments = Content::new(ARGUMENTS, EntryKind::Arguments, case.name.as_bytes().to_vec());
    let mut contents = vec![program("target-tests", BOOT)?, arguments];
    for name in case.programs {
        contents.push(program(name, name)?);
    }
    Ok(contents)
}
