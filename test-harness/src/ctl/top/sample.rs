//! Two looks at a machine, and what went on between them.

use std::collections::BTreeMap;

use idl::interface::CallError;
use idl::operator::{ActivityView, Life, OperatorError};
use serde_json::{Value, json};

use super::super::list::cores;
use super::super::table::table;
use super::super::{Control, View, failed};
use crate::failure::Result;

/// A look at a machine.
pub(in super::super) struct Sample {
    view: View,
    /// By the numbers of subOS and core.
    did: BTreeMap<(u8, u64), ActivityView>,
}

/// What a subOS does on a core, in a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    pub(super) subos: String,
    pub(super) core: u64,
    /// Of a hundred ticks: those in which a thread ran, and those in its kernel.
    pub(super) busy: f64,
    pub(super) kernel: f64,
    pub(super) calls: f64,
    pub(super) messages: f64,
    pub(super) faults: f64,
    pub(super) guests: f64,
    pub(super) switches: f64,
    pub(super) interrupts: f64,
}

/// A subOS as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Whole {
    pub(super) subos: String,
    pub(super) state: &'static str,
    pub(super) cores: usize,
    pub(super) memory: u64,
    pub(super) objects: u64,
    /// What it reports as progress, in a second.
    pub(super) progress: f64,
    pub(super) deaths: u8,
}

/// What went on between two looks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) cores: u64,
    pub(super) memory: u64,
    pub(super) free: u64,
    /// Seconds that the machine is up.
    pub(super) up: u64,
    pub(super) steps: (u8, u8),
    pub(super) orders: u8,
    pub(super) suboses: Vec<Whole>,
    pub(super) rows: Vec<Row>,
}

impl Sample {
    /// Looks at everything.
    pub(in super::super) fn take(control: &Control) -> Result<Self> {
        let view = control.view()?;
        let mut did = BTreeMap::new();
        for (number, subos) in (0u8..).zip(&view.suboses) {
            for core in cores(subos) {
                match control.client().activity(number, u8::try_from(core).unwrap_or(u8::MAX)) {
                    Ok(activity) => drop(did.insert((number, core), activity)),
                    // Since it was listed, somebody has taken it.
                    Err(CallError::Refused(OperatorError::NotThere | OperatorError::Kernel)) => {}
                    Err(error) => return Err(failed("measure", error)),
                }
            }
        }
        Ok(Self { view, did })
    }

    /// What went on since an earlier look.
    pub(super) fn since(&self, before: &Self) -> Rates {
        let machine = &self.view.machine;
        let hz = machine.hz.max(1) as f64;
        let mut rows = Vec::new();
        for ((number, core), now) in &self.did {
            let Some(subos) = self.view.suboses.get(usize::from(*number)) else { continue };
            // One that came meanwhile is compared with itself.
            let then = before.did.get(&(*number, *core)).unwrap_or(now);
            rows.push(row(subos.name.as_str(), *core, (then, now), hz));
        }
        let suboses = (0u8..).zip(&self.view.suboses);
        let seconds = machine.now.saturating_sub(before.view.machine.now) as f64 / hz;
        Rates {
            cores: machine.cores,
            memory: machine.chunks * 2,
            free: machine.free * 2,
            up: machine.now / machine.hz.max(1),
            steps: (machine.done, machine.steps),
            orders: machine.orders,
            suboses: suboses.map(|(number, _)| self.whole(number, before, seconds)).collect(),
            rows,
        }
    }

    fn whole(&self, number: u8, before: &Self, seconds: f64) -> Whole {
        let index = usize::from(number);
        let Some(subos) = self.view.suboses.get(index) else { return Whole::default() };
        let then = before.view.suboses.get(index).and_then(|subos| subos.progress);
        let grown = subos.progress.unwrap_or(0).saturating_sub(then.unwrap_or(0));
        let mine = |(of, _): &(u8, u64)| *of == number;
        Whole {
            subos: subos.name.to_string(),
            state: match subos.life {
                Life::Absent => "absent",
                Life::Building => "building",
                Life::Alive => "alive",
                Life::Dead => "dead",
            },
            cores: cores(subos).count(),
            memory: subos.lots.iter().map(|lot| u64::from(lot.chunks) * 2).sum(),
            // Each core tells those of the whole subOS.
            objects: self.did.iter().filter(|(key, _)| mine(key)).map(|(_, did)| did.live).max().unwrap_or(0),
            progress: if seconds > 0.0 { grown as f64 / seconds } else { 0.0 },
            deaths: subos.deaths,
        }
    }
}

