//! A trace as Chrome's and Perfetto's viewers read it: each core is a line, a visit lasts, all else is a moment.

use idl::trace::{Event, Happened};
use serde_json::{Value, json};

use super::{CoreTrace, Trace, names};

/// The number of the one process that the viewer is told of: the machine.
const MACHINE: u32 = 1;

pub(super) fn value(trace: &Trace) -> Value {
    let mut events = vec![json!({
        "name": "process_name", "ph": "M", "pid": MACHINE, "args": { "name": "the machine" },
    })];
    for core in &trace.cores {
        let name = format!("core {} ({})", core.core, core.owner);
        events.push(json!({
            "name": "thread_name", "ph": "M", "pid": MACHINE, "tid": core.core, "args": { "name": name },
        }));
        events.extend(core_events(core, trace.hz));
    }
    json!({
        "displayTimeUnit": "ns",
        "traceEvents": events,
        "otherData": { "missed": trace.cores.iter().map(|core| core.missed).sum::<u64>() },
    })
}

fn core_events(core: &CoreTrace, hz: u64) -> Vec<Value> {
    let microseconds = |time: u64| time as f64 * 1e6 / hz.max(1) as f64;
    let mut visit: Option<(u64, u64)> = None;
    let mut all = Vec::new();
    for Event { time, happened, .. } in &core.events {
        match (*happened, visit) {
            (Happened::Visit(subos), _) => visit = Some((subos, *time)),
            (Happened::VisitEnd(subos), Some((of, begin))) if of == subos => {
                visit = None;
                all.push(json!({
                    "name": format!("visit to subOS {subos}"), "cat": "visit", "ph": "X", "pid": MACHINE,
                    "tid": core.core, "ts": microseconds(begin), "dur": microseconds(time - begin.min(*time)),
                }));
            }
            // The begin was not seen.
            (Happened::VisitEnd(_), _) => {}
            _ => all.push(json!({
                "name": names::name(*happened), "cat": category(*happened), "ph": "i", "s": "t",
                "pid": MACHINE, "tid": core.core, "ts": microseconds(*time), "args": arguments(*happened),
            })),
        }
    }
    all
}

const fn category(happened: Happened) -> &'static str {
    match happened {
        Happened::Syscall(..) => "call",
        Happened::Interrupt(_) => "interrupt",
        Happened::Fault(..) => "fault",
        Happened::Arrived(_) | Happened::Woken(_) => "scheduling",
        Happened::Visit(_) | Happened::VisitEnd(_) => "visit",
    }
}

fn arguments(happened: Happened) -> Value {
    match happened {
        Happened::Syscall(_, handle) => json!({ "slot": names::slot(handle) }),
        Happened::Interrupt(vector) => json!({ "vector": vector }),
        Happened::Fault(vector, address) => json!({ "vector": vector, "address": format!("{address:#x}") }),
        Happened::Arrived(subos) | Happened::Visit(subos) | Happened::VisitEnd(subos) => {
            json!({ "subos": subos })
        }
        Happened::Woken(pending) => json!({ "pending": pending }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_last_and_the_rest_are_moments() {
        let happened = [
            Happened::VisitEnd(4),
            Happened::Visit(2),
            Happened::Interrupt(0x20),
            Happened::VisitEnd(2),
            Happened::Fault(14, 0x10),
        ];
        let events = (0u64..).zip(happened);
        let events = events.map(|(number, happened)| Event { number, time: 1000 + number * 10, happened });
        let core =
            CoreTrace { core: 3, owner: "echo".to_owned(), events: events.collect(), ..CoreTrace::default() };
        let told = value(&Trace { hz: 1_000_000, cores: vec![core] });
        let events = told["traceEvents"].as_array().unwrap();
        assert_eq!(events.len(), 2 + 3, "{told:#}");
        assert_eq!(events[1]["args"]["name"], "core 3 (echo)");
        assert_eq!((&events[2]["name"], &events[2]["ts"]), (&"interrupt".into(), &1020.0.into()));
        assert_eq!(
            (&events[3]["ph"], &events[3]["ts"], &events[3]["dur"]),
            (&"X".into(), &1010.0.into(), &20.0.into())
        );
        assert_eq!(events[4]["args"]["address"], "0x10");
    }
}
