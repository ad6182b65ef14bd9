//! The form of a manifest: what may stand in the file. Each part knows where it stands, for the complaints.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::Compare;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) machine: Machine,
    #[serde(default)]
    pub(super) files: BTreeMap<String, Spanned<Source>>,
    #[serde(default)]
    pub(super) subos: Vec<SubOs>,
    #[serde(default)]
    pub(super) window: Vec<Window>,
    #[serde(default)]
    pub(super) step: Vec<Spanned<Step>>,
}

/// `[machine]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Machine {
    pub(super) cores: Spanned<u32>,
    pub(super) memory: Spanned<u32>,
    pub(super) seconds: Spanned<u32>,
}

/// `[[subos]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubOs {
    pub(super) name: Spanned<String>,
    pub(super) program: Spanned<String>,
    #[serde(default = "nothing")]
    pub(super) arguments: Spanned<String>,
    pub(super) cores: Spanned<Vec<Spanned<u8>>>,
    pub(super) memory: Spanned<Vec<Spanned<u32>>>,
    #[serde(default)]
    pub(super) files: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) start: Start,
    #[serde(default)]
    pub(super) duty: Duty,
    #[serde(default)]
    pub(super) compare: Compare,
    #[serde(default)]
    pub(super) restarts: u8,
    #[serde(default)]
    pub(super) ends: Ends,
    #[serde(default)]
    pub(super) scrub: Scrub,
    #[serde(default)]
    pub(super) server: Vec<Server>,
}

/// `[[subos.server]]`: a line of the table that init builds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) name: Spanned<String>,
    pub(super) program: Spanned<String>,
    #[serde(default = "nothing")]
    pub(super) arguments: Spanned<String>,
    /// In KiB.
    #[serde(default = "a_little")]
    pub(super) memory: Spanned<u32>,
    pub(super) core: Option<Spanned<u8>>,
    #[serde(default)]
    pub(super) calls: Vec<Call>,
    #[serde(default = "a_few_times")]
    pub(super) restart: Spanned<Restart>,
}

/// `{ server = "NAME", rights = ["RIGHT"] }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) server: Spanned<String>,
    #[serde(default)]
    pub(super) rights: Vec<Spanned<String>>,
}

/// `{ times = N, after = MILLISECONDS, at-most = MILLISECONDS }`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Restart {
    pub(super) times: u32,
    pub(super) after: u32,
    pub(super) at_most: u32,
}

impl Default for Restart {
    fn default() -> Self {
        Self { times: 3, after: 10, at_most: 1000 }
    }
}

fn a_few_times() -> Spanned<Restart> {
    Spanned::new(0..0, Restart::default())
}

fn a_little() -> Spanned<u32> {
    Spanned::new(0..0, 256)
}

/// `[[window]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    pub(super) name: Spanned<String>,
    pub(super) between: Spanned<[Spanned<String>; 2]>,
    pub(super) memory: Spanned<u32>,
}

/// With what status a subOS may end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ends {
    /// With 0.
    #[default]
    Well,
    /// With any.
    Anyhow,
}

fn nothing() -> Spanned<String> {
    Spanned::new(0..0, String::new())
}

/// When memory that is taken from a subOS is cleared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Scrub {
    /// Before it is free.
    #[default]
    AtOnce,
    /// When somebody gets it.
    AtGrant,
}

/// When a subOS is created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Start {
    /// Before the first step.
    #[default]
    Boot,
    /// By a step.
    Step,
}

/// What is expected of a subOS during every step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Duty {
    /// Nothing.
    #[default]
    None,
    /// That it goes on.
    Progress,
    /// That its foreign programs run, until it has ended.
    Programs,
}

/// Where a file comes from: one of these keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SourceKeys")]
pub enum Source {
    /// A file, relative to the manifest.
    Path(PathBuf),
    /// A program built for the target.
    Program(String),
    /// A Debian package's program, unmodified; there is `busybox`.
    Debian(String),
    /// The text to work on: `--input`, or the repository's own documents.
    Input(Documents),
}

/// Every key that a [`Source`] can have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceKeys {
    path: Option<PathBuf>,
    program: Option<String>,
    debian: Option<String>,
    input: Option<Documents>,
}

impl TryFrom<SourceKeys> for Source {
    type Error = String;

    fn try_from(keys: SourceKeys) -> Result<Self, String> {
        the_only([
            ("path", keys.path.map(Self::Path)),
            ("program", keys.program.map(Self::Program)),
            ("debian", keys.debian.map(Self::Debian)),
            ("input", keys.input.map(Self::Input)),
        ])
    }
}

