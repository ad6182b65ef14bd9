//! `ctl list`: the subOSes, and who has what.

use idl::operator::{Life, LotView, SubOsView};
use serde_json::{Value, json};

use super::table::table;
use super::{Control, View};
use crate::failure::Result;
use crate::say::show;

pub(super) fn list(control: &Control, as_json: bool) -> Result<()> {
    let view = control.view()?;
    if as_json {
        show(format_args!("{:#}", value(&view)));
    } else {
        show(text(&view));
    }
    Ok(())
}

/// As a table.
fn text(view: &View) -> String {
    let View { machine, suboses } = view;
    let head = ["SUBOS", "PROGRAM", "STATE", "CORES", "MEMORY", "LOTS", "PROGRESS", "DEATHS"];
    let rows: Vec<Vec<String>> = suboses.iter().map(|subos| row(subos, suboses)).collect();
    let taken = suboses.iter().fold(1, |mask, subos| mask | subos.cores);
    let free = numbers((0..machine.cores.min(64)).filter(|core| taken >> core & 1 == 0));
    format!(
        "{}\n\n{} cores, free: {free}; {} MiB of memory, free: {} MiB; steps done: {} of {}; core 0 is the supervisor's",
        table(&head, &rows),
        machine.cores,
        machine.chunks * 2,
        machine.free * 2,
        machine.done,
        machine.steps
    )
}

fn row(subos: &SubOsView, all: &[SubOsView]) -> Vec<String> {
    let own = subos.lots.iter().filter(|lot| lot.peer.is_none());
    let memory: u64 = own.map(|lot| u64::from(lot.chunks) * 2).sum();
    let lots: Vec<String> = subos.lots.iter().map(|lot| lot_text(lot, all)).collect();
    vec![
        subos.name.to_string(),
        subos.program.to_string(),
        state(subos),
        numbers(cores(subos)),
        format!("{memory} MiB"),
        if lots.is_empty() { "-".to_owned() } else { lots.join(" ") },
        subos.progress.map_or("-".to_owned(), |progress| progress.to_string()),
        subos.deaths.to_string(),
    ]
}

/// A lot: its number, its size, and with whom it is shared.
fn lot_text(lot: &LotView, all: &[SubOsView]) -> String {
    let size = u64::from(lot.chunks) * 2;
    match lot.peer.map(|peer| all.get(usize::from(peer)).map_or("?", |peer| peer.name.as_str())) {
        None => format!("{}:{size}", lot.lot),
        Some(peer) => format!("{}:{size}={peer}", lot.lot),
    }
}

/// Where a subOS is between birth and death, in a word or two.
fn state(subos: &SubOsView) -> String {
    let life = life(subos.life);
    match subos.ended {
        Some(status) if subos.life == Life::Alive => format!("ended ({status})"),
        _ => life.to_owned(),
    }
}

const fn life(life: Life) -> &'static str {
    match life {
        Life::Absent => "absent",
        Life::Building => "building",
        Life::Alive => "alive",
        Life::Dead => "dead",
    }
}

/// The cores of a subOS.
pub(super) fn cores(subos: &SubOsView) -> impl Iterator<Item = u64> + use<> {
    let mask = subos.cores;
    (0..64).filter(move |core| mask >> core & 1 != 0)
}

fn numbers(all: impl Iterator<Item = u64>) -> String {
    let all: Vec<String> = all.map(|number| number.to_string()).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(",") }
}

/// As JSON.
fn value(view: &View) -> Value {
    let machine = &view.machine;
    let suboses: Vec<Value> = view.suboses.iter().map(|subos| subos_value(subos, &view.suboses)).collect();
    json!({
        "cores": machine.cores,
        "memory_mib": machine.chunks * 2,
        "free_mib": machine.free * 2,
        "seconds": machine.now.checked_div(machine.hz),
        "steps_done": machine.done,
        "steps": machine.steps,
        "orders_open": machine.orders,
        "rubbish_heard": machine.rubbish,
        "suboses": suboses,
    })
}

fn subos_value(subos: &SubOsView, all: &[SubOsView]) -> Value {
    let lots: Vec<Value> = subos
        .lots
        .iter()
        .map(|lot| {
            let peer = lot.peer.and_then(|peer| all.get(usize::from(peer))).map(|peer| peer.name.to_string());
            json!({ "lot": lot.lot, "mib": u64::from(lot.chunks) * 2, "shared_with": peer })
        })
        .collect();
    json!({
        "name": subos.name.as_str(),
        "program": subos.program.as_str(),
        "state": life(subos.life),
        "ended_with": subos.ended,
        "cores": cores(subos).collect::<Vec<_>>(),
        "lots": lots,
        "progress": subos.progress,
        "deaths": subos.deaths,
    })
}
