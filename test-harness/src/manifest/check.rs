//! What is wrong with a machine, its files and its subOSes.

use std::collections::BTreeSet;
use std::path::Path;

use idl::crew::{self, PairNames};
use idl::plan::{self, Chunks, MAX_LOTS, MAX_SUBOSES, MAX_WINDOWS, SubOsIndex, SubOsPlan, WindowPlan};
use toml::Spanned;

use super::complaint::{Complaint, Result};
use super::servers::servers;
use super::text::{Duty, Ends, Manifest, Scrub, Source, Start};
use super::{Compare, Overrides, SubOs, text};
use crate::image::{program_named, programs};

/// A chunk of memory, in MiB.
const CHUNK: u32 = 2;
/// What the supervisor, its kernel, the bundle and the firmware take, at least, in MiB.
const SUPERVISORS: u32 = 96;
/// A machine with so much memory, in MiB, has a hole in it: QEMU's q35 then leaves the rest of the first 4 GiB to devices
/// (`pc_q35_init` in its `hw/i386/pc_q35.c`).
const SPLIT: u32 = 0xb000_0000 >> 20;
/// How much memory lies below that hole, in MiB; the rest lies above it.
const BELOW_SPLIT: u32 = 0x8000_0000 >> 20;
/// The least that a home lot must have: the kernel value, the first program and its tables, in MiB.
const LEAST_HOME: u32 = 4;
/// What a subOS cannot be called.
const RESERVED_NAMES: [&str; 2] = ["supervisor", "free"];

/// The machine, checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    pub(super) cores: u32,
    pub(super) memory: u32,
    pub(super) seconds: u32,
}

impl Machine {
    /// How much memory there is for subOSes, in MiB.
    pub(super) fn free(&self) -> u32 {
        self.memory.saturating_sub(SUPERVISORS)
    }

    /// The pieces that it comes in, in MiB, from the lowest address up. A lot lies in one of them.
    fn pieces(&self) -> Vec<u32> {
        match self.memory {
            SPLIT.. => vec![BELOW_SPLIT - SUPERVISORS, self.memory - BELOW_SPLIT],
            _ => vec![self.free()],
        }
    }
}

/// How much memory this host has, swap included, in MiB, if that is known.
fn host_memory() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib = |key: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
    };
    u32::try_from((kib("MemTotal:")? + kib("SwapTotal:").unwrap_or(0)) / 1024).ok()
}

/// Checks that the host has the machine's memory.
fn on_host(raw: &Spanned<u32>, overrides: Overrides, host: Option<u32>) -> Result<()> {
    let memory = overrides.memory.unwrap_or(*raw.get_ref());
    let Some(host) = host.filter(|host| *host < memory) else { return Ok(()) };
    let reason = format!("this host has {host} MiB, and the machine is to have {memory}");
    Err(match overrides.memory {
        None => Complaint::about(raw, reason),
        Some(_) => Complaint::whole(format!("{reason}, as the command line says")),
    })
}

/// Checks the machine's numbers; what the command line says was checked there.
pub(super) fn machine(raw: &text::Machine, overrides: Overrides) -> Result<Machine> {
    let within = |part: &Spanned<u32>, range: std::ops::RangeInclusive<u32>, what: &str| {
        let value = *part.get_ref();
        if range.contains(&value) {
            return Ok(value);
        }
        let (low, high) = range.into_inner();
        Err(Complaint::about(part, format!("{what} must be between {low} and {high}, not {value}")))
    };
    let cores = within(&raw.cores, 1..=u32::from(plan::MAX_CORES), "the number of cores")?;
    let memory = within(&raw.memory, 128..=65536, "memory (in MiB)")?;
    let seconds = within(&raw.seconds, 1..=3600, "the time that a run may take (in seconds)")?;
    on_host(&raw.memory, overrides, host_memory())?;
    let (cores, memory) = (overrides.cores.unwrap_or(cores), overrides.memory.unwrap_or(memory));
    Ok(Machine { cores, memory, seconds })
}

/// Checks that every file can come from where it is said to.
pub(super) fn files(raw: &Manifest, folder: &Path) -> Result<()> {
    for (name, source) in &raw.files {
        if name.is_empty() || name.len() > 48 || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            let reason =
                format!("a file's name has 1 to 48 printable characters without spaces, unlike {name:?}");
            return Err(Complaint::about(source, reason));
        }
        let reason = match source.get_ref() {
            Source::Path(path) if !folder.join(path).is_file() => {
                format!("there is no file {}", folder.join(path).display())
            }
            Source::Program(program) if program_named(program).is_none() => no_program(program),
            Source::Debian(package) if package != "busybox" => {
                format!("only busybox can be fetched from Debian, not {package}")
            }
            _ => continue,
        };
        return Err(Complaint::about(source, reason));
    }
    Ok(())
}

