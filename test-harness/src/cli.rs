//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::machine::Accel;

/// Archipelago on a virtual machine: without a command, the demonstration of demo.toml.
#[derive(Debug, Parser)]
#[command(name = "archipelago", version, max_term_width = 100)]
pub struct Cli {
    /// What to do; `run` if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to do it.
    #[command(flatten)]
    pub options: Options,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Number of cores, instead of the manifest's.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub cores: Option<u32>,
    /// Memory in MiB, instead of the manifest's.
    #[arg(long, global = true, value_name = "MIB", value_parser = clap::value_parser!(u32).range(128..=65536))]
    pub memory: Option<u32>,
    /// Accelerator; auto takes KVM only if it really runs a guest here.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub accel: Accel,
    /// Let the machine wait for gdb, on this TCP port of this host alone, and say how to attach.
    #[arg(long, global = true, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    #[arg(require_equals = true, num_args = 0..=1, default_missing_value = "1234")]
    pub gdb: Option<u16>,
    /// Never install anything: say what is missing and the command that installs it.
    #[arg(long, global = true)]
    pub no_install: bool,
}

/// What the harness can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Plays a manifest: builds its subOSes and carries out its steps.
    Run {
        /// The manifest; the demonstration if none is given.
        manifest: Option<PathBuf>,
        /// A text file for the program to work on, instead of the repository's own documents.
        #[arg(long, value_name = "FILE")]
        input: Option<PathBuf>,
        /// Keep all that the run was made of and all that came of it in this folder, for `replay`.
        #[arg(long, value_name = "DIR")]
        record: Option<PathBuf>,
        /// Keep the machine up when all steps are done, for `ctl` from another terminal; `ctl end` or Ctrl-C ends it.
        #[arg(long, conflicts_with = "record")]
        keep_running: bool,
    },
    /// Writes what makes a shell complete commands of `archipelago`, to standard output.
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Looks at a machine that `run --keep-running` keeps up, and changes it. Ends with 1 if the machine refuses or fails, 2 if
    /// the command line is wrong, 3 if no machine answers.
    Ctl(crate::ctl::Ctl),
    /// Plays a run again that `run --record` kept, and fails where it ends otherwise than it did.
    Replay {
        /// The folder.
        folder: PathBuf,
    },
    /// Counts guest instructions of the operations that matter, on a deterministic machine.
    Bench {
        /// Where to write the results as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Also run it again, which must give the same figures, and with a hundred instructions more on some paths,
        /// which must move the rows that pass them by a hundred and no others.
        #[arg(long)]
        check: bool,
        /// Instead of the table, show what operations cost while there are 2, 8 and 32 subOSes, and fail where that
        /// depends on the others more than it is known to.
        #[arg(long, conflicts_with_all = ["json", "check", "profile"])]
        scale: bool,
        /// Instead of the table, show which functions of the kernel the instructions of this row are in. Its name is
        /// what the document calls the operation: null-call, round-trip, map...
        #[arg(long, value_name = "ROW", conflicts_with_all = ["json", "check"])]
        profile: Option<String>,
        /// Instead of the table, show what the rounds of a subOS take that works steadily, alone and while others are made, resized,
        /// flooded and ended beside it, and fail if they differ by an instruction.
        #[arg(long, conflicts_with_all = ["json", "check", "profile", "scale", "masked"])]
        victim: bool,
        /// Instead of the table, show where the longest stretches are for which a core lets no interrupt in: of the bench, or of
        /// the target cases whose names contain this.
        #[arg(long, value_name = "CASE", conflicts_with_all = ["json", "check", "profile", "scale"])]
        #[arg(num_args = 0..=1, default_missing_value = "")]
        masked: Option<String>,
    },
    /// Plays a manifest with a step `watch`, sees every access to memory meanwhile, and fails if a cache line is written
    /// by one subOS and touched by another outside the share that is declared between them.
    Sharing {
        /// The manifest; steady.toml if none is given.
        manifest: Option<PathBuf>,
        /// A text file for the program to work on, instead of the repository's own documents.
        #[arg(long, value_name = "FILE")]
        input: Option<PathBuf>,
    },
    /// Makes ten thousand operations of `turmoil`; then runs the target cases again and again, in another order each round, and a
    /// game of `check` after each.
    Soak {
        /// For how long, in minutes.
        #[arg(long, value_name = "N", default_value_t = 5)]
        minutes: u32,
        /// What the orders and the games are drawn from; another each time if none is given.
        #[arg(long)]
        seed: Option<u64>,
        /// Instead, run to their ends the tests of the host that `cargo test` leaves out since they take minutes: larger
        /// scopes of the exhaustive searches, and every weakening of the kernel's protocols.
        #[arg(long, conflicts_with_all = ["minutes", "seed", "long"])]
        host: bool,
        /// Also play the cases that take minutes each, each to its end: kernels that fail at every place that they come past,
        /// bits that flip in every argument. Takes longer than is asked for.
        #[arg(long)]
        long: bool,
    },
    /// Plays random system calls on the real kernel, on several cores of two subOSes, and holds all that it does to
    /// capabilities against the specification.
    Check {
        /// What the games are drawn from; another each time if none is given.
        #[arg(long)]
        seed: Option<u64>,
        /// How many operations to compare at least.
        #[arg(long, value_name = "N", default_value_t = 200_000)]
        ops: u64,
        /// The number of the first game to play: a failure says which one it was.
        #[arg(long, value_name = "N", default_value_t = 0)]
        game: u64,
        /// Instead, compare the journal in this file, as a failure leaves one.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "ops", "game"])]
        journal: Option<PathBuf>,
    },
    /// Creates, resizes, kills and destroys subOSes in random order on 8 cores, with windows between them, while all of them
    /// work, and some of them against everybody; the machine is audited after each hundred operations, and in the end
    /// everything must be where it was.
    Turmoil {
        /// What the operations are drawn from; another each time if none is given.
        #[arg(long)]
        seed: Option<u64>,
        /// How many operations.
        #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(100..))]
        ops: u64,
        /// By a clock that counts instructions, so that a seed's run is the same each time, instead of letting cores race.
        #[arg(long)]
        counted: bool,
    },
    /// Draws a forest of capabilities and a ledger, step by step, as text and as SVG.
    #[command(after_help = crate::watch::script::HELP)]
    Caps {
        /// A script (what it can say is below), or a journal that `check` left; two scripts that come along if none is
        /// given.
        file: Option<PathBuf>,
        /// Of a journal: which kernel, by the order in which they began.
        #[arg(long, value_name = "N", default_value_t = 1)]
        kernel: u16,
        /// Of a journal: how many changes to leave out first.
        #[arg(long, value_name = "N", default_value_t = 0)]
        skip: usize,
        /// Of a journal: how many steps to show at most.
        #[arg(long, value_name = "N", default_value_t = 100)]
        steps: usize,
    },
    /// Tells and draws who can reach what in a manifest, before anything runs: what each subOS and server holds, and whom it
    /// may call, with which rights, directly and through others.
    Authority {
        /// The manifest; the demonstration if none is given.
        manifest: Option<PathBuf>,
        /// Also ask the system that `run --keep-running` keeps up with this manifest who holds what, and fail if it is not as
        /// the manifest has it after the steps that are done; each difference is named.
        #[arg(long)]
        live: bool,
        /// Which system: the name of its manifest, or the path of its socket. Not needed if only one is kept up.
        #[arg(long, value_name = "NAME", requires = "live")]
        machine: Option<String>,
    },
    /// Writes a new service that works, as a crate under subos-server: an interface, a server, a client, their tests, and a
    /// manifest that runs them. docs/guide goes on from there.
    NewService {
        /// Its name: lower-case words, as in `block-cache`.
        name: String,
    },
    /// Runs clippy over everything that is built for the target, as it is built; warnings are errors.
    Lint,
    /// Installs, fetches and builds what the other commands need, and runs nothing.
    Prepare,
}
