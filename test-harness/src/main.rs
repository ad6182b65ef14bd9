//! `archipelago`: the one command of this repository. `cargo run -- --help` is its manual.

use std::process::ExitCode;

use clap::Parser;
use test_harness::cli::Cli;
use test_harness::command;
use test_harness::machine::end_with_us_on_signals;
use test_harness::say;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match end_with_us_on_signals().and_then(|()| command::execute(&cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say::fail(&failure);
            ExitCode::from(failure.exit_status())
        }
    }
}