/// Checks the subOSes, each by itself and all that start at boot together.
pub(super) fn suboses(raw: &Manifest, machine: &Machine) -> Result<Vec<(SubOsPlan, SubOs)>> {
    let mut taken_cores = BTreeSet::new();
    let mut taken_memory = 0u32;
    let mut pieces = machine.pieces();
    let mut names = BTreeSet::new();
    let mut checked = Vec::new();
    for subos in &raw.subos {
        let name = subos.name.get_ref();
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 16 || !name.bytes().all(word) {
            let reason = "a subOS's name has 1 to 16 of the characters a to z, 0 to 9 and -";
            return Err(Complaint::about(&subos.name, reason));
        }
        if !names.insert(name.clone()) || RESERVED_NAMES.contains(&name.as_str()) {
            return Err(Complaint::about(&subos.name, format!("the name {name} is taken")));
        }
        let planned = one(subos, raw, machine)?;
        if subos.start == Start::Boot {
            for core in subos.cores.get_ref() {
                if !taken_cores.insert(*core.get_ref()) {
                    let reason = format!("core {} belongs to another subOS at the start", core.get_ref());
                    return Err(Complaint::about(core, reason));
                }
            }
            taken_memory = subos
                .memory
                .get_ref()
                .iter()
                .fold(taken_memory, |sum, lot| sum.saturating_add(*lot.get_ref()));
            if taken_memory > machine.free() {
                let reason = format!(
                    "the subOSes up to here want {taken_memory} MiB, and of the machine's {} MiB only {} are for them",
                    machine.memory,
                    machine.free()
                );
                return Err(Complaint::about(&subos.memory, reason));
            }
            subos.memory.get_ref().iter().try_for_each(|lot| place(lot, &mut pieces))?;
        }
        let table = servers(subos, raw)?;
        let mut files: Vec<String> = subos.files.iter().map(|file| file.get_ref().clone()).collect();
        for server in table.iter().flat_map(|table| &table.servers) {
            if !files.iter().any(|file| *file == server.program.as_str()) {
                files.push(server.program.as_str().to_owned());
            }
        }
        let home = subos.memory.get_ref().first().map_or(subos.memory.span(), Spanned::span);
        let subos_known = SubOs { name: name.clone(), files, servers: table, compare: subos.compare, home };
        checked.push((planned, subos_known));
        if checked.len() > MAX_SUBOSES {
            return Err(Complaint::about(&subos.name, format!("there can be at most {MAX_SUBOSES} subOSes")));
        }
    }
    Ok(checked)
}

/// Checks the windows.
pub(super) fn windows(
    raw: &Manifest,
    machine: &Machine,
    suboses: &[(SubOsPlan, SubOs)],
) -> Result<Vec<WindowPlan>> {
    let mut windows: Vec<WindowPlan> = Vec::new();
    for (number, window) in raw.window.iter().enumerate() {
        let name = window.name.get_ref();
        if name.is_empty() || raw.window[..number].iter().any(|earlier| earlier.name.get_ref() == name) {
            return Err(Complaint::about(
                &window.name,
                format!("a window needs a name of its own, unlike {name:?}"),
            ));
        }
        let [one, other] = window.between.get_ref();
        let side = |side: &Spanned<String>| {
            let known = (0u8..).zip(suboses).find(|(_, (subos, _))| subos.name == side.get_ref().as_str());
            let unknown = || Complaint::about(side, format!("no [[subos]] has the name {}", side.get_ref()));
            known.map(|(number, _)| SubOsIndex(number)).ok_or_else(unknown)
        };
        let between = [side(one)?, side(other)?];
        if between[0] == between[1] {
            return Err(Complaint::about(&window.between, "a window is between two"));
        }
        if windows.iter().any(|earlier| earlier.is_between(between[0], between[1])) {
            let reason =
                "there is a window between these two already, and subOSes ask for one by the peer's name";
            return Err(Complaint::about(&window.between, reason));
        }
        if windows.len() == MAX_WINDOWS {
            return Err(Complaint::about(
                &window.name,
                format!("there can be at most {MAX_WINDOWS} windows"),
            ));
        }
        windows.push(WindowPlan { between, size: chunks(&window.memory, machine)? });
    }
    raw.subos.iter().try_for_each(|subos| peers(subos, raw))?;
    Ok(windows)
}