fn row(subos: &str, core: u64, (then, now): (&ActivityView, &ActivityView), hz: f64) -> Row {
    let ticks = now.now.saturating_sub(then.now) as f64;
    // One that was built anew in between counts from nothing.
    let grown = |of: fn(&ActivityView) -> u64| of(now).saturating_sub(of(then)) as f64;
    let rate = |of: fn(&ActivityView) -> u64| if ticks > 0.0 { grown(of) * hz / ticks } else { 0.0 };
    let share = |of: fn(&ActivityView) -> u64| {
        if ticks > 0.0 { (grown(of) * 100.0 / ticks).min(100.0) } else { 0.0 }
    };
    Row {
        subos: subos.to_owned(),
        core,
        busy: share(|did| did.busy),
        kernel: share(|did| did.kernel),
        calls: rate(|did| did.calls),
        messages: rate(|did| did.messages),
        faults: rate(|did| did.faults),
        guests: rate(|did| did.guests),
        switches: rate(|did| did.switches),
        interrupts: rate(|did| did.timers.saturating_add(did.doorbells)),
    }
}

impl Rates {
    /// The first line.
    pub(super) fn title(&self) -> String {
        let (done, steps) = self.steps;
        format!(
            "{} cores, {} MiB of memory, {} MiB free; up for {} s; steps done: {done} of {steps}; orders open: {}",
            self.cores, self.memory, self.free, self.up, self.orders
        )
    }

    /// The tables' heads and cells: subOSes, and what they do on cores.
    pub(super) fn cells(&self) -> [(Vec<&'static str>, Vec<Vec<String>>); 2] {
        let number = |value: f64| format!("{value:.0}");
        let wholes = self.suboses.iter().map(|it| {
            let (cores, memory) = (it.cores.to_string(), format!("{} MiB", it.memory));
            let (objects, progress) = (it.objects.to_string(), number(it.progress));
            vec![
                it.subos.clone(),
                it.state.to_owned(),
                cores,
                memory,
                objects,
                progress,
                it.deaths.to_string(),
            ]
        });
        let rows = self.rows.iter().map(|it| {
            let shares = [it.busy, it.kernel].map(|share| format!("{share:.1} %"));
            let rates = [it.calls, it.messages, it.faults, it.guests, it.switches, it.interrupts].map(number);
            [it.core.to_string(), it.subos.clone()].into_iter().chain(shares).chain(rates).collect()
        });
        let (wholes, mut rows): (Vec<_>, Vec<Vec<String>>) = (wholes.collect(), rows.collect());
        rows.sort_by_key(|row| row.first().and_then(|core| core.parse::<u64>().ok()));
        [
            (vec!["SUBOS", "STATE", "CORES", "MEMORY", "OBJECTS", "PROGRESS/s", "DEATHS"], wholes),
            (
                vec![
                    "CORE",
                    "SUBOS",
                    "BUSY",
                    "KERNEL",
                    "CALLS/s",
                    "MESSAGES/s",
                    "FAULTS/s",
                    "GUESTS/s",
                    "SWITCHES/s",
                    "INTERRUPTS/s",
                ],
                rows,
            ),
        ]
    }

    pub(super) fn text(&self) -> String {
        let [wholes, rows] = self.cells().map(|(head, rows)| table(&head, &rows));
        format!("{}\n\n{wholes}\n\n{rows}", self.title())
    }

    pub(super) fn value(&self) -> Value {
        let wholes = self.suboses.iter().map(|it| {
            json!({
                "name": it.subos, "state": it.state, "cores": it.cores, "memory_mib": it.memory,
                "objects": it.objects, "progress_per_second": it.progress, "deaths": it.deaths,
            })
        });
        let rows = self.rows.iter().map(|it| {
            json!({
                "subos": it.subos, "core": it.core, "busy_percent": it.busy, "kernel_percent": it.kernel,
                "calls_per_second": it.calls, "messages_per_second": it.messages,
                "faults_per_second": it.faults, "guests_per_second": it.guests,
                "switches_per_second": it.switches, "interrupts_per_second": it.interrupts,
            })
        });
        json!({
            "cores": self.cores, "memory_mib": self.memory, "free_mib": self.free, "up_seconds": self.up,
            "suboses": wholes.collect::<Vec<_>>(), "on_cores": rows.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_machines_time_and_one_that_began_anew_counts_from_nothing() {
        let then = ActivityView { now: 1000, calls: 10, busy: 100, faults: 900, ..ActivityView::default() };
        let now = ActivityView { now: 3000, calls: 50, busy: 600, faults: 3, ..ActivityView::default() };
        let row = row("echo", 3, (&then, &now), 1000.0);
        assert_eq!((row.calls, row.busy, row.faults), (20.0, 25.0, 0.0));
        let same = super::row("echo", 3, (&now, &now), 1000.0);
        assert_eq!((same.calls, same.busy), (0.0, 0.0));
    }
}
