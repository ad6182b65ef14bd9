//! Target cases: programs that run on the machine, each an ordinary case of `cargo test`.
//!
//! To add a case: one line in [`table`](CASES), one function of the same name in `test-harness/guest`. The guest
//! program `target-tests` is subOS 0 and finds the case's name in its arguments. It ends with a record
//! `@test result=ok` or `@test result=failed message=...` and the machine's exit status to match.

mod check;
mod pairs;
mod play;
mod table;

use crate::image::Class;

pub use check::check;
pub use pairs::{Pairs, declared_pairs};
pub use play::{Stage, programs};
pub use table::{CASES, LONG_CASES, MUSEUM, MUTANTS};

/// What must come of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The guest says that it passed.
    Pass,
    /// The supervisor's own kernel panics.
    KernelPanic,
}

/// One case.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name, here and in the guest program: words joined by `_`, with `::` between group and case.
    pub name: &'static str,
    /// Which kernel runs it: the one that ships, unless it needs a hook.
    pub kernel: Class,
    /// How many cores.
    pub cores: u32,
    /// Memory in MiB.
    pub memory: u32,
    /// How long it may take after boot, in seconds, where deadlines are chosen.
    pub seconds: u32,
    /// Programs that the bundle holds besides, by their name.
    pub programs: &'static [&'static str],
    /// What must come of it.
    pub expect: Expect,
    /// Texts that must each occur in a line of the transcript.
    pub says: &'static [&'static str],
    /// Whether what its kernels do is held against the specification, on a kernel that keeps a journal.
    pub refines: bool,
    /// What it draws from, if it draws anything and is to be like another run of it; else it chooses, and prints that.
    pub seed: Option<u64>,
}

impl Case {
    /// A case with one core and 256 MiB on the shipped kernel that must pass within 10 seconds.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            kernel: Class::Kernel,
            cores: 1,
            memory: 256,
            seconds: 10,
            programs: &[],
            expect: Expect::Pass,
            says: &[],
            refines: true,
            seed: None,
        }
    }

    /// With this many cores.
    #[must_use]
    pub const fn cores(mut self, cores: u32) -> Self {
        self.cores = cores;
        self
    }

    /// With this much memory, in MiB.
    #[must_use]
    pub const fn memory(mut self, memory: u32) -> Self {
        self.memory = memory;
        self
    }

    /// May take this long, in seconds.
    #[must_use]
    pub const fn seconds(mut self, seconds: u32) -> Self {
        self.seconds = seconds;
        self
    }

    /// On the kernel with the tests' hooks.
    #[must_use]
    pub const fn hooks(mut self) -> Self {
        self.kernel = Class::KernelHooks;
        self
    }

    /// Not held against the specification: in which hundreds of kernels die, whose journals end in the middle of something;
    /// or that does the same few things without end, so that its journal takes minutes and says what others say.
    #[must_use]
    pub const fn unreplayed(mut self) -> Self {
        self.refines = false;
        self
    }

    /// With these programs in the bundle.
    #[must_use]
    pub const fn programs(mut self, programs: &'static [&'static str]) -> Self {
        self.programs = programs;
        self
    }

    /// Must end in a panic of the supervisor's own kernel.
    #[must_use]
    pub const fn panics(mut self) -> Self {
        self.expect = Expect::KernelPanic;
        self
    }

    /// Must say each of these.
    #[must_use]
    pub const fn says(mut self, says: &'static [&'static str]) -> Self {
        self.says = says;
        self
    }
}
