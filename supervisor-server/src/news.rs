//! What the world is told: the account that people read, and the records that the harness draws from.

use alloc::string::{String, ToString};
use core::fmt::{self, Write};

use idl::dialogue::{CoreAnswer, Refusal};
use idl::plan::{Chunks, CoreNumber, LotNumber, Name, SubOsIndex};
use idl::record::RecordWriter;
use idl::types::{Pages, ResourceKind, Ticks};

use crate::activity::{Activity, Sign};
use crate::ledger::Holding;
use crate::order::Moment;
use crate::port::{Own, Places};

/// Who has a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The supervisor.
    Supervisor,
    /// A subOS of the plan.
    SubOs(SubOsIndex),
    /// Nobody.
    Free,
    /// Nobody, for good: it does not answer.
    Lost,
}

/// How a step stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepResult {
    /// It begins.
    Begin,
    /// It is done, and nobody missed a beat.
    Ok,
    /// It is not.
    Failed(String),
}

/// One fact to tell. `idl::record` has the table of the records that they become.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the records")]
pub enum News {
    Boot { hz: u64, cores: u64, memory: u64 },
    Own { core: CoreNumber, owner: Owner },
    Mem { subos: SubOsIndex, chunks: Chunks },
    Step { step: usize, result: StepResult },
    Order { what: String, failure: Option<String> },
    Beat { subos: SubOsIndex, step: usize, before: u64, after: u64, during: u64, holds: u32, longest: Ticks },
    Busy { subos: SubOsIndex, core: CoreNumber, step: usize, sign: Sign, before: u64, after: u64 },
    Lot { subos: SubOsIndex, lot: LotNumber, looked: Pages, used: Pages },
    Refused { step: usize, part: String, why: String },
    Core { subos: SubOsIndex, core: CoreNumber, answer: CoreAnswer },
    Asks { subos: SubOsIndex, peer: Name, refusal: Option<Refusal> },
    Window { between: [SubOsIndex; 2], lots: [Option<LotNumber>; 2] },
    Exit { subos: SubOsIndex, status: u32 },
    Crash { subos: SubOsIndex, times: u32, vector: u32, address: u64, rip: u64 },
    Unhandled { subos: SubOsIndex, vector: u32, address: u64, rip: u64 },
    Epitaph { subos: SubOsIndex, text: String },
    Restart { subos: SubOsIndex, times: u8 },
    Stat { subos: SubOsIndex, core: CoreNumber, activity: Activity },
    Supervisor { core: CoreNumber, own: Own },
    Processes { subos: SubOsIndex, started: u64 },
    Work { subos: SubOsIndex, core: CoreNumber, processes: u64, calls: u64 },
    Missing { subos: SubOsIndex, call: u32, times: u64 },
    Starved { subos: SubOsIndex, times: u64 },
    Resumed { step: usize, found: usize, order: String, state: &'static str },
    Watch { at: Moment },
    Hold { resource: ResourceKind, holding: Holding },
    Places(Places),
    Ledger { difference: Option<String> },
    Audit { entries: u64, wrong: Option<String> },
    Test { failure: Option<String> },
}

/// Names for the numbers of subOSes.
pub trait Names {
    /// The name of a subOS.
    fn name(&self, subos: SubOsIndex) -> &str;