/// Checks that there is a window to whomever a neighbour's arguments name.
fn peers(subos: &text::SubOs, raw: &Manifest) -> Result<()> {
    let own = subos.name.get_ref();
    if subos.program.get_ref() != "neighbour" {
        return Ok(());
    }
    for word in crew::peers(subos.arguments.get_ref()) {
        let (_, peer) = word.map_err(|bad| Complaint::about(&subos.arguments, bad.to_string()))?;
        let between = |window: &text::Window| {
            let [one, other] = window.between.get_ref().each_ref().map(|side| side.get_ref().as_str());
            [(one, other), (other, one)].contains(&(own.as_str(), peer))
        };
        if !raw.window.iter().any(between) {
            let reason = format!("no [[window]] is between {own} and {peer}, for which it will ask");
            return Err(Complaint::about(&subos.arguments, reason));
        }
    }
    Ok(())
}

/// Checks one subOS by itself.
fn one(subos: &text::SubOs, raw: &Manifest, machine: &Machine) -> Result<SubOsPlan> {
    let program = subos.program.get_ref();
    if program_named(program).is_none() {
        return Err(Complaint::about(&subos.program, no_program(program)));
    }
    let mut seen = BTreeSet::new();
    for file in &subos.files {
        let name = file.get_ref();
        if !raw.files.contains_key(name) {
            return Err(Complaint::about(file, format!("[files] does not say where {name} comes from")));
        }
        if !seen.insert(name) {
            return Err(Complaint::about(file, format!("the file {name} is named twice")));
        }
    }
    arguments(subos)?;
    Ok(SubOsPlan {
        name: bounded(&subos.name)?,
        program: bounded(&subos.program)?,
        arguments: bounded(&subos.arguments)?,
        files: if subos.files.is_empty() && subos.server.is_empty() {
            heapless::String::new()
        } else {
            files_entry(&subos.name)?
        },
        cores: cores(subos, machine)?,
        lots: lots(subos, machine)?,
        start: match subos.start {
            Start::Boot => plan::Start::AtBoot,
            Start::Step => plan::Start::ByStep,
        },
        duty: match subos.duty {
            Duty::None => plan::Duty::None,
            Duty::Progress => plan::Duty::Progress,
            Duty::Programs => plan::Duty::Programs,
        },
        restarts: subos.restarts,
        ends: match subos.ends {
            Ends::Well => plan::Ends::Well,
            Ends::Anyhow => plan::Ends::Anyhow,
        },
        scrub: match subos.scrub {
            Scrub::AtOnce => plan::Scrub::AtOnce,
            Scrub::AtGrant => plan::Scrub::AtGrant,
        },
    })
}

/// Checks what the first program will make of its arguments, as far as its kind is known.
fn arguments(subos: &text::SubOs) -> Result<()> {
    let program = subos.program.get_ref().as_str();
    let arguments = subos.arguments.get_ref();
    if subos.compare == Compare::Host && program != "linux-server" {
        let reason =
            format!("the host can only run what linux-server runs, so nothing of {program} can be compared");
        return Err(Complaint::about(&subos.program, reason));
    }
    match program {
        "init" => {
            for word in crew::words(arguments) {
                let word = word.map_err(|bad| Complaint::about(&subos.arguments, bad.to_string()))?;
                if let crew::Word::Pair(PairNames { server, client }) = word {
                    [server, client].into_iter().try_for_each(|name| comes_along(subos, "starts", name))?;
                }
            }
            Ok(())
        }
        "linux-server" => match arguments.split_whitespace().next() {
            Some(command) => comes_along(subos, "runs", command),
            None => {
                // Arguments that are not there have no place.
                let place = if subos.arguments.span().is_empty() { &subos.program } else { &subos.arguments };
                let reason =
                    "linux-server needs a command line as its arguments, for instance \"busybox sh SCRIPT\"";
                Err(Complaint::about(place, reason))
            }
        },
        _ => Ok(()),
    }
}