/// The one key that is there.
fn the_only<T, const N: usize>(keys: [(&str, Option<T>); N]) -> Result<T, String> {
    let all = keys.each_ref().map(|(name, _)| *name).join(", ");
    let mut there: Vec<(&str, T)> =
        keys.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let names = there.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    match (there.pop(), there.len()) {
        (Some((_, value)), 0) => Ok(value),
        (None, _) => Err(format!("one of these keys is wanted here, and there is none: {all}")),
        (Some(_), _) => Err(format!("one key is wanted here, and there are several: {names}")),
    }
}

/// The only text to work on that a manifest can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Documents {
    /// The repository's own documents, unless the command line names a file.
    Documents,
}

/// `[[step]]`: one of the actions, and when.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Step {
    pub(super) say: Option<String>,
    pub(super) when: Option<When>,
    pub(super) patience: Option<Spanned<u32>>,
    pub(super) create: Option<Spanned<String>>,
    pub(super) kill: Option<Spanned<String>>,
    pub(super) move_core: Option<MoveCore>,
    pub(super) move_lot: Option<MoveLot>,
    pub(super) resize: Option<Spanned<Resize>>,
    pub(super) grant_lot: Option<GrantLot>,
    pub(super) open: Option<Spanned<String>>,
    pub(super) close: Option<Close>,
    pub(super) watch: Option<Spanned<u32>>,
    pub(super) check: Option<Check>,
}

/// What a step waits for.
#[derive(Debug, Deserialize)]
#[serde(try_from = "WhenKeys")]
pub(super) enum When {
    /// So many milliseconds.
    After(u32),
    /// `progress = { subos = "NAME", reaches = N }`
    Progress(Progress),
    /// `working = { subos = "NAME", core = N }`
    Working(Working),
    /// `guests = { subos = "NAME", core = N, reaches = N }`
    Guests(Count),
    /// `timer = { subos = "NAME", core = N, reaches = N }`
    Timer(Count),
    /// `ended = "NAME"`
    Ended(Spanned<String>),
}

/// Every key that a [`When`] can have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhenKeys {
    after: Option<u32>,
    progress: Option<Progress>,
    working: Option<Working>,
    guests: Option<Count>,
    timer: Option<Count>,
    ended: Option<Spanned<String>>,
}

impl TryFrom<WhenKeys> for When {
    type Error = String;

    fn try_from(keys: WhenKeys) -> Result<Self, String> {
        the_only([
            ("after", keys.after.map(Self::After)),
            ("progress", keys.progress.map(Self::Progress)),
            ("working", keys.working.map(Self::Working)),
            ("guests", keys.guests.map(Self::Guests)),
            ("timer", keys.timer.map(Self::Timer)),
            ("ended", keys.ended.map(Self::Ended)),
        ])
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    pub(super) subos: Spanned<String>,
    pub(super) reaches: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Count {
    pub(super) subos: Spanned<String>,
    pub(super) core: Spanned<u8>,
    pub(super) reaches: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Working {
    pub(super) subos: Spanned<String>,
    pub(super) core: Spanned<u8>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MoveCore {
    pub(super) core: Spanned<u8>,
    pub(super) from: Option<Spanned<String>>,
    pub(super) to: Option<Spanned<String>>,
    pub(super) ask: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MoveLot {
    pub(super) lot: Spanned<u8>,
    pub(super) from: Spanned<String>,
    pub(super) to: Option<Spanned<String>>,
    pub(super) ask: Option<u32>,
    #[serde(default)]
    pub(super) holds: Holds,
}

/// `resize = { from = "A", to = "B", cores = [N], lots = [N], memory = [MiB], ask = MS, refused = { core = N } }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resize {
    pub(super) from: Option<Spanned<String>>,
    pub(super) to: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) cores: Vec<Spanned<u8>>,
    #[serde(default)]
    pub(super) lots: Vec<Spanned<u8>>,
    #[serde(default)]
    pub(super) memory: Vec<Spanned<u32>>,
    pub(super) ask: Option<u32>,
    pub(super) refused: Option<Spanned<Part>>,
}

/// What a resize is to be refused for: one of these keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Part {
    /// A core.
    Core(u8),
    /// A lot of who has it.
    Lot(u8),
    /// New memory, in MiB.
    Memory(u32),
}

/// What a lot must hold when it is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Holds {
    /// Whatever it holds.
    #[default]
    Anything,
    /// Data; its owner says so when it is asked.
    Data,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantLot {
    pub(super) memory: Spanned<u32>,
    pub(super) to: Spanned<String>,
    pub(super) reuses: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Close {
    pub(super) window: Spanned<String>,
    pub(super) ask: Option<u32>,
}

/// What a step checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Check {
    /// The ledger is what it was at the start.
    Ledger,
    /// Every page table, core and interrupt route is what the ledger says.
    Audit,
    /// Nothing: the step only waits.
    Nothing,
}
