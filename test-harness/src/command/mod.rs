//! What each command does.

mod authority;
mod bench;
mod caps;
mod check;
mod lint;
mod new_service;
mod prepare;
mod replay;
mod run;
mod sharing;
mod soak;
mod turmoil;

use clap::CommandFactory;

use crate::cli::{Cli, Command, Options};
use crate::failure::Result;
use crate::machine::Clockwork;
use crate::manifest::Overrides;
use crate::tools::Install;
use crate::watch::recorded::Wanted;

use bench::Checking;

/// Carries out a command.
///
/// # Errors
/// Whatever went wrong, for a person to read.
pub fn execute(cli: &Cli) -> Result<()> {
    match &cli.command {
        None => run::run(&cli.options, None, None, None),
        Some(Command::Run { manifest, input, keep_running: true, .. }) => {
            run::keep_running(&cli.options, manifest.as_deref(), input.as_deref())
        }
        Some(Command::Run { manifest, input, record, keep_running: false }) => {
            run::run(&cli.options, manifest.as_deref(), input.as_deref(), record.as_deref())
        }
        Some(Command::Ctl(ctl)) => ctl.execute(),
        Some(Command::Completion { shell }) => {
            clap_complete::generate(*shell, &mut Cli::command(), "archipelago", &mut std::io::stdout());
            Ok(())
        }
        Some(Command::Replay { folder }) => replay::replay(&cli.options, folder),
        Some(Command::Bench { scale: true, .. }) => bench::scale(&cli.options),
        Some(Command::Bench { victim: true, .. }) => bench::victim(&cli.options),
        Some(Command::Bench { masked: Some(cases), .. }) => bench::masked(&cli.options, cases),
        Some(Command::Bench { profile: Some(row), .. }) => bench::profile(&cli.options, row),
        Some(Command::Bench { json, check, .. }) => {
            let checking = if *check { Checking::TwiceAndPadded } else { Checking::Nothing };
            bench::bench(&cli.options, json.as_deref(), checking)
        }
        Some(Command::Sharing { manifest, input }) => {
            sharing::sharing(&cli.options, manifest.as_deref(), input.as_deref())
        }
        Some(Command::Soak { host: true, .. }) => soak::soak_host(),
        Some(Command::Soak { minutes, seed, host: false, long }) => {
            let cases = if *long { soak::Cases::LongToo } else { soak::Cases::Short };
            soak::soak(&cli.options, *minutes, *seed, cases)
        }
        Some(Command::Check { journal: Some(path), .. }) => check::check_kept(path),
        Some(Command::Check { seed, ops, game, journal: None }) => {
            check::check(&cli.options, check::Checking { seed: *seed, operations: *ops, first: *game })
        }
        Some(Command::Turmoil { seed, ops, counted }) => {
            let clockwork = if *counted { Clockwork::Deterministic } else { Clockwork::Free };
            turmoil::turmoil(&cli.options, *seed, *ops, clockwork)
        }
        Some(Command::Caps { file, kernel, skip, steps }) => {
            let wanted = Wanted { kernel: *kernel, skip: *skip, count: *steps };
            caps::caps(file.as_deref(), wanted)
        }
        Some(Command::Authority { manifest, live: true, machine }) => {
            authority::live(manifest.as_deref(), cli.options.overrides(), machine.as_deref())
        }
        Some(Command::Authority { manifest, .. }) => {
            authority::authority(manifest.as_deref(), cli.options.overrides())
        }
        Some(Command::NewService { name }) => new_service::new_service(name),
        Some(Command::Lint) => lint::lint(),
        Some(Command::Prepare) => prepare::prepare(&cli.options),
    }
}

impl Options {
    /// What the command line says instead of a manifest.
    #[must_use]
    pub const fn overrides(&self) -> Overrides {
        Overrides { cores: self.cores, memory: self.memory }
    }

    /// Whether packages may be installed: the flag and the environment must both allow it.
    #[must_use]
    pub fn install(&self) -> Install {
        if self.no_install { Install::Refused } else { Install::from_environment() }
    }
}