/// Checks that a file which the arguments name is one of the subOS's.
fn comes_along(subos: &text::SubOs, does: &str, name: &str) -> Result<()> {
    let files: Vec<&str> = subos.files.iter().map(|file| file.get_ref().as_str()).collect();
    if files.contains(&name) {
        return Ok(());
    }
    let files = if files.is_empty() { "none".to_owned() } else { files.join(", ") };
    let program = subos.program.get_ref();
    let reason = format!("{program} {does} {name}, which is not among its files ({files})");
    Err(Complaint::about(&subos.arguments, reason))
}

fn cores(subos: &text::SubOs, machine: &Machine) -> Result<u64> {
    let mut mask = 0u64;
    for core in subos.cores.get_ref() {
        let number = *core.get_ref();
        let reason = if number == 0 {
            "core 0 is the supervisor's".to_owned()
        } else if u32::from(number) >= machine.cores {
            format!("there is no core {number}: the machine has {} cores, numbered from 0", machine.cores)
        } else if mask & 1 << number != 0 {
            format!("core {number} is named twice")
        } else {
            mask |= 1 << number;
            continue;
        };
        return Err(Complaint::about(core, reason));
    }
    if mask == 0 {
        return Err(Complaint::about(&subos.cores, "a subOS starts with at least one core"));
    }
    Ok(mask)
}

fn lots(subos: &text::SubOs, machine: &Machine) -> Result<heapless::Vec<Chunks, MAX_LOTS>> {
    let mut lots = heapless::Vec::new();
    for lot in subos.memory.get_ref() {
        let size = chunks(lot, machine)?;
        if lots.is_empty() && *lot.get_ref() < LEAST_HOME {
            let reason = format!("the first lot is the home lot and needs at least {LEAST_HOME} MiB");
            return Err(Complaint::about(lot, reason));
        }
        lots.push(size)
            .map_err(|_| Complaint::about(lot, format!("a subOS can start with at most {MAX_LOTS} lots")))?;
    }
    if lots.is_empty() {
        return Err(Complaint::about(
            &subos.memory,
            "a subOS needs at least one lot of memory, its home lot",
        ));
    }
    Ok(lots)
}

/// Takes a lot from what is free, where the ledger would: from the first piece that is large enough.
fn place(lot: &Spanned<u32>, free: &mut [u32]) -> Result<()> {
    let size = *lot.get_ref();
    if let Some(piece) = free.iter_mut().find(|piece| **piece >= size) {
        *piece -= size;
        return Ok(());
    }
    let free: Vec<String> = free.iter().map(u32::to_string).collect();
    let free = free.join(" and ");
    Err(Complaint::about(
        lot,
        format!("a lot of {size} MiB is one piece, and what is free here are {free} MiB"),
    ))
}

/// The size of a lot.
pub(super) fn chunks(lot: &Spanned<u32>, machine: &Machine) -> Result<Chunks> {
    let size = *lot.get_ref();
    if size == 0 || !size.is_multiple_of(CHUNK) {
        let reason = format!("a lot has a multiple of {CHUNK} MiB and more than none, not {size}");
        return Err(Complaint::about(lot, reason));
    }
    if size > machine.free() {
        let reason = format!(
            "a lot of {size} MiB does not fit: of the machine's {} MiB, {} are for subOSes",
            machine.memory,
            machine.free()
        );
        return Err(Complaint::about(lot, reason));
    }
    let largest = machine.pieces().into_iter().max().unwrap_or(0);
    if size > largest {
        let reason = format!(
            "a lot of {size} MiB is one piece, and the largest that the machine has for subOSes is of {largest} MiB \
             (from {SPLIT} MiB on its memory has a hole below 4 GiB)"
        );
        return Err(Complaint::about(lot, reason));
    }
    Ok(Chunks(size / CHUNK))
}

/// The bundle entry with the files of a subOS.
fn files_entry<const N: usize>(name: &Spanned<String>) -> Result<heapless::String<N>> {
    let entry = format!("{}.files", name.get_ref());
    heapless::String::try_from(entry.as_str()).map_err(|_| Complaint::about(name, "the name is too long"))
}

pub(super) fn bounded<const N: usize>(part: &Spanned<String>) -> Result<heapless::String<N>> {
    let long = || Complaint::about(part, format!("this is longer than {N} bytes"));
    heapless::String::try_from(part.get_ref().as_str()).map_err(|_| long())
}

pub(super) fn no_program(name: &str) -> String {
    let names: Vec<&str> = programs().iter().map(|program| program.name.as_str()).collect();
    format!("there is no program {name}; there are {}", names.join(", "))
}
