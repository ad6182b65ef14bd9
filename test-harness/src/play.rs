//! Playing a manifest: from its files to a story that is judged. What a person sees of it is elsewhere.

use std::path::PathBuf;
use std::time::Duration;

use idl::bundle::{ARGUMENTS, BOOT, EntryKind, PLAN, SUPERVISOR};
use idl::operator::OPERATOR;
use idl::plan::MAX_ENCODED;
use idl::servers::{Servers, TABLE};

use crate::calls;
use crate::failure::{Doing, Failure, Result};
use crate::host::{self, Files, Input};
use crate::image::{self, Class, Content};
use crate::machine::{Accelerator, Clockwork, Debugger, Exit, Machine, Outcome, Run, Sharing};
use crate::manifest::{Compare, Manifest, Source};
use crate::story::{Event, Story, judge};
use crate::tools::Install;

/// How long a command that is compared with may take on the host: a hundred times what the demonstration's does.
const HOST_PATIENCE: Duration = Duration::from_secs(60);

/// How long a run may be kept up, in seconds: a year.
const KEPT_UP: u64 = 365 * 24 * 3600;

/// What a manifest is played on.
#[derive(Clone, Debug)]
pub struct Board {
    /// The QEMU program.
    pub qemu: PathBuf,
    /// The accelerator, chosen already.
    pub accelerator: Accelerator,
    /// Whether gdb is waited for.
    pub debugger: Debugger,
    /// Whether what is missing may be fetched.
    pub install: Install,
    /// Which kernel.
    pub kernel: Class,
    /// How the machine's clock goes.
    pub clockwork: Clockwork,
    /// Where an operator is let in, if one is: then the run is kept up until he ends it.
    pub control: Option<PathBuf>,
    /// More arguments for QEMU: a plugin, say.
    pub extra: Vec<String>,
    /// The program that supervises.
    pub supervisor: &'static str,
    /// Its arguments.
    pub arguments: String,
}

