//! Manifests: what a run is made of, in a text that a person writes.
//!
//! `text` is the form of the file, `check` finds what is wrong with the subOSes, `steps` plays the steps on paper (`resize` those
//! that move several things) to find what cannot be done, and `complaint` says it with file, line and reason. What comes out, a [`Manifest`], is
//! sound: the supervisor refuses nothing of it for a reason that could be known here.

mod check;
mod complaint;
mod resize;
mod servers;
mod steps;
mod text;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use idl::plan::Plan;
use idl::servers::Servers;

use crate::failure::{Doing, Failure, Result};
use crate::place::{self, shown};
use complaint::Complaint;

pub(crate) use servers::known_rights;
pub use text::Source;

/// A manifest that was found to be sound.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// How many cores the machine has.
    pub cores: u32,
    /// The machine's memory in MiB.
    pub memory: u32,
    /// How long the run may take after boot, in seconds.
    pub seconds: u32,
    /// What the supervisor gets.
    pub plan: Plan,
    /// What the supervisor has no use for, for each subOS of the plan.
    pub suboses: Vec<SubOs>,
    /// What each step of the plan is, in words.
    pub steps: Vec<String>,
    /// Where each file comes from.
    pub files: BTreeMap<String, Source>,
    /// The folder that paths of files are relative to.
    pub folder: PathBuf,
    origin: Origin,
}

/// The text that a manifest was read from.
#[derive(Clone, Debug)]
struct Origin {
    file: String,
    text: String,
    /// Where it says how much memory the machine has, unless the command line says that.
    memory: Option<Range<usize>>,
}

impl Manifest {
    /// The text that it was read from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.origin.text
    }

    /// What is found wrong only later, with the memory of this subOS: file, line, reason.
    #[must_use]
    pub fn about_memory_of(&self, subos: &SubOs, reason: String) -> Failure {
        self.complain(Some(subos.home.clone()), reason)
    }

    /// What is found wrong only later, with the memory of the machine: file, line, reason.
    #[must_use]
    pub fn about_memory(&self, reason: String) -> Failure {
        self.complain(self.origin.memory.clone(), reason)
    }

    fn complain(&self, place: Option<Range<usize>>, reason: String) -> Failure {
        Complaint::at(place, reason).into_failure(&self.origin.file, &self.origin.text)
    }
}

/// What the harness knows of a subOS and the supervisor has no use for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubOs {
    /// Its name.
    pub name: String,
    /// The names of the files that it sees.
    pub files: Vec<String>,
    /// The servers that its init builds, if it has a table.
    pub servers: Option<Servers>,
    /// Whether its output must be what the host prints for the same command.
    pub compare: Compare,
    /// Where its home lot stands in the text.
    home: Range<usize>,
}

/// What a subOS's output is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compare {
    /// Nothing.
    #[default]
    Nothing,
    /// What the host prints for the same command over the same files.
    Host,
}

/// What a command line says instead of the manifest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overrides {
    /// Number of cores.
    pub cores: Option<u32>,
    /// Memory in MiB.
    pub memory: Option<u32>,
}

/// Where the manifest is that is played when none is named.
#[must_use]
pub fn demo() -> PathBuf {
    place::harness().join("manifests/demo.toml")
}

/// Reads a manifest.
///
/// # Errors
/// The first thing that is wrong with it: file, line, reason.
pub fn load(path: &Path, overrides: Overrides) -> Result<Manifest> {
    let text = std::fs::read_to_string(path).doing(|| format!("cannot read the manifest {}", shown(path)));
    let text = text.map_err(|failure| {
        failure.next(format!("there are examples in {}", shown(&place::harness().join("manifests"))))
    })?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    parse(&shown(path).to_string(), &text, folder, overrides)
}

/// Reads the text of a manifest that `file` names and whose relative paths start in `folder`.
///
/// # Errors
/// The first thing that is wrong with it: file, line, reason.
pub fn parse(file: &str, text: &str, folder: &Path, overrides: Overrides) -> Result<Manifest> {
    read(file, text, folder, overrides).map_err(|complaint| -> Failure { complaint.into_failure(file, text) })
}

fn read(file: &str, text: &str, folder: &Path, overrides: Overrides) -> complaint::Result<Manifest> {
    let raw: text::Manifest = toml::from_str(text)?;
    let memory = overrides.memory.is_none().then(|| raw.machine.memory.span());
    let machine = check::machine(&raw.machine, overrides)?;
    check::files(&raw, folder)?;
    let suboses = check::suboses(&raw, &machine)?;
    let windows = check::windows(&raw, &machine, &suboses)?;
    let steps = steps::steps(&raw, &machine, &suboses, &windows)?;
    let mut plan = Plan { windows: windows.into_iter().collect(), ..Plan::default() };
    let mut known = Vec::new();
    let mut files: BTreeMap<String, Source> =
        raw.files.iter().map(|(name, source)| (name.clone(), source.get_ref().clone())).collect();
    for (planned, subos) in suboses {
        for server in subos.servers.iter().flat_map(|table| &table.servers) {
            let program = server.program.as_str().to_owned();
            files.entry(program.clone()).or_insert(Source::Program(program));
        }
        plan.suboses.push(planned).map_err(|_| Complaint::whole("there are too many subOSes"))?;
        known.push(subos);
    }
    let mut words = Vec::new();
    for (step, text) in steps {
        plan.steps.push(step).map_err(|_| Complaint::whole("there are too many steps"))?;
        words.push(text);
    }
    Ok(Manifest {
        cores: machine.cores,
        memory: machine.memory,
        seconds: machine.seconds,
        plan,
        suboses: known,
        steps: words,
        files,
        folder: folder.to_owned(),
        origin: Origin { file: file.to_owned(), text: text.to_owned(), memory },
    })
}
