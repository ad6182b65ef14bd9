//! The museum: bugs with a name, of which a check build has all, and shows one when told to.
//!
//! Design principles
//!
//! 1. *What ships has no choice in it.* `caps` and `userlib` know nothing of the museum. Build scripts weave the bugs into
//!    a copy of their sources (`weave.rs`), and that copy is a crate of its own (`museum/caps`, `museum/userlib`), which the
//!    unchanged tests run against. The two bugs of the kernel are in builds that keep the journal.
//! 2. *One build, one choice a process*: [`exhibit`], or the environment ([`VARIABLE`]) before the first look.
//! 3. *Each has a killer*, the test that finds it, in the table of `docs/mutants.md`; [`trial`] holds them to it.
//!
//! Reading order: [`EXHIBITS`], [`selected`], `weave.rs`, [`trial`].

#![forbid(unsafe_code)]

mod exhibits;
mod page;
pub mod trial;
#[cfg(any(test, feature = "weave"))]
pub mod weave;

use std::sync::atomic::{AtomicUsize, Ordering};

pub use exhibits::EXHIBITS;

/// A bug.
#[derive(Clone, Copy, Debug)]
pub struct Exhibit {
    /// What it is called, here and in `docs/mutants.md`.
    pub name: &'static str,
    /// Where it is planted.
    pub home: Home,
}

/// A piece of text of a file, which is there once, and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The file, from the folder of the sources.
    pub file: &'static str,
    /// What it says.
    pub from: &'static str,
    /// What it says with the bug.
    pub to: &'static str,
}

/// Where a bug is planted.
#[derive(Clone, Copy, Debug)]
pub enum Home {
    /// In the copy of `caps`, at one place and maybe at more.
    Caps(Place, &'static [Place]),
    /// In the copy of `userlib`.
    Userlib(Place),
    /// In kernels that keep the journal (`microkernel/src/journal/mutant.rs`), where a program orders it.
    Kernel {
        /// The target case that must fail then. The one of the group `museum` that has the same name orders the bug first.
        case: &'static str,
    },
}

impl Exhibit {
    /// The same bug at these places too.
    const fn and(self, more: &'static [Place]) -> Self {
        match self.home {
            Home::Caps(first, _) => Self { home: Home::Caps(first, more), ..self },
            _ => self,
        }
    }

    /// The places of the text that it changes.
    pub fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let (first, more) = match self.home {
            Home::Caps(first, more) => (Some(first), more),
            Home::Userlib(only) => (Some(only), &[][..]),
            Home::Kernel { .. } => (None, &[][..]),
        };
        first.into_iter().chain(more.iter().copied())
    }

    /// Whether it is planted in the copy of these sources.
    #[must_use]
    pub fn is_of(&self, sources: Sources) -> bool {
        match self.home {
            Home::Caps(..) => sources == Sources::Caps,
            Home::Userlib(_) => sources == Sources::Userlib,
            Home::Kernel { .. } => false,
        }
    }
}

/// Sources of which there is a copy with bugs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// `caps/src`.
    Caps,
    /// Of `userlib/src`, the files in which there are bugs.
    Userlib,
}

impl Sources {
    /// Their folder, from the root of the checkout.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Caps => "caps/src",
            Self::Userlib => "userlib/src",
        }
    }

    /// Whether the copy is of all files, whether there are bugs in them or not.
    #[must_use]
    pub const fn are_a_crate(self) -> bool {
        matches!(self, Self::Caps)
    }
}

/// The variable of the environment that names the bug to show.
pub const VARIABLE: &str = "ARCHIPELAGO_MUSEUM";

/// Nobody has chosen yet.
const UNDECIDED: usize = usize::MAX;
/// No bug is shown.
const NOTHING: usize = 0;

static SELECTED: AtomicUsize = AtomicUsize::new(UNDECIDED);

/// There is no such bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown(String);

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no bug of the museum is called {:?}: docs/mutants.md has their names", self.0)
    }
}

impl std::error::Error for Unknown {}

/// Shows the bug of this name from now on, in the whole process, or none.
///
/// # Errors
/// When there is none of this name, or it is not one that a process can choose because it is in kernels.
pub fn exhibit(name: Option<&str>) -> Result<(), Unknown> {
    let number = name.map_or(Ok(NOTHING), number_of)?;
    SELECTED.store(number, Ordering::Relaxed);
    Ok(())
}

/// Which bug is shown, by its number: what the woven sources ask.
#[inline]
#[must_use]
pub fn selected() -> usize {
    match SELECTED.load(Ordering::Relaxed) {
        UNDECIDED => decide(),
        number => number,
    }
}

/// The number of a bug in the woven sources: its place in the museum, from 1 on.
fn number_of(name: &str) -> Result<usize, Unknown> {
    let kernels = |exhibit: &Exhibit| matches!(exhibit.home, Home::Kernel { .. });
    let found = EXHIBITS.iter().position(|exhibit| exhibit.name == name && !kernels(exhibit));
    found.map(|position| position + 1).ok_or_else(|| Unknown(name.to_owned()))
}

/// What the environment asks for. The process ends if that is no bug: a test that fails because of a name that is spelt
/// wrongly must not look like one that has found something.
#[cold]
fn decide() -> usize {
    let asked = std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
    let asked = asked.map(|name| name.to_string_lossy().into_owned());
    if let Err(unknown) = exhibit(asked.as_deref()) {
        // Not by `eprintln`, which tests keep to themselves.
        let _ =
            std::io::Write::write_all(&mut std::io::stderr(), format!("{VARIABLE}: {unknown}\n").as_bytes());
        std::process::exit(2);
    }
    SELECTED.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_told_by_its_name() {
        let kernels = EXHIBITS.iter().find(|exhibit| matches!(exhibit.home, Home::Kernel { .. })).unwrap();
        for name in ["", "no such bug", kernels.name] {
            let told = exhibit(Some(name)).unwrap_err().to_string();
            assert!(told.contains(&format!("{name:?}")), "{told}");
        }
    }
}
