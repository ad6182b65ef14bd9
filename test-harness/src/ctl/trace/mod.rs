//! `ctl trace`: what each core did last, system call by system call.
//!
//! Each core keeps a ring of its last events in memory, for the case that its kernel dies. QEMU's memory can be read by the
//! process that keeps the machine up, and by whoever is the same user: so a trace is taken from outside, and costs the machine
//! nothing. What came and went between two looks is missed, and counted.

mod chrome;
mod names;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use idl::abi::PAGE_SIZE;
use idl::trace::{self, Event, RING_WORDS};

use super::{Control, failed};
use crate::failure::{Doing, Failure, Result};
use crate::machine::Ram;
use crate::place::shown;
use crate::say::{say, show};

/// How long to rest between two looks.
const NAP: Duration = Duration::from_millis(1);
/// Most events that are kept of a core.
const MOST: usize = 200_000;

/// What was seen of a core.
#[derive(Clone, Debug, Default)]
pub(super) struct CoreTrace {
    pub(super) core: u64,
    /// Who has it.
    pub(super) owner: String,
    pub(super) events: Vec<Event>,
    /// The number of the event that comes next.
    next: u64,
    /// Events between the first and the last that came and went unseen.
    pub(super) missed: u64,
}

/// What was seen of a machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    /// Ticks in a second.
    pub(super) hz: u64,
    pub(super) cores: Vec<CoreTrace>,
}

/// Watches for so long, then tells it: as a file for a trace viewer, as the same on standard output, or as text.
pub(super) fn trace(
    control: &Control,
    socket: &Path,
    span: Duration,
    to: Option<&Path>,
    as_json: bool,
) -> Result<()> {
    let trace = take(control, &memory(socket)?, span)?;
    let (count, missed) = trace
        .cores
        .iter()
        .fold((0, 0), |(count, missed), core| (count + core.events.len(), missed + core.missed));
    match to {
        Some(file) => {
            fs::write(file, chrome::value(&trace).to_string())
                .doing(|| format!("cannot write {}", file.display()))?;
            say(format_args!(
                "{count} events are in {}, for ui.perfetto.dev or chrome://tracing; {missed} came and went unseen",
                shown(file)
            ));
        }
        None if as_json => show(chrome::value(&trace)),
        None => show(text(&trace)),
    }
    Ok(())
}

/// Watches for so long, but looks once at least.
fn take(control: &Control, ram: &Ram, span: Duration) -> Result<Trace> {
    let places = control.client().places().map_err(|error| failed("learn where the traces are", error))?;
    let view = control.view()?;
    let owner = |core: u64| {
        let subos = view.suboses.iter().find(|subos| subos.cores >> core & 1 != 0);
        subos.map_or(if core == 0 { "supervisor" } else { "nobody" }.to_owned(), |subos| {
            subos.name.to_string()
        })
    };
    let mut trace = Trace { hz: view.machine.hz.max(1), cores: Vec::new() };
    for core in 0..view.machine.cores.min(64) {
        trace.cores.push(CoreTrace { core, owner: owner(core), ..CoreTrace::default() });
    }
    let end = Instant::now() + span;
    loop {
        for core in &mut trace.cores {
            core.look(ram, places.areas + core.core * places.area + trace::PAGE * PAGE_SIZE)?;
        }
        if Instant::now() >= end {
            return Ok(trace);
        }
        thread::sleep(NAP);
    }
}

impl CoreTrace {
    /// Takes in what is new.
    fn look(&mut self, ram: &Ram, address: u64) -> Result<()> {
        let words = ram.words(address, RING_WORDS)?;
        let later = ram.words(address, 1)?.first().copied().unwrap_or(0);
        let Some(ring) = words.first_chunk::<RING_WORDS>() else { return Ok(()) };
        for event in trace::events(ring, later, self.next) {
            let seen = !self.events.is_empty();
            self.missed += if seen { event.number.saturating_sub(self.next) } else { 0 };
            self.next = event.number + 1;
            if self.events.len() < MOST {
                self.events.push(event);
            }
        }
        Ok(())
    }
}

/// The last events of each core, for people.
fn text(trace: &Trace) -> String {
    let mut all: Vec<String> = Vec::new();
    for core in &trace.cores {
        all.push(format!("core {} ({}), {} events missed", core.core, core.owner, core.missed));
        for event in &core.events {
            let seconds = event.time as f64 / trace.hz as f64;
            all.push(format!("  {seconds:14.6} {}", names::words(event.happened)));
        }
    }
    all.join("\n")
}

/// The memory of the machine with this socket.
fn memory(socket: &Path) -> Result<Ram> {
    let owner = super::find::owner(socket)
        .ok_or_else(|| Failure::new(format!("{} does not say who keeps the machine up", shown(socket))))?;
    let tasks = fs::read_dir(format!("/proc/{owner}/task"))
        .doing(|| format!("cannot look at the process {owner} that keeps the machine up"))?;
    let children = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<String> = children.collect();
    let is_qemu = |id: &&str| {
        let name = fs::read_to_string(PathBuf::from(format!("/proc/{id}/comm")));
        name.is_ok_and(|name| name.starts_with("qemu"))
    };
    let found = children.iter().flat_map(|ids| ids.split_whitespace()).find(is_qemu);
    let process = found.and_then(|id| id.parse().ok());
    let process = process.ok_or_else(|| Failure::new(format!("the process {owner} runs no QEMU")))?;
    Ram::of(process)
}
