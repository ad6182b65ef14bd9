//! What can be said to `ctl`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

/// A look at a machine, or a change of it.
#[derive(Debug, Args)]
pub struct Ctl {
    /// What to see or to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// Which machine: the name of its manifest, or the path of its socket. Not needed if only one is kept up.
    #[arg(long, global = true, value_name = "NAME")]
    pub machine: Option<String>,
    /// Tell it as JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to see or to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lists the subOSes, and who has what.
    List,
    /// Creates a subOS of the manifest that does not exist: one that no step has created yet, or that is gone.
    Create {
        /// Its name.
        name: String,
    },
    /// Gives a subOS a core that nobody has, or new memory.
    #[command(group = ArgGroup::new("what").required(true))]
    Grow {
        /// Its name.
        name: String,
        /// The core.
        #[arg(long, value_name = "N", group = "what")]
        core: Option<u8>,
        /// So much memory, in MiB.
        #[arg(long, value_name = "MIB", group = "what")]
        mib: Option<u32>,
    },
    /// Takes a core or a lot of memory from a subOS.
    #[command(group = ArgGroup::new("what").required(true))]
    Shrink {
        /// Its name.
        name: String,
        /// What is taken.
        #[command(flatten)]
        piece: Piece,
    },
    /// Takes a core or a lot of memory from a subOS, and gives it, or as much, to another.
    #[command(group = ArgGroup::new("what").required(true))]
    Move {
        /// Who has it.
        from: String,
        /// Who gets it.
        to: String,
        /// What is moved.
        #[command(flatten)]
        piece: Piece,
    },
    /// Ends a subOS by force.
    Destroy {
        /// Its name.
        name: String,
    },
    /// Ends a subOS by force, and builds it again with the cores and the memory that it has.
    Restart {
        /// Its name.
        name: String,
    },
    /// Shows what the supervisor wrote, as far as it remembers: what subOSes printed, and what it told itself.
    Log {
        /// Only of this subOS.
        name: Option<String>,
        /// Go on showing what comes.
        #[arg(long, short)]
        follow: bool,
    },
    /// Tells what each core did last, system call by system call, out of the machine's memory, which costs it nothing.
    Trace {
        /// Watch for so long, in milliseconds; without it, what is in the cores' rings now is told.
        #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=60_000))]
        ms: u64,
        /// Write it to this file, for the viewers of Chrome and Perfetto. With --json the same goes to standard output.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Shows what each subOS does on each core, on the whole terminal, until `q` is pressed.
    Top {
        /// Tell it once, as text; so it is, too, where the output is no terminal.
        #[arg(long)]
        once: bool,
    },
    /// Ends the run: everything is destroyed, the ledger compared, the machine audited.
    End,
}

/// A core or a lot that somebody has.
#[derive(Debug, Clone, Copy, Args)]
pub struct Piece {
    /// The core.
    #[arg(long, value_name = "N", group = "what")]
    pub core: Option<u8>,
    /// The lot, by its number among the owner's; `list` shows them. Lot 0 goes only with its owner.
    #[arg(long, value_name = "N", group = "what")]
    pub lot: Option<u8>,
    /// Ask for it first, for so many milliseconds; without this it is taken by force at once.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub ask: u32,
}