impl Board {
    /// The kernel that ships, on a machine that goes as fast as it can.
    #[must_use]
    pub fn new(qemu: PathBuf, accelerator: Accelerator, install: Install) -> Self {
        let (kernel, clockwork) = (Class::Kernel, Clockwork::Free);
        Self {
            qemu,
            accelerator,
            debugger: Debugger::None,
            install,
            kernel,
            clockwork,
            control: None,
            extra: Vec::new(),
            supervisor: SUPERVISOR,
            arguments: String::new(),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Played {
    /// How the machine ended.
    pub outcome: Outcome,
    /// What happened.
    pub story: Story,
    /// Everything that is wrong with it.
    pub wrong: Vec<String>,
    /// The subOSes whose output is what the host prints, and how many bytes that is.
    pub same: Vec<(String, usize)>,
    /// The calls that led to the last crash of the supervisor, innermost first, if it crashed.
    pub calls: Vec<String>,
}

/// Plays a manifest, and shows each event to `see` when it happens. `name` tells runs of one process apart.
///
/// # Errors
/// When something is missing, does not build, or QEMU cannot be started. A run that ends badly is [`Played`].
pub fn play(
    board: &Board,
    name: &str,
    manifest: &Manifest,
    input: &Input,
    see: &mut dyn FnMut(Duration, &Event),
) -> Result<Played> {
    let files = Files::gather(manifest, input, board.install)?;
    let kernel = image::kernel(board.kernel)?;
    let mut contents = contents(board, manifest, &files)?;
    if board.control.is_some() {
        contents.push(Content::new(OPERATOR, EntryKind::File, Vec::new()));
    }
    let bundle = image::write_bundle(&format!("run-{name}"), &contents)?;
    let machine = Machine {
        qemu: board.qemu.clone(),
        accelerator: board.accelerator,
        cores: manifest.cores,
        memory: manifest.memory,
        clockwork: board.clockwork,
        debugger: board.debugger,
        control: board.control.clone(),
        // An operator can have the cores' traces read out of it.
        sharing: if board.control.is_some() { Sharing::Shared } else { Sharing::Private },
        extra: board.extra.clone(),
    };
    let seconds = if board.control.is_some() { KEPT_UP } else { u64::from(manifest.seconds) };
    let nominal = Duration::from_secs(seconds);
    let mut story = Story::default();
    let run = Run { machine: &machine, kernel: &kernel, bundle: bundle.path(), nominal };
    let mut calls = Vec::new();
    let outcome = run.play(&mut |line| {
        if let Some(event) = story.tell(&line.text) {
            see(line.at, &event);
        }
        let trace = calls::told(&line.text);
        if !trace.is_empty() {
            calls = named(board.supervisor, &trace);
            calls.iter().for_each(|call| see(line.at, &Event::Text(format!("    called by {call}"))));
        }
    })?;
    // What an operator does with a run is no part of its manifest: only the machine's own verdict counts then.
    if board.control.is_some() {
        return Ok(Played { outcome, story, wrong: Vec::new(), same: Vec::new(), calls });
    }
    let mut wrong = judge(&story, manifest);
    let same = compare(&story, manifest, &files, &mut wrong);
    Ok(Played { outcome, story, wrong, same, calls })
}

/// What the addresses of a program are called; as numbers where nobody knows.
fn named(program: &str, addresses: &[u64]) -> Vec<String> {
    let functions = image::program_named(program).and_then(|program| image::functions(program).ok());
    let functions = functions.unwrap_or_default();
    addresses.iter().map(|address| functions.caller(*address)).collect()
}

impl Played {
    /// Whether all is well.
    ///
    /// # Errors
    /// Everything that is not, with the end of the transcript if the machine ended badly.
    pub fn check(&self) -> Result<()> {
        if self.outcome.exit != Exit::Success {
            let what = "the run did not end well";
            // Of a machine that never said anything there is nothing to judge.
            let list = if self.wrong.is_empty() || self.outcome.transcript.is_empty() {
                String::new()
            } else {
                format!(" ({})", self.wrong.join("; "))
            };
            let calls = match self.calls.as_slice() {
                [] => String::new(),
                calls => format!("; the supervisor's last crash was called by {}", calls.join(", by ")),
            };
            return Err(self.outcome.failure(&format!("{what}{list}{calls}")));
        }
        if self.wrong.is_empty() {
            return Ok(());
        }
        Err(Failure::new("the run ended, but not all is well").detail(self.wrong.join("\n")))
    }
}

/// What the supervisor finds in its bundle.
fn contents(board: &Board, manifest: &Manifest, files: &Files) -> Result<Vec<Content>> {
    let mut buffer = vec![0; MAX_ENCODED];
    let plan =
        idl::plan::encode(&manifest.plan, &mut buffer).doing(|| "the plan cannot be encoded".to_owned())?;
    let mut contents = vec![
        Content::new(BOOT, EntryKind::Program, host::program("keeper")?),
        Content::new(SUPERVISOR, EntryKind::Program, host::program(board.supervisor)?),
        Content::new(PLAN, EntryKind::File, plan.to_vec()),
    ];
    if !board.arguments.is_empty() {
        let arguments = board.arguments.clone().into_bytes();
        contents.push(Content::new(ARGUMENTS, EntryKind::Arguments, arguments));
    }
    for subos in &manifest.plan.suboses {
        let name = subos.program.as_str();
        if !contents.iter().any(|content| content.name == name) {
            contents.push(Content::new(name, EntryKind::Program, host::program(name)?));
        }
    }
    for (subos, planned) in manifest.suboses.iter().zip(&manifest.plan.suboses) {
        if planned.files.is_empty() {
            continue;
        }
        let mut nested: Vec<Content> = subos
            .files
            .iter()
            .map(|name| {
                let program = matches!(manifest.files.get(name), Some(Source::Program(_)));
                let kind = if program { EntryKind::Program } else { EntryKind::File };
                Content::new(name, kind, files.get(name).to_vec())
            })
            .collect();
        nested.extend(subos.servers.as_ref().map(table).transpose()?);
        contents.push(Content::nested(&planned.files, &nested)?);
    }
    Ok(contents)
}

/// The table of a subOS's servers, as init finds it.
fn table(servers: &Servers) -> Result<Content> {
    let mut buffer = vec![0; idl::servers::MAX_ENCODED];
    let bytes = idl::servers::encode(servers, &mut buffer)
        .doing(|| "the table of servers cannot be encoded".to_owned())?;
    Ok(Content::new(TABLE, EntryKind::File, bytes.to_vec()))
}

/// Runs on the host what subOSes ran, where the manifest asks for it: who printed the same, and what differs.
fn compare(
    story: &Story,
    manifest: &Manifest,
    files: &Files,
    wrong: &mut Vec<String>,
) -> Vec<(String, usize)> {
    let mut same = Vec::new();
    for (subos, planned) in manifest.suboses.iter().zip(&manifest.plan.suboses) {
        if subos.compare != Compare::Host {
            continue;
        }
        let printed = story.output.get(&subos.name).map_or(&[][..], Vec::as_slice);
        // A host that cannot say what is right takes nothing away of what was seen of the machine.
        let difference = match host::run(&planned.arguments, &subos.files, files, HOST_PATIENCE) {
            Ok(expected) => host::difference(&subos.name, &expected, printed),
            Err(failure) => Some(format!("nothing to compare {}'s output with: {failure}", subos.name)),
        };
        match difference {
            Some(difference) => wrong.push(difference),
            None => same.push((subos.name.clone(), printed.len())),
        }
    }
    same
}