    /// That of its first program.
    fn program(&self, subos: SubOsIndex) -> &str;
}

/// Writes one fact as its record.
///
/// # Errors
/// Those of the stream.
pub fn write(out: &mut impl Write, names: &impl Names, now: Ticks, news: &News) -> fmt::Result {
    let begin = RecordWriter::begin;
    match news {
        News::Boot { hz, cores, memory } => begin(out, "boot")?
            .field("t", now.0)?
            .field("hz", hz)?
            .field("cores", cores)?
            .field("memory", memory)?
            .end(),
        News::Own { core, owner } => {
            let owner = match owner {
                Owner::Supervisor => "supervisor",
                Owner::SubOs(subos) => names.name(*subos),
                Owner::Free => "free",
                Owner::Lost => "lost",
            };
            begin(out, "own")?.field("t", now.0)?.field("core", core.0)?.field("owner", owner)?.end()
        }
        News::Mem { subos, chunks } => begin(out, "mem")?
            .field("t", now.0)?
            .field("subos", names.name(*subos))?
            .field("chunks", chunks.0)?
            .end(),
        News::Step { step, result } => {
            let (result, text) = match result {
                StepResult::Begin => ("begin", ""),
                StepResult::Ok => ("ok", ""),
                StepResult::Failed(reason) => ("failed", reason.as_str()),
            };
            let record = begin(out, "step")?.field("t", now.0)?.field("n", step)?.field("result", result)?;
            if text.is_empty() { record.end() } else { record.field("text", text)?.end() }
        }
        News::Order { what, failure } => {
            verdict(begin(out, "order")?.field("t", now.0)?.field("what", what)?, "ok", "failed", failure)
        }
        News::Beat { subos, step, before, after, during, holds, longest } => begin(out, "beat")?
            .field("t", now.0)?
            .field("subos", names.name(*subos))?
            .field("n", step)?
            .field("before", before)?
            .field("after", after)?
            .field("during", during)?
            .field("holds", holds)?
            .field("longest", longest.0)?
            .end(),
        News::Busy { subos, core, step, sign, before, after } => begin(out, "busy")?
            .field("t", now.0)?
            .field("subos", names.name(*subos))?
            .field("core", core.0)?
            .field("n", step)?
            .field("by", sign.name())?
            .field("before", before)?
            .field("after", after)?
            .end(),
        News::Lot { subos, lot, looked, used } => begin(out, "lot")?
            .field("t", now.0)?
            .field("subos", names.name(*subos))?
            .field("lot", lot.0)?
            .field("looked", looked.0)?
            .field("used", used.0)?
            .end(),
        News::Refused { step, part, why } => begin(out, "refused")?
            .field("t", now.0)?
            .field("n", step)?
            .field("part", part)?
            .field("text", why)?
            .end(),
        News::Core { subos, core, answer } => {
            let answer = match answer {
                CoreAnswer::Given => "given",
                CoreAnswer::Needed => "needed",
            };
            begin(out, "core")?
                .field("t", now.0)?
                .field("subos", names.name(*subos))?
                .field("core", core.0)?
                .field("answer", answer)?
                .end()
        }
        News::Asks { subos, peer, refusal } => {
            let record = begin(out, "asks")?.field("t", now.0)?.field("subos", names.name(*subos))?;
            let record = record.field("peer", peer)?;
            match refusal {
                None => record.end(),
                Some(Refusal::NotPlanned) => record.field("text", "no window is planned between them")?.end(),
                Some(Refusal::Nobody) => record.field("text", "nobody has that name")?.end(),
            }
        }
        News::Window { between: [one, other], lots } => {
            let state = match lots {
                [Some(_), Some(_)] => "open",
                [None, None] => "closed",
                _ => "half",
            };
            let [lot, peer] = lots.map(|lot| lot.map_or_else(String::new, |lot| lot.0.to_string()));
            begin(out, "window")?
                .field("t", now.0)?
                .field("state", state)?
                .field("one", names.name(*one))?
                .field("lot", lot)?
                .field("other", names.name(*other))?
                .field("peer", peer)?
                .end()
        }
        News::Exit { subos, status } => {
            begin(out, "exit")?.field("subos", names.name(*subos))?.field("status", status)?.end()
        }
        News::Crash { subos, times, vector, address, rip } => begin(out, "crash")?
            .field("subos", names.name(*subos))?
            .field("times", times)?
            .field("vector", vector)?
            .field("address", format_args!("{address:#x}"))?
            .field("rip", format_args!("{rip:#x}"))?
            .end(),
        // A thread faulted, and nobody in its subOS handles that.
        News::Unhandled { subos, vector, address, rip } => begin(out, "crash")?
            .field("subos", names.name(*subos))?
            .field("program", names.program(*subos))?
            .field("times", 1)?
            .field("vector", vector)?
            .field("address", format_args!("{address:#x}"))?
            .field("rip", format_args!("{rip:#x}"))?
            .end(),
        News::Epitaph { subos, text } => {
            begin(out, "epitaph")?.field("subos", names.name(*subos))?.field("text", text)?.end()
        }
        News::Restart { subos, times } => {
            begin(out, "restart")?.field("subos", names.name(*subos))?.field("times", times)?.end()
        }
        News::Stat { subos, core, activity } => {
            let record = begin(out, "stat")?.field("subos", names.name(*subos))?.field("core", core.0)?;
            stat(record, activity)
        }
        News::Supervisor { core, own } => begin(out, "stat")?
            .field("subos", "supervisor")?
            .field("core", core.0)?
            .field("switches", own.switches)?
            .field("interrupts", own.interrupts)?
            .field("core_moves", own.core_moves)?
            .field("lot_moves", own.lot_moves)?
            .field("audits", own.audits)?
            .end(),
        News::Processes { subos, started } => {
            let record = begin(out, "stat")?.field("subos", names.name(*subos))?.field("core", "all")?;
            record.field("processes", started)?.end()
        }
        News::Work { subos, core, processes, calls } => {
            let record = begin(out, "stat")?.field("subos", names.name(*subos))?.field("core", core.0)?;
            record.field("processes", processes)?.field("linux_calls", calls)?.end()
        }
        News::Missing { subos, call, times } => begin(out, "missing")?
            .field("subos", names.name(*subos))?
            .field("call", call)?
            .field("times", times)?
            .end(),
        News::Starved { subos, times } => {
            begin(out, "starved")?.field("subos", names.name(*subos))?.field("times", times)?.end()
        }
        News::Resumed { step, found, order, state } => begin(out, "resume")?
            .field("t", now.0)?
            .field("subos", "supervisor")?
            .field("n", step)?
            .field("found", found)?
            .field("order", order)?
            .field("text", state)?
            .end(),
        News::Watch { at } => {
            let at = match at {
                Moment::Begin => "begin",
                Moment::End => "end",
            };
            begin(out, "watch")?.field("t", now.0)?.field("at", at)?.end()
        }
        News::Hold { resource, holding } => begin(out, "hold")?
            .field("resource", resource.name())?
            .field("first", holding.first)?
            .field("count", holding.count)?
            .field("state", holding.entry.state.name())?
            .field("owner", holding.entry.owner.0)?
            .field("lot", holding.entry.lot.0)?
            .end(),
        News::Places(places) => begin(out, "places")?
            .field("areas", places.areas)?
            .field("area", places.area)?
            .field("shares", places.shares)?
            .field("share", places.share)?
            .field("books", places.books)?
            .end(),
        News::Ledger { difference } => verdict(begin(out, "ledger")?, "equal", "different", difference),
        News::Audit { entries, wrong } => {
            verdict(begin(out, "audit")?.field("entries", entries)?, "ok", "failed", wrong)
        }
        News::Test { failure } => match failure {
            None => begin(out, "test")?.field("result", "ok")?.end(),
            Some(reason) => begin(out, "test")?.field("result", "failed")?.field("message", reason)?.end(),
        },
    }
}

fn verdict<W: Write>(
    record: RecordWriter<'_, W>,
    good: &str,
    bad: &str,
    wrong: &Option<String>,
) -> fmt::Result {
    match wrong {
        None => record.field("result", good)?.end(),
        Some(text) => record.field("result", bad)?.field("text", text)?.end(),
    }
}

/// The fields of a `@stat`.
fn stat<W: Write>(record: RecordWriter<'_, W>, did: &Activity) -> fmt::Result {
    record
        .field("calls", did.calls)?
        .field("switches", did.switches)?
        .field("arrivals", did.arrivals)?
        .field("messages", did.messages)?
        .field("guests", did.guests)?
        .field("signals", did.signals)?
        .field("faults", did.faults)?
        .field("timers", did.timers)?
        .field("doorbells", did.doorbells)?
        .field("others", did.others)?
        .field("departures", did.departures)?
        .field("idle", did.idle)?
        .field("owned", did.owned)?
        .field("busy", did.busy)?
        .field("objects", did.objects)?
        .field("kernel", did.kernel)?
        .field("live", did.live.iter().sum::<u64>())?
        .end()
}

/// Writes what a subOS wrote, as a record.
///
/// # Errors
/// Those of the stream.
pub fn write_output(out: &mut impl Write, name: &str, bytes: &[u8]) -> fmt::Result {
    RecordWriter::begin(out, "out")?.field("subos", name)?.bytes("data", bytes)?.end()
}
