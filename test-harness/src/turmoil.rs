//! Turmoil: one machine on which subOSes are made, resized, given windows, killed and ended, in an order that a seed decides,
//! while all of them work. What is done and what must hold is in `test-harness/guest/src/turmoil.rs`.

use std::time::Duration;

use idl::bundle::{ARGUMENTS, BOOT, EntryKind};

use crate::cases::{Case, Stage, check};
use crate::failure::Result;
use crate::host;
use crate::image::{Class, Content};
use crate::machine::{Clockwork, Sharing};

/// Operations to be done on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turmoil {
    /// What the operations are drawn from.
    pub seed: u64,
    /// How many.
    pub operations: u64,
    /// How time goes: the same in every run of this seed, or so that cores race.
    pub clockwork: Clockwork,
}

/// Cores, of which the supervisor has the first and a witness the second.
const CORES: u32 = 8;
/// Memory in MiB: more than all subOSes of the crowd have at once.
const MEMORY: u32 = 1024;

impl Turmoil {
    /// Does all of them and checks what came of it; the transcript, if all is well.
    ///
    /// # Errors
    /// When something does not build, QEMU cannot be started, or something is not as it should be: then how to see it again.
    pub fn pass(&self, stage: &Stage) -> Result<Vec<String>> {
        let arguments = format!("turmoil seed={} ops={}", self.seed, self.operations);
        let contents = [
            Content::new(BOOT, EntryKind::Program, host::program("target-tests")?),
            Content::new(ARGUMENTS, EntryKind::Arguments, arguments.into_bytes()),
        ];
        let mut machine = stage.machine(CORES, MEMORY, Sharing::Private);
        machine.clockwork = self.clockwork;
        let name = format!("turmoil-{}-{}-{:?}", self.seed, self.operations, self.clockwork);
        let nominal = Duration::from_secs(30)
            + Duration::from_millis(60) * u32::try_from(self.operations).unwrap_or(u32::MAX);
        let outcome = stage.boot(&machine, Class::Kernel, &name, &contents, nominal)?;
        let case = Case::new("turmoil").says(&["@turmoil operations="]);
        check(&case, &outcome).map_err(|failure| failure.next(format!("again with: {}", self.command())))?;
        Ok(outcome.transcript)
    }

    /// The command that does the same.
    #[must_use]
    pub fn command(&self) -> String {
        let clockwork = match self.clockwork {
            Clockwork::Deterministic => " --counted",
            Clockwork::Free => "",
        };
        format!("cargo run -- turmoil --seed {} --ops {}{clockwork}", self.seed, self.operations)
    }
}
