//! The live account of a run: a line for each thing that happens, and on a terminal a line below that says who has
//! which core and how much memory now.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::colour;
use crate::manifest::Manifest;
use crate::say::colours;
use crate::story::{Event, FREE};

/// Shows events as they happen.
#[derive(Debug)]
pub struct Live {
    status: ProgressBar,
    colours: bool,
    owners: Vec<String>,
    cores: BTreeMap<u64, String>,
    memory: BTreeMap<String, u64>,
    steps: Vec<String>,
}

impl Live {
    /// A view of a run of this manifest, to standard output.
    #[must_use]
    pub fn new(manifest: &Manifest) -> Self {
        let terminal = colours(&std::io::stdout()) && colours(&std::io::stderr());
        let status = if terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}") {
            status.set_style(style);
        }
        status.enable_steady_tick(Duration::from_millis(120));
        let mut owners = vec!["supervisor".to_owned()];
        owners.extend(manifest.suboses.iter().map(|subos| subos.name.clone()));
        Self {
            status,
            colours: colours(&std::io::stdout()),
            owners,
            cores: BTreeMap::new(),
            memory: BTreeMap::new(),
            steps: manifest.steps.clone(),
        }
    }

    /// Shows one event that happened this long after QEMU was started.
    pub fn show(&mut self, at: Duration, event: &Event) {
        match event {
            Event::Boot { cores, memory } => {
                self.line(at, "", &format!("the machine is up: {cores} cores, {memory} MiB"));
            }
            Event::Core { core, from, to } => {
                self.cores.insert(*core, to.clone());
                let text = match (from.as_str(), to.as_str()) {
                    (FREE, to) => format!("core {core} goes to {to}"),
                    (from, FREE) => format!("core {core} is taken from {from}"),
                    (from, to) => format!("core {core} goes from {from} to {to}"),
                };
                self.line(at, if to == FREE { from } else { to }, &text);
            }
            Event::Memory { subos, from, to } => {
                self.memory.insert(subos.clone(), *to);
                let text = match (*from, *to) {
                    (0, to) => format!("{subos} has {to} MiB"),
                    (from, to) if to > from => format!("{subos} gets {} MiB more and has {to}", to - from),
                    (from, to) => format!("{subos} loses {} MiB and has {to}", from - to),
                };
                self.line(at, subos, &text);
            }
            Event::Output { subos, lines } => {
                for line in lines {
                    self.line(at, subos, &format!("{subos:>10} | {line}"));
                }
            }
            Event::Step { number, result, text } => self.step(at, *number, result, text),
            Event::Finding { what, good, text } => {
                let mark = if *good { self.paint("\x1b[32m", "good") } else { self.paint("\x1b[31m", "BAD") };
                self.line(at, "", &format!("{what}: {mark} {text}"));
            }
            Event::Ended { subos, status } => {
                self.line(at, subos, &format!("{subos} has ended, status {status}"))
            }
            Event::Epitaph { subos, text } => {
                let dead = self.paint("\x1b[31m", "died");
                self.line(at, subos, &format!("{subos} {dead}: {text}"));
            }
            Event::Remark { subos, text } => self.line(at, subos, &format!("{subos} {text}")),
            Event::Text(text) => self.line(at, "", text),
        }
        self.status.set_message(self.now());
    }

    /// Ends the view; what was said stays.
    pub fn end(&self) {
        self.status.finish_and_clear();
    }

    fn step(&self, at: Duration, number: u64, result: &str, text: &str) {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let words = self.steps.get(index).map_or("?", String::as_str);
        let more = if text.is_empty() { String::new() } else { format!(" ({text})") };
        let line = match result {
            "begin" => self.paint("\x1b[1m", &format!("step {}: {words}", number + 1)),
            "ok" => format!("step {} {}{more}", number + 1, self.paint("\x1b[32m", "done")),
            _ => format!("step {} {}{more}", number + 1, self.paint("\x1b[31m", "FAILED")),
        };
        self.line(at, "", &line);
    }

    fn line(&self, at: Duration, who: &str, text: &str) {
        let text =
            if who.is_empty() { text.to_owned() } else { self.paint(colour(&self.owners, who).0, text) };
        let line = format!("{:7.2} {text}", at.as_secs_f64());
        self.status.suspend(|| {
            // A closed standard output is no reason to stop the machine.
            let _ = writeln!(std::io::stdout(), "{line}");
        });
    }

    fn paint(&self, ansi: &str, text: &str) -> String {
        if self.colours { format!("{ansi}{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Who has what now, in one line.
    fn now(&self) -> String {
        let mut cores: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (core, owner) in &self.cores {
            cores.entry(owner).or_default().push(core.to_string());
        }
        let part = |owner: &str, cores: &Vec<String>| {
            let memory = self.memory.get(owner).map(|memory| format!(" {memory} MiB")).unwrap_or_default();
            let plural = if cores.len() == 1 { "core" } else { "cores" };
            self.paint(
                colour(&self.owners, owner).0,
                &format!("{owner}: {plural} {}{memory}", cores.join(" ")),
            )
        };
        let parts: Vec<String> = cores.iter().map(|(owner, cores)| part(owner, cores)).collect();
        parts.join("   ")
    }
}
